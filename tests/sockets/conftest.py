from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sockets.server import refusing_url


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are on this machine, whatever its environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


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
