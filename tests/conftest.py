from __future__ import annotations

import sys

import pytest
from hypothesis import settings

from wxmedia_async.transport import _own

# The same examples in every run, and no deadline on a machine that is shared.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("trio", {}), id="trio"),
]
if sys.platform != "win32":
    BACKENDS.insert(1, pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--httpx-stack",
        action="store_true",
        help="run clients of our own over httpx's transport, not over sockets",
    )


@pytest.fixture(autouse=True)
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the transport that clients of our own are to be tested with."""
    if request.config.getoption("--httpx-stack"):
        monkeypatch.setattr(_own, "supported", lambda: False)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are on this machine, whatever its environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param
