from __future__ import annotations

import contextlib
import threading

import anyio
import httpx
import pytest

from tests.transport.servers import (
    OK,
    Peer,
    answering,
    answering_and_closing,
    fetch,
    request_to,
    serving,
)
from wxmedia_async.transport import SocketTransport


async def test_small_reply(transport: SocketTransport) -> None:
    """A reply has the status, reason, version, headers and body that were sent."""
    wire = b"HTTP/1.1 201 Made It\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello"
    with serving(answering(wire)) as server:
        response = await transport.handle_async_request(request_to(server.url))
        body = await response.aread()
        await transport.aclose()

    assert response.status_code == 201
    assert response.extensions["reason_phrase"] == b"Made It"
    assert response.extensions["http_version"] == b"HTTP/1.1"
    assert response.headers.raw == [(b"X-A", b"b"), (b"Content-Length", b"5")]
    assert body == b"hello"


async def test_as_a_client_uses_it(transport: SocketTransport) -> None:
    """It serves an httpx client, with that one's redirects and decoding."""
    moved = b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"
    with serving(answering(moved, OK)) as server:
        async with httpx.AsyncClient(transport=transport) as client:
            response = await client.get(server.url, follow_redirects=True)

    assert response.text == "hello"
    assert response.url == server.url + "there"
    assert server.accepted == 1


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            + OK,
            id="interim",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nhe\r\n3;name=value\r\nllo\r\n0\r\nTrailer: x\r\n\r\n",
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhello", id="closed"),
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\nhello", id="old"),
    ],
)
async def test_in_single_bytes(transport: SocketTransport, wire: bytes) -> None:
    """A reply means the same however the network cuts it."""

    def dripping(peer: Peer) -> None:
        peer.request()
        for byte in wire:
            peer.send(bytes([byte]))

    with serving(dripping) as server:
        response = await transport.handle_async_request(request_to(server.url))
        body = await response.aread()

    assert response.status_code == 200
    assert body == b"hello"


@pytest.mark.parametrize(
    ("method", "wire"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 339721\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_without_a_body(
    transport: SocketTransport, method: str, wire: bytes
) -> None:
    """Where no body follows, none is waited for, and the connection lives on."""
    with serving(answering(wire, OK)) as server:
        bare = await transport.handle_async_request(request_to(server.url, method))
        next_one = await transport.handle_async_request(request_to(server.url))
        bodies = await bare.aread(), await next_one.aread()
        await transport.aclose()

    assert bodies == (b"", b"hello")
    assert server.accepted == 1


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(OK + b"surplus", id="length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\nsurplus",
            id="chunked",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5\r\nhello\r\n0\r\n\r\n" + OK,
            id="another-reply",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
            b"Connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\nsurplus",
            id="closing",
        ),
    ],
)
async def test_surplus_bytes(transport: SocketTransport, wire: bytes) -> None:
    """Bytes behind a reply are never taken for the next one."""
    with serving(answering_and_closing(wire), answering(OK)) as server:
        first = await transport.handle_async_request(request_to(server.url))
        bodies = [await first.aread()]
        second = await transport.handle_async_request(request_to(server.url))
        bodies.append(await second.aread())
        await transport.aclose()

    assert bodies == [b"hello", b"hello"]
    assert server.accepted == 2


async def test_unasked_reply(transport: SocketTransport) -> None:
    """What arrives on an idle connection answers nothing."""
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"

    pushed = threading.Event()

    def pushing(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.send(forged)
        pushed.set()
        peer.until_closed()

    with serving(pushing, answering(OK)) as server:
        first = await transport.handle_async_request(request_to(server.url))
        bodies = [await first.aread()]
        await anyio.to_thread.run_sync(pushed.wait)
        second = await transport.handle_async_request(request_to(server.url))
        bodies.append(await second.aread())
        await transport.aclose()

    assert bodies == [b"hello", b"hello"]
    assert server.accepted == 2


@pytest.mark.parametrize(
    ("wire", "why"),
    [
        (b"", "server disconnected"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "incomplete head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "5 of 9 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello",
            "before the last chunk",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "before the last chunk",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not an HTTP/1 reply"),
        (b"<html>", "not an HTTP/1 reply"),
        (b"HTTP/2 200 OK\r\n\r\n", "not an HTTP/1 reply"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "upgrade"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n", "upgrade"),
        (
            b"HTTP/1.1 101 S\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
            "upgrade",
        ),
    ],
)
async def test_no_reply(transport: SocketTransport, wire: bytes, why: str) -> None:
    """Faults 2, 4 and 12: what is no whole reply is a protocol error that says why."""
    with serving(answering_and_closing(wire)) as server:
        with pytest.raises(httpx.RemoteProtocolError, match=why):
            await fetch(transport, request_to(server.url))


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, id="line"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n", id="many"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000, id="interim"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 400_000,
            id="chunk-extension",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            + b"X: y\r\n" * 60_000,
            id="trailers",
        ),
    ],
)
async def test_endless_head(transport: SocketTransport, wire: bytes) -> None:
    """Faults 7 and 8: heads, interim replies, extensions and trailers are bounded."""

    def endless(peer: Peer) -> None:
        peer.request()
        with contextlib.suppress(ConnectionError):
            peer.send(wire)
            peer.until_closed()

    with serving(endless) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(transport, request_to(server.url))


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"]
)
async def test_reset(transport: SocketTransport, sent: bytes) -> None:
    """Fault 3: a reset is a ReadError with a text, in the head and in the body."""

    def resetting(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        peer.reset()

    with serving(resetting) as server, pytest.raises(httpx.ReadError, match="reset"):
        await fetch(transport, request_to(server.url))


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 2", OK[:-1]])
async def test_stall(transport: SocketTransport, sent: bytes) -> None:
    """Fault 6: a server that falls silent ends in a ReadTimeout, wherever it does."""

    def stalling(peer: Peer) -> None:
        peer.request()
        peer.send(sent)
        peer.until_closed()

    request = httpx.Request("GET", "http://x", extensions={"timeout": {"read": 0.05}})
    with serving(stalling) as server:
        request.url = httpx.URL(server.url)
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, request)
