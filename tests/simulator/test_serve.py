from __future__ import annotations

import logging
import socket
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import attrs
import httpx
import pytest

from tests.simulator.calling import PICTURE, download
from wxmedia_async import OFFICIAL_ACCOUNT
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

MIB = 1024 * 1024
LARGE = 8 * MIB


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator(attrs.evolve(OFFICIAL_ACCOUNT, limits={}))
    simulator.open_access = True
    return simulator


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:  # pragma: no cover
        return False
    return True


async def test_the_base_url(simulator: Simulator) -> None:
    """The block gets a URL of this machine, at which the application answers."""
    async with serve(simulator) as url, httpx.AsyncClient(base_url=url) as http:
        reply = await download(http, simulator.put(PICTURE), token=None)

    assert url.startswith("http://127.0.0.1:")
    assert reply.content == PICTURE


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
async def test_ipv6(simulator: Simulator) -> None:
    """An address of IPv6 stands in brackets in the URL."""
    async with serve(simulator, "::1") as url, httpx.AsyncClient(base_url=url) as http:
        reply = await http.get("/")

    assert url.startswith("http://[::1]:")
    assert reply.status_code == 404


def serving_threads() -> set[threading.Thread]:
    """Those of servers; event loops keep and drop threads of their own."""
    return {one for one in threading.enumerate() if one.name == "simulator"}


async def test_the_port_is_free_afterwards(simulator: Simulator) -> None:
    """After the block nobody listens, no thread is left, and the media are kept."""
    before = set(threading.enumerate())
    media_id = simulator.put(PICTURE)
    async with serve(simulator) as url:
        serving = serving_threads() - before
    left = serving_threads() - before
    port = int(url.rpartition(":")[2])

    async with httpx.AsyncClient(base_url=url) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/")
    async with serve(simulator, port=port) as again:
        pass

    assert again == url
    assert len(serving) == 1
    assert left == set()
    assert simulator.media[media_id].content == PICTURE


async def test_an_exception_in_the_block(simulator: Simulator) -> None:
    """It stops when the block fails as well, and the failure passes."""
    with pytest.raises(ZeroDivisionError):
        async with serve(simulator) as url:
            raise ZeroDivisionError

    async with httpx.AsyncClient(base_url=url) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/")


async def test_cancelled(simulator: Simulator) -> None:
    """It stops when it is cancelled."""
    with anyio.CancelScope() as scope:
        async with serve(simulator) as url:
            scope.cancel()
            await anyio.sleep_forever()

    async with httpx.AsyncClient(base_url=url) as http:
        with pytest.raises(httpx.ConnectError):
            await http.get("/")


async def test_it_does_not_wait_for_clients(simulator: Simulator) -> None:
    """It stops at once, with replies that stall and connections that are kept."""
    simulator.fail(1, "stall")
    media_id = simulator.put(PICTURE)
    async with anyio.create_task_group() as group, httpx.AsyncClient() as http:
        with anyio.fail_after(5):
            async with serve(simulator) as url:
                await http.get(f"{url}/")
                stalled = f"{url}/cgi-bin/media/get?media_id={media_id}"
                group.start_soon(_whatever_comes, http, stalled)
                while not simulator.in_flight_peak:  # noqa: ASYNC110  # another thread
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()


async def _whatever_comes(http: httpx.AsyncClient, url: str) -> None:
    with suppress(httpx.HTTPError):
        await http.get(url)


async def test_a_port_that_is_taken(simulator: Simulator) -> None:
    """A port that is taken is an OSError, and no thread is left."""
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="in use"):
            await _enter(simulator, taken.getsockname()[1])

    assert threading.active_count() == threads


async def _enter(simulator: Simulator, port: int) -> None:
    async with serve(simulator, port=port):
        raise AssertionError("it began")  # pragma: no cover


async def test_without_uvicorn(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without uvicorn it says which module is missing, and opens nothing."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    with pytest.raises(ModuleNotFoundError, match="uvicorn"):
        await _enter(simulator, 0)


async def test_several_at_once() -> None:
    """Several run at the same time, each with an address of its own."""
    one, other = Simulator(), Simulator()
    async with serve(one) as first, serve(other) as second, httpx.AsyncClient() as http:
        await http.get(f"{first}/one")
        await http.get(f"{second}/other")

    assert [seen.path for seen in one.requests] == ["/one"]
    assert [seen.path for seen in other.requests] == ["/other"]


async def test_logging_is_left_alone(
    simulator: Simulator, caplog: pytest.LogCaptureFixture
) -> None:
    """The server logs no URL, and sets up no handlers."""
    async with serve(simulator) as url, httpx.AsyncClient(base_url=url) as http:
        await http.get("/", params={"access_token": "SECRET"})

    logged = [text for text in caplog.messages if "HTTP Request" not in text]
    assert not [text for text in logged if "SECRET" in text]
    assert not logging.getLogger("uvicorn").handlers
    assert not logging.getLogger("uvicorn.access").handlers


class Form:
    """A large form, made as it is sent."""

    head = b'--b\r\nContent-Disposition: form-data; name="media"; filename="a"\r\n\r\n'
    tail = b"\r\n--b--\r\n"
    size = len(head) + LARGE + len(tail)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.head
        for _ in range(LARGE // 65_536):
            yield b"\r\n--" * 16_384
        yield self.tail


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_memory_stays_flat(simulator: Simulator, anyio_backend: str) -> None:
    """A large media goes in and comes out again without being in memory as a whole."""
    headers = {
        "content-type": "multipart/form-data; boundary=b",
        "content-length": str(Form.size),
    }
    async with serve(simulator) as url, httpx.AsyncClient() as http:
        await http.get(url)
        tracemalloc.start()
        reply = await http.post(
            f"{url}/cgi-bin/media/upload?type=image", headers=headers, content=Form()
        )
        stored = reply.json()
        size = 0
        query = {"media_id": stored["media_id"]}
        wanted = f"{url}/cgi-bin/media/get"
        async with http.stream("GET", wanted, params=query) as reply:
            async for chunk in reply.aiter_raw():
                size += len(chunk)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert size == LARGE
    assert simulator.media[stored["media_id"]].size == LARGE
    assert peak < LARGE // 2
    simulator.close()
