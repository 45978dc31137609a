from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Callable, Coroutine
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.transport.conftest import Authority
from tests.transport.servers import CLOSE_OK, OK, Peer, fetch, request_to, serving
from tests.transport.stepping import Rhythm, cancelled_everywhere
from tests.transport.test_connect import address, fill, hang_up
from tests.transport.test_uploads import Chunks, Part, upload, upload_of
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._connect import connected

__all__ = ["hang_up"]

SIZE = 8_000_000


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def tls(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
async def single(authority: Authority) -> AsyncGenerator[SocketTransport]:
    """A transport with one place: if that is lost, nothing goes on."""
    context = authority.client()
    async with SocketTransport(verify=context, max_connections=1) as transport:
        yield transport


def in_step(rhythms: list[Rhythm], pieces: list[bytes]) -> Callable[[Peer], None]:
    """Take the body, and send the reply, in the client's rhythm."""

    def script(peer: Peer) -> None:
        rhythm = rhythms[-1]
        with contextlib.suppress(EOFError, OSError):
            left = int(peer.until(b"\r\n\r\n").partition(b"Length: ")[2].split()[0])
            rhythm.begin()
            while left > 0:
                rhythm.wait()
                left -= len(peer.exactly(min(left, 2_000_000)))
            for piece in pieces:
                rhythm.wait()
                peer.send(piece)
            peer.until_closed()

    return script


@pytest.mark.parametrize("into", [True, False], ids=["into", "iterated"])
async def test_download(
    authority: Authority, single: SocketTransport, tls: bool, into: bool
) -> None:
    """Fault 25: a download cancelled at any await leaves neither socket nor place."""
    rhythms: list[Rhythm] = []
    pieces = [b"HTTP/1.1 100 Continue\r\n\r\n", CLOSE_OK[:9], CLOSE_OK[9:-4]]
    pieces += [CLOSE_OK[-4:-2], CLOSE_OK[-2:]]

    async def download(rhythm: Rhythm) -> None:
        rhythms.append(rhythm)
        request = request_to(server.url, headers={"Content-Length": "0"})
        response = await single.handle_async_request(request)
        if into:
            await response.extensions["receive_into"](len)
        else:
            await response.aread()

    context = authority.server("127.0.0.1") if tls else None
    with serving(in_step(rhythms, pieces), tls=context) as server:
        points = await cancelled_everywhere(download)

    assert points >= 2


@pytest.mark.parametrize("kind", ["file", "bytes", "stream"])
async def test_upload(
    authority: Authority,
    single: SocketTransport,
    tmp_path: Path,
    tls: bool,
    kind: str,
) -> None:
    """Fault 25: an upload cancelled at any await leaves neither socket nor place."""
    rhythms: list[Rhythm] = []
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, SIZE)
    streams: list[Chunks] = []

    def request(url: str) -> httpx.Request:
        if kind == "file":
            return upload_of(url, Part(fd, 0, SIZE))
        if kind == "bytes":
            return request_to(url, "POST", content=bytes(SIZE))
        streams.append(Chunks([bytes(1_000_000)] * 8))
        return upload(url, streams[-1], SIZE)

    def send(rhythm: Rhythm) -> Coroutine[Any, Any, object]:
        rhythms.append(rhythm)
        return fetch(single, request(server.url))

    context = authority.server("127.0.0.1") if tls else None
    with serving(in_step(rhythms, [CLOSE_OK]), tls=context) as server:
        points = await cancelled_everywhere(send)
    os.close(fd)

    assert points >= 2
    assert all(len(stream.closed) == 1 for stream in streams if stream.closed)


async def test_lookup(single: SocketTransport) -> None:
    """Fault 25: a cancelled look-up leaves no place behind."""
    with serving(Peer.until_closed) as server:
        url = server.url.replace("127.0.0.1", "localhost")

        async def look_up(_: Rhythm) -> None:
            request = request_to(url)
            request.extensions["timeout"] = {"read": 0.01}
            with contextlib.suppress(httpx.ReadTimeout):
                await fetch(single, request)

        points = await cancelled_everywhere(look_up)

    assert points >= 1


async def test_race(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 25: attempts to connect that are cancelled leave no socket behind."""
    monkeypatch.setattr("wxmedia_async.transport._connect.ATTEMPT_DELAY", 0.02)
    with socket.socket() as full, serving(lambda peer: None) as server:
        silent = address("127.0.0.1", fill(full))

        async def race(rhythm: Rhythm) -> None:
            port = server.port
            _, sock = await connected([silent, address("127.0.0.1", port)])
            sock.close()

        points = await cancelled_everywhere(race)

    assert points >= 2


async def test_waiting_for_a_place(single: SocketTransport) -> None:
    """Fault 25: whoever is cancelled in the queue takes no place along."""
    wire = OK[:-1]

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(wire)
        peer.until_closed()

    with serving(script) as server:
        held = await single.handle_async_request(request_to(server.url))

        async def queue(_: Rhythm) -> None:
            request = request_to(server.url)
            request.extensions["timeout"] = {"pool": 0.01}
            with contextlib.suppress(httpx.PoolTimeout):
                await single.handle_async_request(request)

        points = await cancelled_everywhere(queue)
        await held.aclose()
        with anyio.fail_after(1):
            freed = await single.handle_async_request(request_to(server.url))
        await freed.aclose()

    assert points >= 1
