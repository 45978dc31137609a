"""httpx's own transport, with one connection for each request in flight."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import import_module
from typing import Any, cast

import attrs
import httpcore
import httpx

from ._network import Network
from ._open import Opener
from ._origin import origin_of
from ._stale import may_be_resent, went_stale

# pyright: reportPrivateUsage=false
# httpx has no parameter for the network backend, and its transport must stay the
# class that it is: mocks patch its methods.


class LaneTransport(httpx.AsyncBaseTransport):
    """
    As many lanes as requests are in flight, each with one connection.

    httpx's pool hands an idle connection to everybody who waits for one, and
    looks at all connections each time; so it slows down as requests queue, and
    a cancelled one can take its connection along. A pool of one that serves
    one request at a time never queues. How many there are is for the caller to
    bound.

    Extensions of a request:
        ``guard_address``: As for a `SocketTransport`. Not through a proxy.

        ``no_stale_retry``, ``may_resend``: As for a `SocketTransport`.

    Args:
        opener: Opens its connections.

        proxy: URL of the proxy that all requests go through.
    """

    def __init__(self, opener: Opener, *, proxy: str | None = None) -> None:
        self._opener = opener
        # httpcore changes what a context offers by ALPN, and makes one itself where
        # it is given none. This one is not used: the network has its own.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._proxy = None if proxy is None else _proxy(proxy, self._context)
        self._socks_errors = _socks_errors(self._proxy)
        self._idle: list[Lane] = []
        self._busy: set[Lane] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._closed:
            raise RuntimeError("the transport is closed")
        # The lane used last is the one whose connection is most likely alive.
        lane = self._idle.pop() if self._idle else self._make_lane()
        self._busy.add(lane)
        try:
            response = await self._answered(lane, request)
        except BaseException:
            self._release(lane)
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _LaneStream(response.stream, partial(self._release, lane))
        return response

    async def aclose(self) -> None:
        """Close all connections; requests that still run fail."""
        self._closed = True
        for lane in self._idle:
            lane.network.close()
        self._idle.clear()
        self._opener.close()
        for lane in self._busy:
            lane.network.abort()

    async def _answered(self, lane: Lane, request: httpx.Request) -> httpx.Response:
        self._begin(lane, request)
        try:
            return await lane.handle(request)
        except httpx.TransportError:
            is_stale = went_stale(lane.network) and not self._closed
            if not is_stale or not _may_be_resent(request):
                raise
        self._begin(lane, request)
        response = await lane.handle(request)
        response.extensions["stale_retry"] = True
        return response

    def _begin(self, lane: Lane, request: httpx.Request) -> None:
        origin = origin_of(request.url, request.extensions)
        guard = None if self._proxy else request.extensions.get("guard_address")
        lane.network.begin(origin.host, origin.port, guard)

    def _release(self, lane: Lane) -> None:
        if lane not in self._busy:
            return
        self._busy.remove(lane)
        if self._closed or not lane.is_idle():
            lane.network.close()
        if not self._closed and lane.is_free():
            self._idle.append(lane)

    def _make_lane(self) -> Lane:
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        transport = httpx.AsyncHTTPTransport(
            verify=self._context, limits=limits, proxy=self._proxy
        )
        network = Network(self._opener)
        transport._pool._network_backend = network
        return Lane(transport, network, self._socks_errors)


@attrs.frozen(eq=False)
class Lane:
    """
    One connection at most, and httpx's transport upon it.

    Attributes:
        socks_errors: What httpx does not know as an error of its own.
    """

    transport: httpx.AsyncHTTPTransport
    network: Network
    socks_errors: tuple[type[Exception], ...]

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Send *request*, as httpx's transport does."""
        try:
            return await self.transport.handle_async_request(request)
        except self.socks_errors as error:
            raise httpx.ProxyError(f"the proxy speaks no SOCKS: {error}") from error

    def is_idle(self) -> bool:
        """Whether it has a connection, which can serve another request."""
        return any(_can_serve(one) for one in self.transport._pool.connections)

    def is_free(self) -> bool:
        """
        Whether its connection can serve another request, or is closed.

        asyncio's Task.cancel() reaches clean-up that is shielded, and httpcore
        then keeps the connection as one in use: who came next would wait for
        ever.
        """
        connections = self.transport._pool.connections
        return all(_can_serve(one) or one.is_closed() for one in connections)


def _can_serve(connection: httpcore.AsyncConnectionInterface) -> bool:
    # httpcore keeps what came behind a reply, and takes it for the next one.
    return connection.is_idle() and not _surplus(connection)


def _surplus(connection: Any) -> bytes:
    """Return what h11 holds, beneath whatever leads through a proxy."""
    while (below := getattr(connection, "_connection", None)) is not None:
        connection = below
    return cast("bytes", connection._h11_state.trailing_data[0])


def _proxy(url: str, context: ssl.SSLContext) -> httpx.Proxy:
    is_tls = httpx.URL(url).scheme == "https"
    return httpx.Proxy(url, ssl_context=context if is_tls else None)


def _may_be_resent(request: httpx.Request) -> bool:
    return may_be_resent(request.method, request.stream, request.extensions)


def _socks_errors(proxy: httpx.Proxy | None) -> tuple[type[Exception], ...]:
    """Return the errors of the package that speaks SOCKS, where one does."""
    if proxy is None or not proxy.url.scheme.startswith("socks"):
        return ()
    return (import_module("socksio").SOCKSError,)


class _LaneStream(httpx.AsyncByteStream):
    """A reply's body, which frees the lane when it is closed."""

    def __init__(
        self, stream: httpx.AsyncByteStream, release: Callable[[], None]
    ) -> None:
        self._stream = stream
        self._release = release

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        try:
            await self._stream.aclose()
        finally:
            self._release()
