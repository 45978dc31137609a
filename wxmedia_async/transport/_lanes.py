"""httpx's own transport, with one connection for each request in flight."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from functools import partial
from typing import cast

import anyio
import attrs
import httpcore
import httpx

Guard = Callable[[str], None]


class LaneTransport(httpx.AsyncBaseTransport):
    """
    As many lanes as requests are in flight, each with one connection.

    httpx's pool hands an idle connection to everybody who waits for one, and
    looks at all connections each time; so it slows down as requests queue, and
    a cancelled one can take its connection along. A pool of one that serves
    one request at a time never queues. How many there are is for the caller to
    bound.

    Extensions of a request:
        ``guard_address``: called with each address of the host before it is
        connected to; what it raises ends the request. Not through a proxy.

        ``may_resend``: asked whether to send the request once more where a
        kept-alive connection turned out to be closed by the server.

    Args:
        verify: As for httpx.

        proxy: URL of the proxy that all requests go through.
    """

    def __init__(
        self, *, verify: ssl.SSLContext | bool = True, proxy: str | None = None
    ) -> None:
        self._context = httpx.create_ssl_context(verify=verify)
        self._proxy = proxy
        self._idle: list[_Lane] = []
        self._busy: set[_Lane] = set()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        # The lane used last is the one whose connection is most likely alive.
        lane = self._idle.pop() if self._idle else self._make_lane()
        self._busy.add(lane)
        try:
            response = await _send(lane, request)
        except BaseException:
            await self._release(lane)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _LaneStream(response.stream, partial(self._release, lane))
        return response

    async def aclose(self) -> None:
        lanes = [*self._idle, *self._busy]
        self._idle.clear()
        self._busy.clear()
        for lane in lanes:
            await lane.transport.aclose()

    async def _release(self, lane: _Lane) -> None:
        if lane not in self._busy:
            return
        self._busy.remove(lane)
        if lane.is_free():
            self._idle.append(lane)
            return
        with anyio.CancelScope(shield=True):
            await lane.transport.aclose()

    def _make_lane(self) -> _Lane:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        transport = httpx.AsyncHTTPTransport(
            verify=self._context, limits=limits, proxy=self._proxy
        )
        network = _Network()
        if self._proxy is None:
            # httpx has no parameter for the network backend, and must stay the
            # class that it is: mocks patch its methods.
            transport._pool = httpcore.AsyncConnectionPool(  # pyright: ignore[reportPrivateUsage]
                ssl_context=self._context,
                max_connections=1,
                max_keepalive_connections=1,
                keepalive_expiry=limits.keepalive_expiry,
                network_backend=network,
            )
        return _Lane(transport, network)


@attrs.frozen(eq=False)
class _Lane:
    transport: httpx.AsyncHTTPTransport
    network: _Network

    def is_free(self) -> bool:
        """
        Whether its connection can serve another request, or is closed.

        asyncio's Task.cancel() reaches clean-up that is shielded, and httpcore
        then keeps the connection as one in use: who came next would wait for
        ever.
        """
        connections = self.transport._pool.connections  # pyright: ignore[reportPrivateUsage]
        return all(one.is_idle() or one.is_closed() for one in connections)


async def _send(lane: _Lane, request: httpx.Request) -> httpx.Response:
    lane.network.guard = request.extensions.get("guard_address")
    lane.network.connected = False
    try:
        return await lane.transport.handle_async_request(request)
    except (httpx.NetworkError, httpx.RemoteProtocolError):
        if not _went_stale(lane) or not _may_resend(request):
            raise
    return await lane.transport.handle_async_request(request)


def _went_stale(lane: _Lane) -> bool:
    """Whether the request travelled on a connection that was there before."""
    return lane.network.used and not lane.network.connected


def _may_resend(request: httpx.Request) -> bool:
    ask = request.extensions.get("may_resend")
    return (
        ask is not None and getattr(request.stream, "replayable", True) and bool(ask())
    )


class _LaneStream(httpx.AsyncByteStream):
    """A reply's body, which frees the lane when it is closed."""

    def __init__(
        self, stream: httpx.AsyncByteStream, release: Callable[[], Awaitable[None]]
    ) -> None:
        self._stream = stream
        self._release = release

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            await self._release()


class _Network(httpcore.AsyncNetworkBackend):
    """
    Connects, and remembers that it did.

    Where there is a guard, it connects to addresses that the guard has seen: a
    name looked up once for the check and once more for the connection could
    lead elsewhere the second time.
    """

    def __init__(self) -> None:
        # It serves trio as well. Type checkers see the stand-in that httpcore has
        # for where anyio is missing.
        self._inner = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())
        self.guard: Guard | None = None
        self.connected = False
        self.used = False

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected = self.used = True
        if self.guard is None:
            return await self._inner.connect_tcp(
                host, port, timeout, local_address, socket_options
            )
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in await _guarded(host, port, timeout, self.guard):
            try:
                return await self._inner.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


async def _guarded(
    host: str, port: int, timeout: float | None, guard: Guard
) -> list[str]:
    """Return the addresses of *host*, all of them seen by *guard*."""
    try:
        with anyio.fail_after(timeout):
            found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise httpcore.ConnectTimeout(f"looking up {host}") from error
    except OSError as error:
        raise httpcore.ConnectError(str(error)) from error
    addresses = [str(sockaddr[0]) for *_, sockaddr in found]
    for address in addresses:
        guard(address)
    return addresses
