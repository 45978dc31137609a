from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from tests.cli.service import APPID, SECRET, Service
from wxmedia_async import MINI_PROGRAM, Platform
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

ServiceOf = Callable[[Platform], Service]


@pytest.fixture
def plain_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """No id begins with two hyphens, which are an option's on a command line."""
    monkeypatch.setattr(secrets, "token_urlsafe", secrets.token_hex)


@pytest.fixture
def service_of(plain_ids: None) -> Iterator[ServiceOf]:
    """Serves simulated platforms on ports, each with one valid id and secret."""
    with start_blocking_portal() as portal, ExitStack() as stack:

        def serve_platform(platform: Platform) -> Service:
            simulator = Simulator(platform, appid=APPID, secret=SECRET)
            stack.callback(simulator.close)
            serving = portal.wrap_async_context_manager(serve(simulator))
            return Service(simulator, stack.enter_context(serving))

        yield serve_platform


@pytest.fixture
def service(service_of: ServiceOf) -> Service:
    """A simulated Mini Program on a port."""
    return service_of(MINI_PROGRAM)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one valid id and secret, in the environment."""
    monkeypatch.delenv("WXMEDIA_TOKEN", raising=False)
    monkeypatch.setenv("WXMEDIA_APPID", APPID)
    monkeypatch.setenv("WXMEDIA_SECRET", SECRET)


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Three small files of different contents."""
    paths = [tmp_path / f"{index}.jpg" for index in range(3)]
    for index, path in enumerate(paths):
        path.write_bytes(b"\xff\xd8\xff" + bytes([index]) * 1000 * (index + 1))
    return paths
