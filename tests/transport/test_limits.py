from __future__ import annotations

import contextlib
import os
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import anyio
import attrs
import httpx
import pytest

from tests.transport.conftest import Authority
from tests.transport.scripted import MAX_HEAD, Pieces, run
from tests.transport.servers import Peer, fetch, request_to, serving
from tests.transport.test_uploads import Chunks, Part, upload, upload_of
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._connection import Connection
from wxmedia_async.transport._head import HeadReader

SIZE = 20_000_000
PAUSE = 0.03
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def dripping(first: bytes, piece: bytes) -> Callable[[Peer], None]:
    """Answer with *first*, and then a piece now and then for as long as one may."""

    def script(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            peer.send(first)
            while True:
                peer.send(piece)
                time.sleep(PAUSE)

    return script


async def stopped(
    transport: SocketTransport, request: httpx.Request, **timeouts: float
) -> float:
    """Return after how many seconds *request* ended with a timeout."""
    request.extensions["timeout"] = timeouts
    began = time.monotonic()
    with anyio.fail_after(3):
        with pytest.raises(httpx.TimeoutException):
            await fetch(transport, request)
    return time.monotonic() - began


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", ["file", "bytes", "stream"])
async def test_write_timeout_counts_what_was_sent(
    authority: Authority, tmp_path: Path, kind: str, tls: bool
) -> None:
    """Fault 24: what a server sends is no progress of what it is sent."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, SIZE)

    def request(url: str) -> httpx.Request:
        if kind == "bytes":
            return request_to(url, "POST", content=bytes(SIZE))
        if kind == "stream":
            return upload(url, Chunks([bytes(1_000_000)] * 20), SIZE)
        return upload_of(url, Part(fd, 0, SIZE))

    context = authority.server("127.0.0.1") if tls else None
    script = dripping(b"HTTP/1.1 102 Processing\r\nX: ", b"a")
    with serving(script, tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            took = await stopped(transport, request(server.url), write=0.1)
    os.close(fd)

    assert took < 2


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"a", id="header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", id="headers"),
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim"),
        pytest.param(b"HTTP/1.1 102 Processing\r\nX: ", b"a", id="interim-header"),
        pytest.param(CHUNKED + b"5;", b"a", id="extension"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n5;", b"a", id="next-extension"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n0\r\nX: ", b"a", id="trailer"),
        pytest.param(CHUNKED + b"3\r\nabc\r\n0\r\n", b"X: y\r\n", id="trailers"),
    ],
)
async def test_read_timeout_counts_what_was_body(
    authority: Authority, first: bytes, piece: bytes, tls: bool
) -> None:
    """Faults 7 and 8: what drips and is no body ends with the read timeout."""
    context = authority.server("127.0.0.1") if tls else None
    with serving(dripping(first, piece), tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            took = await stopped(transport, request_to(server.url), read=0.1)

    assert took < 2


async def test_dripping_into_a_file(transport: SocketTransport) -> None:
    """Faults 7 and 8: the same where the body is handed over."""
    pieces: list[bytes] = []
    with serving(dripping(CHUNKED + b"3\r\nabc\r\n5;", b"a")) as server:
        request = request_to(server.url)
        request.extensions["timeout"] = {"read": 0.1}
        response = await transport.handle_async_request(request)
        with anyio.fail_after(3), pytest.raises(httpx.ReadTimeout):
            await response.extensions["receive_into"](
                lambda piece: pieces.append(bytes(piece))
            )

    assert b"".join(pieces) == b"abc"


async def test_bytes_of_the_body_are_progress(transport: SocketTransport) -> None:
    """A body may take longer than the read timeout, if it comes byte by byte."""
    body = [b"1;name=value\r\nx\r\n"] * 30

    def script(peer: Peer) -> None:
        peer.request()
        for part in (CHUNKED, *body, b"0\r\n\r\n"):
            peer.send(part)
            time.sleep(PAUSE)
        peer.until_closed()

    with serving(script) as server:
        request = request_to(server.url)
        request.extensions["timeout"] = {"read": PAUSE * 20}
        response = await fetch(transport, request)
        await transport.aclose()

    assert response.content == b"x" * 30


@pytest.mark.parametrize(
    ("gap", "outcome"), [(0.9, None), (1.1, httpx.ReadTimeout)], ids=["fast", "slow"]
)
def test_patience_with_a_head(
    monkeypatch: pytest.MonkeyPatch, gap: float, outcome: type[Exception] | None
) -> None:
    """A long head may take a second more for each KiB, and not longer."""
    head = b"HTTP/1.1 200 OK\r\nX: " + b"a" * 40_000 + b"\r\n\r\n"
    pieces = [head[i : i + 1024] for i in range(0, len(head), 1024)]
    clock = Clock(gap)
    monkeypatch.setattr("wxmedia_async.transport._head.time", clock)
    connection = cast(Connection, Timed(pieces=iter(pieces), clock=clock))
    reader = HeadReader(connection, memoryview(bytearray(1024)), 2.0, MAX_HEAD)

    with pytest.raises(outcome) if outcome else contextlib.nullcontext():
        run(reader.read())


@attrs.define
class Clock:
    """Stands for the module `time`; goes on by a step for each piece."""

    step: float
    now: float = 0.0

    def monotonic(self) -> float:
        return self.now


@attrs.define(eq=False, kw_only=True)
class Timed(Pieces):
    """A connection whose pieces take their time."""

    clock: Clock

    async def receive_reply_into(
        self, buffer: memoryview, timeout: float | None
    ) -> int:
        if timeout is not None and timeout < self.clock.step:
            raise httpx.ReadTimeout("too slow")
        self.clock.now += self.clock.step
        return await self.receive_into(buffer, timeout)
