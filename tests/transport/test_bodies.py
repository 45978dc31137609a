from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import anyio
import httpx
import pytest

from tests.transport.servers import (
    OK,
    Peer,
    answering,
    answering_and_closing,
    request_to,
    serving,
)
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._body import Body

CONTENT = bytes(range(250)) * 8_000

FRAMED = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + CONTENT,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (CONTENT[i : i + 70_001] for i in range(0, 2_000_000, 70_001))
    )
    + b"0\r\n\r\n",
    "closed": b"HTTP/1.1 200 OK\r\n\r\n" + CONTENT,
}


@pytest.mark.parametrize("framing", FRAMED)
async def test_into_a_file(
    transport: SocketTransport, tmp_path: Path, framing: str
) -> None:
    """A body of any framing goes into a file, whole and in order."""
    path = tmp_path / "file"
    with serving(answering_and_closing(FRAMED[framing])) as server:
        response = await transport.handle_async_request(request_to(server.url))
        with path.open("wb", buffering=0) as file:
            size = await response.extensions["receive_into"](file.write)
        await response.aclose()
        await transport.aclose()

    assert size == len(CONTENT)
    assert path.read_bytes() == CONTENT


@pytest.mark.parametrize("framing", FRAMED)
async def test_as_a_stream(transport: SocketTransport, framing: str) -> None:
    """A body of any framing can be iterated, in chunks of a bounded size."""
    with serving(answering_and_closing(FRAMED[framing])) as server:
        response = await transport.handle_async_request(request_to(server.url))
        chunks = [chunk async for chunk in response.aiter_raw()]
        await transport.aclose()

    assert b"".join(chunks) == CONTENT
    assert max(map(len, chunks)) <= 64 * 1024


async def test_into_nothing(transport: SocketTransport) -> None:
    """An empty body is no call at all."""
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(wire)) as server:
        response = await transport.handle_async_request(request_to(server.url))
        size = await response.extensions["receive_into"](pytest.fail)
        await transport.aclose()

    assert size == 0


async def test_connection_after_into(transport: SocketTransport) -> None:
    """The connection serves the next request as soon as the body is there."""
    with serving(answering(FRAMED["length"], OK)) as server:
        response = await transport.handle_async_request(request_to(server.url))
        body = response.stream
        assert isinstance(body, Body)
        assert not body.settled
        await response.extensions["receive_into"](len)
        assert body.settled
        await transport.handle_async_request(request_to(server.url))
        await transport.aclose()

    assert server.accepted == 1


@pytest.mark.parametrize("error", [OSError(28, "disk full"), ValueError("too much")])
async def test_error_of_write(transport: SocketTransport, error: Exception) -> None:
    """What the writer raises passes unchanged, and the rest is not read."""

    def refusing(_: memoryview) -> None:
        raise error

    def script(peer: Peer) -> None:
        peer.request()
        with contextlib.suppress(ConnectionError):
            peer.send(FRAMED["length"][:-1])
        peer.until_closed()

    with serving(script) as server:
        response = await transport.handle_async_request(request_to(server.url))
        with pytest.raises(type(error)) as caught:
            await response.extensions["receive_into"](refusing)

    assert caught.value is error


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_cut_into_a_file(transport: SocketTransport, framing: str) -> None:
    """Fault 4: what did come is written, then the cut is told."""
    sizes: list[int] = []
    with serving(answering_and_closing(FRAMED[framing][:1_000_000])) as server:
        response = await transport.handle_async_request(request_to(server.url))
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await response.extensions["receive_into"](
                lambda piece: sizes.append(len(piece))
            )

    assert sum(sizes) > 900_000


async def test_malformed_into_a_file(transport: SocketTransport) -> None:
    """What is no chunk ends the body with an error, and the connection with it."""
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(wire)
        peer.send(b"5\r\nhello\r\nnonsense")
        peer.until_closed()

    with serving(script) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="chunk"):
            await _into(transport, server.url, len)


async def _into(
    transport: SocketTransport, url: str, write: Callable[[memoryview], object]
) -> int:
    response = await transport.handle_async_request(request_to(url))
    size = await response.extensions["receive_into"](write)
    assert isinstance(size, int)
    return size


async def test_many_at_once(transport: SocketTransport, tmp_path: Path) -> None:
    """Bodies that arrive at the same time do not mix."""

    async def one(number: int) -> None:
        fd = os.open(tmp_path / str(number), os.O_WRONLY | os.O_CREAT)
        url = f"{server.url}{number}"
        await _into(transport, url, lambda piece: os.write(fd, piece))
        os.close(fd)

    def script(peer: Peer) -> None:
        number = int(peer.until(b" HTTP/1.1").split(b" ")[1][1:])
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(100):
            peer.send(bytes([number]) * 10_000)
        peer.until_closed()

    with serving(script) as server:
        async with anyio.create_task_group() as tasks:
            for number in range(8):
                tasks.start_soon(one, number)
        await transport.aclose()

    for number in range(8):
        assert (tmp_path / str(number)).read_bytes() == bytes([number]) * 1_000_000


@pytest.mark.parametrize("into", [True, False], ids=["into", "iterated"])
async def test_others_run_while_receiving(
    transport: SocketTransport, into: bool
) -> None:
    """A server that sends without end holds nobody up."""
    turns = 0

    def endless(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                peer.send(bytes(1 << 20))

    async def other() -> None:
        nonlocal turns
        while turns < 20:
            turns += 1
            await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()

    with serving(endless) as server:
        async with anyio.create_task_group() as tasks:
            response = await transport.handle_async_request(request_to(server.url))
            tasks.start_soon(other)
            if into:
                await response.extensions["receive_into"](len)
            else:
                async for _ in response.aiter_raw():
                    pass

    assert turns == 20
