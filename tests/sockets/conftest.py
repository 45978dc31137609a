from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sockets.server import refusing_url


@pytest.fixture
def refusing() -> Iterator[str]:
    """A base URL where connections are refused."""
    with refusing_url() as url:
        yield url


@pytest.fixture(params=["sockets", "lanes"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways that our own connections take: our sockets, and httpx's stack."""
    if request.param == "lanes":
        monkeypatch.setattr("wxmedia_async.transport._own.supported", lambda: False)
