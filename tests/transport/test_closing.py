from __future__ import annotations

import os
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio
import httpx
import pytest

from tests.transport.conftest import Authority
from tests.transport.servers import (
    Peer,
    fetch,
    request_to,
    serving,
)
from tests.transport.test_connect import fill, hang_up
from tests.transport.test_uploads import Chunks, Part, upload, upload_of
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._body import Body
from wxmedia_async.transport._connect import Address, Connected, connected

__all__ = ["hang_up"]

STALLED = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "closed": b"HTTP/1.1 200 OK\r\n\r\nhello",
}
SIZE = 20_000_000

Read = Callable[[Body], Awaitable[object]]


def stalling(wire: bytes) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.request()
        peer.send(wire)
        peer.until_closed()

    return script


async def into(body: Body) -> int:
    return await body.receive_into(len)


async def iterated(body: Body) -> bytes:
    return await anext(body)


async def stalled(
    transport: SocketTransport, url: str, timeout: float | None
) -> tuple[httpx.Response, Body]:
    """Return a reply of which no more will come."""
    request = request_to(url)
    request.extensions["timeout"] = {"read": timeout}
    response = await transport.handle_async_request(request)
    body = response.stream
    assert isinstance(body, Body)
    if await anext(body) != b"hello":
        await anext(body)
    return response, body


@pytest.mark.parametrize("who", ["body", "transport"])
@pytest.mark.parametrize("read", [into, iterated])
@pytest.mark.parametrize("timeout", [5, None])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("framing", STALLED)
async def test_body_closed_under_its_reader(
    authority: Authority,
    framing: str,
    tls: bool,
    timeout: float | None,
    read: Read,
    who: str,
) -> None:
    """Who waits for bytes of a body gets an error as soon as that is closed."""
    errors: list[Exception] = []
    context = authority.server("127.0.0.1") if tls else None

    async def reading(body: Body) -> None:
        with pytest.raises(httpx.ReadError, match="another task") as caught:
            await read(body)
        errors.append(caught.value)

    with serving(stalling(STALLED[framing]), tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            response, body = await stalled(transport, server.url, timeout)
            with anyio.fail_after(2):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(reading, body)
                    await anyio.wait_all_tasks_blocked()
                    if who == "body":
                        await response.aclose()
                    else:
                        await transport.aclose()

    assert len(errors) == 1


@pytest.mark.parametrize("second", [into, iterated])
@pytest.mark.parametrize("first", [into, iterated])
async def test_second_reader(
    transport: SocketTransport, first: Read, second: Read
) -> None:
    """A second reader of a body is refused, and the first one goes on."""
    results: list[object] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(STALLED["length"])
        refused.wait()
        peer.send(b"done")
        peer.until_closed()

    async def reading(body: Body) -> None:
        results.append(await first(body))

    refused = threading.Event()
    with serving(script) as server:
        _, body = await stalled(transport, server.url, 5)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reading, body)
            await anyio.wait_all_tasks_blocked()
            try:
                with pytest.raises(httpx.StreamError, match="another task"):
                    await second(body)
            finally:
                refused.set()
        await transport.aclose()

    assert results in ([b"done"], [4])


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind", ["file", "bytes", "stream"])
async def test_closed_while_sending(
    authority: Authority, tmp_path: Path, kind: str, tls: bool
) -> None:
    """Who waits for room to send gets an error when the transport is closed."""
    reached = threading.Event()

    def stuck(peer: Peer) -> None:
        peer.until(b"\r\n\r\n")
        reached.set()
        closed.wait()
        peer.until_closed()

    def request(url: str) -> httpx.Request:
        if kind == "bytes":
            return request_to(url, "PUT", content=bytes(SIZE))
        if kind == "stream":
            return upload(url, Chunks([bytes(SIZE)]), SIZE)
        return upload_of(url, Part(fd, 0, SIZE))

    async def sending(url: str) -> None:
        with pytest.raises(httpx.TransportError):
            await fetch(transport, request(url))

    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, SIZE)
    closed = threading.Event()
    context = authority.server("127.0.0.1") if tls else None
    with serving(stuck, tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(sending, server.url)
                    await anyio.to_thread.run_sync(reached.wait)
                    await anyio.wait_all_tasks_blocked()
                    await transport.aclose()
            closed.set()
    os.close(fd)

    assert server.accepted == 1


async def test_closed_while_waiting_for_a_place(anyio_backend: object) -> None:
    """Who waits for a place fails when the transport is closed, and sends nothing."""
    refused: list[Exception] = []
    with serving(stalling(STALLED["length"])) as server:
        transport = SocketTransport(verify=False, max_connections=1)
        response, _ = await stalled(transport, server.url, 5)

        async def waiting() -> None:
            with pytest.raises(httpx.NetworkError, match="closed") as caught:
                await fetch(transport, request_to(server.url, "POST"))
            refused.append(caught.value)

        with anyio.fail_after(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(waiting)
                await anyio.wait_all_tasks_blocked()
                await transport.aclose()
        await response.aclose()

    assert len(refused) == 3
    assert server.accepted == 1


async def test_closed_as_a_place_is_given_back(anyio_backend: object) -> None:
    """Whoever gets a place in the moment of the end does not begin either."""
    with serving(stalling(STALLED["length"])) as server:
        transport = SocketTransport(verify=False, max_connections=1)
        response, _ = await stalled(transport, server.url, 5)

        async def waiting() -> None:
            with pytest.raises(httpx.NetworkError, match="closed"):
                await fetch(transport, request_to(server.url))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiting)
            await anyio.wait_all_tasks_blocked()
            await response.aclose()
            await transport.aclose()

    assert server.accepted == 1


@pytest.mark.parametrize("timeout", [5, None])
@pytest.mark.parametrize("step", ["name", "connect", "handshake"])
async def test_closed_while_connecting(
    authority: Authority,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    timeout: float | None,
) -> None:
    """Whatever is connecting ends at once when the transport is closed."""

    async def never(host: str, port: int) -> list[Address]:
        await anyio.sleep_forever()
        raise AssertionError

    def handshaking(peer: Peer) -> None:
        begun.set()
        peer.until_closed()

    async def waiting(url: str) -> None:
        request = request_to(url)
        request.extensions["timeout"] = {"connect": timeout}
        with pytest.raises(httpx.NetworkError, match="transport was closed"):
            await fetch(transport, request)
        ended.append(step)

    begun = threading.Event()
    ended: list[str] = []
    transport = SocketTransport(verify=authority.client())
    with socket.socket() as full, serving(handshaking) as server:
        url = f"https://127.0.0.1:{server.port}/"
        if step == "connect":
            url = f"http://127.0.0.1:{fill(full)}/"
        if step == "name":
            monkeypatch.setattr("wxmedia_async.transport._names.resolve", never)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(waiting, url)
                if step == "handshake":
                    await anyio.to_thread.run_sync(begun.wait)
                await anyio.wait_all_tasks_blocked()
                await transport.aclose()

    assert ended == [step]


async def test_closed_as_the_connection_is_made(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that is there in the moment of the end is closed, not used."""
    received: list[bytes] = []

    async def too_late(addresses: Sequence[Address]) -> Connected:
        made = await connected(addresses)
        with anyio.CancelScope(shield=True):
            await transport.aclose()
        return made

    def listening(peer: Peer) -> None:
        while data := peer.sock.recv(1 << 16):
            received.append(data)

    transport = SocketTransport(verify=False)
    monkeypatch.setattr("wxmedia_async.transport._open.connected", too_late)
    with serving(listening) as server:
        with pytest.raises(httpx.NetworkError, match="closed"):
            await fetch(transport, request_to(server.url))

    assert received == []


async def test_abandoned_by_its_caller_and_closed(anyio_backend: object) -> None:
    """A request that is cancelled itself stays cancelled, closed or not."""
    with socket.socket() as full:
        transport = SocketTransport(verify=False)
        url = f"http://127.0.0.1:{fill(full)}/"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fetch, transport, request_to(url))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            await transport.aclose()


async def test_end_of_a_body_that_we_made(transport: SocketTransport) -> None:
    """A body that ends with the connection is not whole where it was us who ended it."""
    with serving(stalling(STALLED["closed"])) as server:
        response, _ = await stalled(transport, server.url, 5)
        await transport.aclose()
        with pytest.raises(httpx.ReadError, match="another task"):
            await response.aread()
