from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import cast

import httpx
import pytest

from tests.transport.scripted import MAX_HEAD, Pieces, run
from tests.transport.servers import OK, Peer, fetch, request_to, serving
from tests.transport.test_uploads import Chunks, upload
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._connection import Connection
from wxmedia_async.transport._head import HeadReader
from wxmedia_async.transport._parser import Head, parse_head

HEAD = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BARE = {
    "lf": HEAD.replace(b"\r\n", b"\n"),
    "cr": HEAD.replace(b"\r\n", b"\r"),
    "first-line": HEAD.replace(b"OK\r\n", b"OK\n"),
    "header": HEAD.replace(b"y\r\n", b"y\n"),
    "last-line": HEAD[:-4] + b"\n\n",
    "empty-line": HEAD[:-2] + b"\n",
    "cr-cr": HEAD.replace(b"y\r\n", b"y\r\r\n"),
    "inside": HEAD.replace(b"y\r\n", b"y\rz\r\n"),
}


def reader_of(pieces: Iterable[bytes]) -> HeadReader:
    connection = cast(Connection, Pieces(iter(pieces)))
    return HeadReader(connection, memoryview(bytearray(1024)), None, MAX_HEAD)


def bytewise(wire: bytes) -> list[bytes]:
    return [wire[i : i + 1] for i in range(len(wire))]


def at_once(wire: bytes) -> list[bytes]:
    return [wire]


@pytest.mark.parametrize("before", [b"", CONTINUE], ids=["first", "interim"])
@pytest.mark.parametrize("cut", [at_once, bytewise])
@pytest.mark.parametrize("bare", BARE)
def test_bare_line_ends(
    bare: str, cut: Callable[[bytes], list[bytes]], before: bytes
) -> None:
    """A head whose lines do not end in CR LF is refused by what is there of it."""
    reader = reader_of(())

    with pytest.raises(httpx.RemoteProtocolError):
        take_all(reader, cut(before + BARE[bare]))


def take_all(reader: HeadReader, pieces: Iterable[bytes]) -> None:
    for piece in pieces:
        reader.take(memoryview(piece))


def test_heads_are_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However it is cut, each head is parsed one time, interim ones too."""
    parsed: list[bytes] = []

    def noting(data: bytes) -> Head:
        parsed.append(data)
        return parse_head(data)

    monkeypatch.setattr("wxmedia_async.transport._head.parse_head", noting)
    head, rest = run(reader_of([*bytewise(CONTINUE * 2 + HEAD), b"hello"]).read())

    assert parsed == [CONTINUE, CONTINUE, HEAD]
    assert (head.status, bytes(rest)) == (200, b"")


@pytest.mark.parametrize("bare", ["lf", "header"])
async def test_refused_at_once(transport: SocketTransport, bare: str) -> None:
    """Nobody waits for the end of a head that cannot come any more."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(BARE[bare][:-8])
        peer.until_closed()

    with serving(script) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="CR LF"):
            await fetch(transport, request_to(server.url))


@pytest.mark.parametrize("wire", [BARE["lf"], b"<html>", b"SSH-2.0-x\r\n"])
async def test_refused_while_sending(transport: SocketTransport, wire: bytes) -> None:
    """Nor is a body sent on to a server that answers with nonsense."""

    def script(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.send(wire)
        refused.wait()
        peer.until_closed()

    refused = threading.Event()
    with serving(script) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(
                transport, upload(server.url, Chunks([bytes(20_000_000)]), 20_000_000)
            )
        refused.set()


async def test_closed_while_sending(transport: SocketTransport) -> None:
    """A server that ends its side without an answer is told as that."""

    def script(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.sock.shutdown(1)
        told.wait()

    told = threading.Event()
    with serving(script) as server:
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
            await fetch(
                transport, upload(server.url, Chunks([bytes(20_000_000)]), 20_000_000)
            )
        told.set()


async def test_early_head_and_body(transport: SocketTransport) -> None:
    """What came of a reply while the request was sent is not lost."""

    def script(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        peer.send(CONTINUE + OK[:-3])
        peer.exactly(20_000_000)
        peer.send(OK[-3:])
        peer.until_closed()

    with serving(script) as server:
        body = Chunks([bytes(1_000_000)] * 20)
        response = await fetch(transport, upload(server.url, body, 20_000_000))
        await transport.aclose()

    assert response.content == b"hello"
