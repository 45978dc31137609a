from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable

import anyio
import attrs
import httpx
import pytest

from tests.transport.servers import (
    CLOSE_OK,
    OK,
    PATIENCE,
    Peer,
    always,
    answering,
    answering_and_closing,
    fetch,
    request_to,
    serving,
)
from wxmedia_async.transport import SocketTransport


async def test_kept_alive(transport: SocketTransport) -> None:
    """Requests one after the other share a connection."""
    with serving(answering(OK, OK, OK)) as server:
        for _ in range(3):
            await fetch(transport, request_to(server.url))
        await transport.aclose()

    assert server.accepted == 1


@pytest.mark.parametrize(
    ("reply", "headers"),
    [
        pytest.param(CLOSE_OK, {}, id="asked-by-the-server"),
        pytest.param(OK, {"Connection": "x, Close"}, id="asked-by-us"),
        pytest.param(OK.replace(b"1.1", b"1.0"), {}, id="old"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nhello", {}, id="ends-with-the-body"),
    ],
)
async def test_not_kept_alive(
    transport: SocketTransport, reply: bytes, headers: dict[str, str]
) -> None:
    """A connection is not used again where either side said so."""
    with serving(answering_and_closing(reply)) as server:
        for _ in range(2):
            response = await fetch(transport, request_to(server.url, headers=headers))

    assert response.content == b"hello"
    assert server.accepted == 2


async def test_last_used_first(transport: SocketTransport) -> None:
    """The connection used last is used next: it is the least likely to be stale."""
    served: list[Peer] = []
    both = threading.Barrier(2)

    def script(peer: Peer) -> None:
        peer.request()
        both.wait(PATIENCE)
        with contextlib.suppress(EOFError):
            while True:
                peer.send(OK)
                peer.request()
                served.append(peer)

    with serving(script) as server:
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(fetch, transport, request_to(server.url))
        for _ in range(3):
            await fetch(transport, request_to(server.url))
        await transport.aclose()

    assert len(served) == 3
    assert len(set(served)) == 1


@attrs.define(eq=False)
class Replay(httpx.AsyncByteStream):
    """A stream of six bytes that tells whether it can be read again."""

    replayable: bool

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"a body"


def posting(
    url: str, stream: httpx.AsyncByteStream, method: str = "POST"
) -> httpx.Request:
    request = request_to(url, method, headers={"Content-Length": "6"})
    request.stream = stream
    return request


def going(how: Callable[[Peer], None]) -> Callable[[Peer], None]:
    """Answer one request, and go away when the next one has come."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.request()
        how(peer)

    return script


def may_resend() -> bool:
    return True


@pytest.mark.parametrize("how", [Peer.close, Peer.reset])
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(request_to, id="get"),
        pytest.param(lambda url: request_to(url, "PUT", content=b"6 data"), id="put"),
        pytest.param(lambda url: posting(url, Replay(True), "PUT"), id="stream"),
        pytest.param(
            lambda url: request_to(url, "POST", content=b"x", may_resend=may_resend),
            id="asked-for-leave",
        ),
    ],
)
async def test_stale_connection(
    transport: SocketTransport,
    how: Callable[[Peer], None],
    make: Callable[[str], httpx.Request],
) -> None:
    """Fault 2: what a kept-alive connection does not answer is sent on a new one."""
    with serving(going(how), answering(OK)) as server:
        first = await fetch(transport, make(server.url))
        second = await fetch(transport, make(server.url))
        await transport.aclose()

    assert second.content == b"hello"
    assert "stale_retry" not in first.extensions
    assert second.extensions["stale_retry"] is True
    assert server.accepted == 2


async def test_connection_closed_while_idle(transport: SocketTransport) -> None:
    """Fault 2: a connection that is seen to be closed is not tried at all."""
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.close()
        closed.set()

    with serving(script, answering(OK)) as server:
        await fetch(transport, request_to(server.url))
        await anyio.to_thread.run_sync(closed.wait)
        response = await fetch(transport, posting(server.url, Replay(False)))
        await transport.aclose()

    assert "stale_retry" not in response.extensions
    assert server.accepted == 2


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda url: posting(url, Replay(False), "PUT"), id="read-once"),
        pytest.param(lambda url: request_to(url, "POST"), id="post"),
        pytest.param(lambda url: posting(url, Replay(True)), id="post-of-a-stream"),
        pytest.param(lambda url: request_to(url, "PATCH"), id="patch"),
        pytest.param(lambda url: request_to(url, no_stale_retry=True), id="unwanted"),
        pytest.param(
            lambda url: request_to(url, may_resend=lambda: False), id="no-leave"
        ),
    ],
)
async def test_not_sent_twice(
    transport: SocketTransport, make: Callable[[str], httpx.Request]
) -> None:
    """Fault 19: what cannot or must not be sent again is an error instead."""
    with serving(going(Peer.close), answering(OK)) as server:
        await fetch(transport, request_to(server.url))
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
            await fetch(transport, make(server.url))

    assert server.accepted == 1


async def test_half_answered(transport: SocketTransport) -> None:
    """A connection that breaks after a byte of the reply was not stale."""

    def half(peer: Peer) -> None:
        peer.send(b"H")
        peer.close()

    with serving(going(half)) as server:
        await fetch(transport, request_to(server.url))
        with pytest.raises(httpx.RemoteProtocolError):
            await fetch(transport, request_to(server.url))

    assert server.accepted == 1


async def test_only_one_more_try(transport: SocketTransport) -> None:
    """A new connection that fails as well is an error."""
    with serving(going(Peer.close), lambda peer: None) as server:
        await fetch(transport, request_to(server.url))
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await fetch(transport, request_to(server.url))

    assert server.accepted == 2


async def test_silence_is_not_staleness(transport: SocketTransport) -> None:
    """A kept-alive connection that only falls silent is a timeout, and no retry."""
    with serving(going(Peer.until_closed)) as server:
        await fetch(transport, request_to(server.url))
        request = request_to(server.url)
        request.extensions["timeout"] = {"read": 0.05}
        with pytest.raises(httpx.ReadTimeout):
            await fetch(transport, request)

    assert server.accepted == 1


async def test_expiry() -> None:
    """Connections idle for too long are closed when the next one comes or goes."""
    with serving(always(OK)) as first, serving(always(OK)) as second:
        async with SocketTransport(verify=False, keepalive_expiry=0) as transport:
            for server in (first, second, first):
                await fetch(transport, request_to(server.url))

    assert (first.accepted, second.accepted) == (2, 1)


async def test_expired_when_it_is_wanted() -> None:
    """A connection is not used after its time, though nobody has come to close it."""
    with serving(always(OK)) as server:
        async with SocketTransport(verify=False, keepalive_expiry=0.05) as transport:
            await fetch(transport, request_to(server.url))
            await anyio.sleep(0.06)
            await fetch(transport, request_to(server.url))

    assert server.accepted == 2


async def test_expired_ones_of_other_hosts_are_swept() -> None:
    """Idle connections to a host that nobody asks for any more do not pile up."""
    closed = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.until_closed()
        closed.set()

    with serving(script) as old, serving(always(OK)) as new:
        async with SocketTransport(verify=False, keepalive_expiry=0) as transport:
            for server in (old, new):
                await fetch(transport, request_to(server.url))
            left_open = not await anyio.to_thread.run_sync(closed.wait, PATIENCE)

    assert not left_open


async def test_limit() -> None:
    """No more connections are made than allowed; the rest of the requests wait."""
    with serving(always(OK)) as server:
        async with SocketTransport(verify=False, max_connections=2) as transport:
            async with anyio.create_task_group() as tasks:
                for _ in range(9):
                    tasks.start_soon(fetch, transport, request_to(server.url))

    assert server.accepted <= 2


async def test_limit_of_idle_connections() -> None:
    """An idle connection to another host makes room for a new one."""
    async with SocketTransport(verify=False, max_connections=1) as transport:
        with serving(always(OK)) as second:
            with serving(always(OK)) as first:
                await fetch(transport, request_to(first.url))
                await fetch(transport, request_to(second.url))

                # Left with the connection to the first closed, or it fails.
            response = await fetch(transport, request_to(second.url))
            await transport.aclose()

    assert response.content == b"hello"
    assert (first.accepted, second.accepted) == (1, 1)


async def test_pool_timeout() -> None:
    """Waiting for a connection ends in a PoolTimeout, and takes no place along."""
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(wire)
        peer.until_closed()

    with serving(script, answering(OK)) as server:
        async with SocketTransport(verify=False, max_connections=1) as transport:
            held = await transport.handle_async_request(request_to(server.url))
            request = request_to(server.url)
            request.extensions["timeout"] = {"pool": 0.01}
            with pytest.raises(httpx.PoolTimeout):
                await transport.handle_async_request(request)
            await held.aclose()
            response = await fetch(transport, request_to(server.url))

    assert response.content == b"hello"


async def test_closed(transport: SocketTransport) -> None:
    """Fault 33: a closed transport says so, and may be closed twice."""
    await transport.aclose()
    await transport.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await transport.handle_async_request(request_to("http://127.0.0.1:9/"))


async def test_closed_while_in_use(transport: SocketTransport) -> None:
    """Closing ends what still runs, with an error and no connection left."""
    failures: list[httpx.TransportError] = []
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.request()
        asked.set()
        peer.until_closed()

    async def run(url: str) -> None:
        try:
            await fetch(transport, request_to(url))
        except httpx.TransportError as error:
            failures.append(error)

    with serving(script) as server:
        await fetch(transport, request_to(server.url))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, server.url)
            await anyio.to_thread.run_sync(asked.wait)
            await transport.aclose()

    assert len(failures) == 1
    assert server.accepted == 1


async def test_reply_read_after_close(transport: SocketTransport) -> None:
    """A connection given back after the end is closed, not kept."""
    asked = threading.Event()

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK[:-1])
        asked.wait(PATIENCE)
        with contextlib.suppress(ConnectionError):
            peer.until_closed()

    with serving(script) as server:
        response = await transport.handle_async_request(request_to(server.url))
        await transport.aclose()
        asked.set()
        with pytest.raises(httpx.TransportError):
            await response.aread()
        with pytest.raises(httpx.StreamError):
            await response.aread()


def test_another_loop() -> None:
    """Fault 33: in another event loop, connections of the first are not used."""
    transport = SocketTransport(verify=False)

    async def once(url: str) -> bytes:
        return (await fetch(transport, request_to(url))).content

    with serving(always(OK)) as server:
        contents = [asyncio.run(once(server.url)) for _ in range(2)]
        anyio.run(once, server.url, backend="trio")
        asyncio.run(transport.aclose())

    assert contents == [b"hello", b"hello"]
    assert server.accepted == 3


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork() -> None:
    """Fault 33: a forked child uses connections of its own, and spares its parent's."""
    transport = SocketTransport(verify=False)

    async def once(url: str) -> bytes:
        return (await fetch(transport, request_to(url))).content

    async def held(url: str) -> bytes:
        response = await transport.handle_async_request(request_to(url))
        pid = os.fork()
        if not pid:
            child(url)
        _, status = await anyio.to_thread.run_sync(os.waitpid, pid, 0)
        assert status == 0
        go_on.set()
        return await response.aread()

    def child(url: str) -> None:
        status = 1
        with contextlib.suppress(BaseException):
            # The parent's loop is marked as running, in a copy of its thread.
            asyncio._set_running_loop(None)
            ok = asyncio.run(once(url)) == b"hello"
            asyncio.run(transport.aclose())
            status = 0 if ok else 2
        os._exit(status)

    def slow(peer: Peer) -> None:
        peer.request()
        peer.send(OK[:-1])
        go_on.wait(PATIENCE)
        peer.send(OK[-1:])
        with contextlib.suppress(EOFError):
            peer.request()
            peer.send(OK)
            peer.until_closed()

    async def main(url: str) -> list[bytes]:
        contents = [await held(url), await once(url)]
        await transport.aclose()
        return contents

    go_on = threading.Event()
    with serving(slow, always(OK)) as server:
        contents = asyncio.run(main(server.url))

    assert contents == [b"hello", b"hello"]
    assert server.accepted == 2


async def test_unread_reply(transport: SocketTransport) -> None:
    """A reply that is closed before its end takes its connection along."""
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello"

    with serving(answering(wire), answering(OK)) as server:
        response = await transport.handle_async_request(request_to(server.url))
        await response.aclose()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        with pytest.raises(httpx.StreamClosed):
            await anext(aiter(response.stream))
        await fetch(transport, request_to(server.url))
        await transport.aclose()

    assert server.accepted == 2


async def test_ipv6(transport: SocketTransport) -> None:
    """A host may be an IPv6 address."""
    with contextlib.closing(socket.socket(socket.AF_INET6)) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")

    with serving(answering(OK), host="::1") as server:
        response = await fetch(transport, request_to(server.url))
        await transport.aclose()

    assert response.content == b"hello"
