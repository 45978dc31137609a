from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path

import anyio
import attrs
import httpx
import pytest

from tests.transport.conftest import Authority
from tests.transport.servers import (
    OK,
    Peer,
    answering,
    fetch,
    request_to,
    serving,
)
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._content import is_file_body

SMALL, LARGE = 10_000, 3_000_000


class Changed(Exception):
    """The file is not what it was."""


@attrs.define(eq=False)
class Part(httpx.AsyncByteStream):
    """A part of a file between a head and a tail."""

    fileno: int
    offset: int
    size: int
    progress: Callable[[int], None] | None = None
    whole_size: int | None = None
    head: bytes = b"<head>"
    tail: bytes = b"<tail>"

    def check(self) -> None:
        if self.whole_size not in (None, os.fstat(self.fileno).st_size):
            raise Changed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("it is sent as the file that it is")
        yield b""


@attrs.frozen
class Chunks(httpx.AsyncByteStream):
    """A stream of any chunks."""

    chunks: list[bytes]
    closed: list[bool] = attrs.field(factory=list[bool])

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        try:
            for chunk in self.chunks:
                yield chunk
        finally:
            self.closed.append(True)


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"before" + bytes(range(250)) * (LARGE // 250) + b"after")
    yield fd
    os.close(fd)


def upload(url: str, body: httpx.AsyncByteStream, length: int) -> httpx.Request:
    request = request_to(url, "POST", headers={"Content-Length": str(length)})
    request.stream = body
    return request


def upload_of(url: str, part: Part) -> httpx.Request:
    return upload(url, part, len(part.head) + part.size + len(part.tail))


def keeping(bodies: list[bytes]) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        bodies.append(peer.request())
        peer.send(OK)
        peer.until_closed()

    return script


def collecting(received: list[bytes]) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        while data := peer.sock.recv(1 << 20):
            received.append(data)

    return script


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("size", [0, SMALL, LARGE])
async def test_file(authority: Authority, file: int, size: int, tls: bool) -> None:
    """The part of the file arrives between head and tail, its bytes reported."""
    bodies: list[bytes] = []
    reported: list[int] = []
    part = Part(file, 6, size, reported.append)
    context = authority.server("127.0.0.1") if tls else None
    with serving(keeping(bodies), tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            response = await fetch(transport, upload_of(server.url, part))

    expected = (bytes(range(250)) * (LARGE // 250))[:size]
    assert response.content == b"hello"
    assert bodies == [b"<head>" + expected + b"<tail>"]
    assert reported == sorted(reported)
    assert reported[-1] == size


def test_protocol(file: int) -> None:
    """The protocol of file bodies can be asked about at run time."""
    assert is_file_body(Part(file, 0, 1))
    assert not is_file_body(Chunks([]))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("checks", [True, False])
async def test_file_too_short(
    authority: Authority, file: int, size: int, tls: bool, checks: bool
) -> None:
    """Fault 21: a file that shrank is the body's own error, else a protocol error."""
    part = Part(file, 6, size, whole_size=LARGE + 11 if checks else None)
    os.ftruncate(file, size // 2)
    context = authority.server("127.0.0.1") if tls else None

    with serving(Peer.until_closed, tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            with pytest.raises(Changed if checks else httpx.LocalProtocolError):
                await fetch(transport, upload_of(server.url, part))


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_file_that_grew(transport: SocketTransport, file: int, size: int) -> None:
    """Fault 21: a file that grew is noticed before the server has all of the body."""
    received: list[bytes] = []
    part = Part(file, 6, size, whole_size=LARGE + 11)
    os.pwrite(file, b"more", LARGE + 11)

    with serving(collecting(received)) as server:
        with pytest.raises(Changed):
            await fetch(transport, upload_of(server.url, part))

    assert b"<tail>" not in b"".join(received)


async def test_file_system_without_sendfile(
    transport: SocketTransport, file: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot be sent by the kernel is read and sent."""
    bodies: list[bytes] = []

    def refusing(*_: int) -> int:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", refusing)
    with serving(keeping(bodies)) as server:
        await fetch(transport, upload_of(server.url, Part(file, 6, LARGE)))
        await transport.aclose()

    assert bodies == [b"<head>" + bytes(range(250)) * (LARGE // 250) + b"<tail>"]


async def test_unreadable_file(transport: SocketTransport, file: int) -> None:
    """Fault 29: a file that cannot be read is the OSError that it is."""
    part = Part(file, 0, LARGE)
    part.fileno = os.open(os.devnull, os.O_WRONLY)

    with serving(Peer.until_closed) as server:
        with pytest.raises(OSError, match="Bad file descriptor"):
            await fetch(transport, upload_of(server.url, part))
    os.close(part.fileno)


@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_bytes(transport: SocketTransport, size: int) -> None:
    """A body of bytes arrives as it is, however large."""
    bodies: list[bytes] = []
    content = bytes(range(250)) * (size // 250)
    with serving(keeping(bodies)) as server:
        await fetch(transport, request_to(server.url, "POST", content=content))
        await transport.aclose()

    assert bodies == [content]


async def test_stream_of_known_length(transport: SocketTransport) -> None:
    """A stream goes out as it comes, as long as was announced."""
    bodies: list[bytes] = []
    stream = Chunks([b"", b"a" * 70_000, b"", b"b"])
    with serving(keeping(bodies)) as server:
        await fetch(transport, upload(server.url, stream, 70_001))
        await transport.aclose()

    assert bodies == [b"a" * 70_000 + b"b"]
    assert stream.closed == [True]


async def test_stream_of_unknown_length(transport: SocketTransport) -> None:
    """A stream without a length goes in chunks, and an empty one ends nothing."""
    bodies: list[bytes] = []
    stream = Chunks([b"ab", b"", b"c" * 17])
    with serving(keeping(bodies)) as server:
        await fetch(transport, request_to(server.url, "POST", content=stream))
        await transport.aclose()

    assert bodies == [b"2\r\nab\r\n11\r\n" + b"c" * 17 + b"\r\n0\r\n\r\n"]


async def test_bytes_in_chunks(transport: SocketTransport) -> None:
    """Bytes go in chunks as well, where the headers say so."""
    bodies: list[bytes] = []
    headers = {"Transfer-Encoding": "chunked"}
    with serving(keeping(bodies)) as server:
        request = request_to(server.url, "POST", headers=headers)
        request.stream = httpx.ByteStream(b"hello")
        await fetch(transport, request)
        await transport.aclose()

    assert bodies == [b"5\r\nhello\r\n0\r\n\r\n"]


@pytest.mark.parametrize("chunks", [[b"abcd"], [b"abcd", b"ef"], []])
async def test_stream_of_another_length(
    transport: SocketTransport, chunks: list[bytes]
) -> None:
    """Neither more nor fewer bytes are sent than were announced."""
    received: list[bytes] = []
    stream = Chunks(chunks)

    with serving(collecting(received)) as server:
        with pytest.raises(httpx.LocalProtocolError, match="5 bytes"):
            await fetch(transport, upload(server.url, stream, 5))

    assert b"ef" not in b"".join(received)
    assert stream.closed == [True]


async def test_stream_that_is_no_generator(transport: SocketTransport) -> None:
    """A stream may be iterated by any object."""

    class Once(httpx.AsyncByteStream):
        """Its own iterator."""

        left = 1

        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise StopAsyncIteration
            return b"hello"

    bodies: list[bytes] = []
    with serving(keeping(bodies)) as server:
        await fetch(transport, upload(server.url, Once(), 5))
        await transport.aclose()

    assert bodies == [b"hello"]


async def test_error_of_the_stream(transport: SocketTransport) -> None:
    """What a stream raises passes unchanged, even an error of httpx, and is no retry."""

    class Failing(httpx.AsyncByteStream):
        replayable = True

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"a"
            raise httpx.ReadError("another server's")

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.until_closed()

    with serving(script) as server:
        await fetch(transport, request_to(server.url))
        with pytest.raises(httpx.ReadError, match="another server's"):
            await fetch(transport, upload(server.url, Failing(), 5))

    assert server.accepted == 1


REFUSED = b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nno!!"


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", ["file", "bytes", "stream"])
async def test_refusal_while_sending(
    authority: Authority, file: int, kind: str, tls: bool
) -> None:
    """Fault 23: a refusal is read at once, though the server reads no further."""

    def refusing(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.send(REFUSED)
        answered.wait()
        peer.until_closed()

    answered = threading.Event()
    context = authority.server("127.0.0.1") if tls else None
    with serving(refusing, answering(OK), tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            response = await fetch(transport, _huge(server.url, kind, file))
            answered.set()
            following = await fetch(transport, request_to(server.url))

    assert (response.status_code, response.content) == (413, b"no!!")
    assert following.status_code == 200
    assert server.accepted == 2


def _huge(url: str, kind: str, file: int) -> httpx.Request:
    size = 20_000_000
    if kind == "bytes":
        return request_to(url, "POST", content=bytes(size))
    if kind == "stream":
        return upload(url, Chunks([bytes(1_000_000)] * 20), size)
    os.ftruncate(file, size)
    return upload_of(url, Part(file, 0, size))


@pytest.mark.parametrize("kind", ["file", "bytes", "stream"])
async def test_refusal_and_close(
    transport: SocketTransport, file: int, kind: str
) -> None:
    """Fault 23: a refusal is read even where the server has closed already."""

    def refusing(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.send(REFUSED)

    with serving(refusing) as server:
        response = await fetch(transport, _huge(server.url, kind, file))

    assert (response.status_code, response.content) == (413, b"no!!")


async def test_acceptance_while_sending(transport: SocketTransport, file: int) -> None:
    """A server may begin to answer before it has all, and still wants the rest."""
    bodies: list[bytes] = []

    def eager(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        bodies.append(peer.exactly(20_000_012))
        peer.send(b"hello")
        peer.until_closed()

    with serving(eager) as server:
        response = await fetch(transport, _huge(server.url, "file", file))
        await transport.aclose()

    assert response.content == b"hello"
    assert len(bodies[0]) == 20_000_012


async def test_stall_after_acceptance(transport: SocketTransport, file: int) -> None:
    """Fault 24: a server that has begun to answer may stop reading as well."""
    done = threading.Event()

    def stuck(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        done.wait()

    with serving(stuck) as server:
        request = _huge(server.url, "file", file)
        request.extensions["timeout"] = {"write": 0.05}
        with pytest.raises(httpx.WriteTimeout):
            await fetch(transport, request)
        done.set()


async def test_garbage_while_sending(transport: SocketTransport, file: int) -> None:
    """A server that answers nonsense gets no more."""

    def babbling(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.send(b"HTTP/1.1 whatever\r\n\r\n")
        peer.until_closed()

    with serving(babbling) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(transport, _huge(server.url, "file", file))


@pytest.mark.parametrize("kind", ["file", "bytes", "stream"])
async def test_reset_while_sending(
    transport: SocketTransport, file: int, kind: str
) -> None:
    """Fault 3: a server that resets while it is sent to is a WriteError or ReadError."""

    def resetting(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.reset()

    with serving(resetting) as server:
        with pytest.raises((httpx.WriteError, httpx.ReadError), match="Errno"):
            await fetch(transport, _huge(server.url, kind, file))


@pytest.mark.parametrize("kind", ["file", "bytes", "stream"])
async def test_server_stops_reading(
    transport: SocketTransport, file: int, kind: str
) -> None:
    """Fault 24: a server that stops reading ends in a WriteTimeout."""
    done = threading.Event()

    def stuck(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        done.wait()

    with serving(stuck) as server:
        request = _huge(server.url, kind, file)
        request.extensions["timeout"] = {"write": 0.05}
        with pytest.raises(httpx.WriteTimeout):
            await fetch(transport, request)
        done.set()


async def test_others_run_while_sending(transport: SocketTransport, file: int) -> None:
    """A source that never waits, to a server that always reads, holds nobody up."""
    turns = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while turns < 3:
                yield b"x"

    async def other() -> None:
        nonlocal turns
        while turns < 3:
            turns += 1
            await anyio.lowlevel.checkpoint()

    bodies: list[bytes] = []
    with serving(keeping(bodies)) as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            await fetch(transport, request_to(server.url, "POST", content=Endless()))
        await transport.aclose()

    assert turns == 3
