"""Sockets of our own, unless something needs httpx's stack."""

from __future__ import annotations

import ssl
import sys
from types import FunctionType

import httpcore
import httpx

from ._lanes import LaneTransport
from ._transport import SocketTransport
from ._waiting import supported


class OwnTransport(httpx.AsyncBaseTransport):
    """
    The transport of a client that is ours.

    Requests go over a `SocketTransport`. They go over httpx's own transport,
    one connection for each, where the event loop cannot watch sockets (the
    Proactor loop of Windows), and while a library that mocks or traces httpx
    has replaced a method of that transport: what is not seen there would slip
    through to the network.

    Args:
        verify: As for httpx.
    """

    def __init__(self, *, verify: ssl.SSLContext | bool = True) -> None:
        self.sockets = SocketTransport(verify=verify)
        self._lanes = LaneTransport(verify=verify)

    def chosen(self) -> httpx.AsyncBaseTransport:
        """Return the transport that the next request goes over."""
        return self.sockets if supported() and not replaced() else self._lanes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.chosen().handle_async_request(request)

    async def aclose(self) -> None:
        await self.sockets.aclose()
        await self._lanes.aclose()


def replaced() -> bool:
    """
    Tell whether somebody has put a method of their own into httpx's transport.

    respx replaces the one of httpcore's pool, pytest-httpx and OpenTelemetry
    the one of `AsyncHTTPTransport`.
    """
    return not (
        is_original(httpcore.AsyncConnectionPool.handle_async_request)
        and is_original(httpx.AsyncHTTPTransport.handle_async_request)
    )


_HOMES = {
    module.__file__
    for name, module in sys.modules.items()
    if name
    in (
        "httpcore._async.connection_pool",
        "httpx._client",
        "httpx._transports.default",
    )
}


def is_original(method: object) -> bool:
    """Tell whether a method is the one that httpx or httpcore has written."""
    # Where its code stands, and not which object it is: this module may be
    # imported while a mock is in place. What tracers wrap around a method says
    # that it has the method's code, but is no function.
    return type(method) is FunctionType and method.__code__.co_filename in _HOMES
