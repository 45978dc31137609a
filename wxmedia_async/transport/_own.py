"""Sockets of our own, unless something needs httpx's stack."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx

from ._originals import Originals
from ._proxies import Proxies
from ._transport import SocketTransport
from ._waiting import supported

if TYPE_CHECKING:
    from ._lanes import LaneTransport


class OwnTransport(httpx.AsyncBaseTransport):
    """
    The transport of a client that is ours.

    Requests go over a `SocketTransport`. They go over httpx's own transport,
    one connection for each, where the event loop cannot watch sockets (the
    Proactor loop of Windows), through proxies, and while a library that mocks or
    traces httpx has replaced a method of that transport: what is not seen there
    would slip through to the network.

    Args:
        verify: As for httpx.

        proxies: Which requests go through one, decided for each by its host.
    """

    def __init__(
        self, *, verify: ssl.SSLContext | bool = True, proxies: Proxies = Proxies()
    ) -> None:
        self.sockets = SocketTransport(verify=verify)
        self.proxies = proxies
        self._lanes: dict[str | None, LaneTransport] = {}  # by their proxy
        self._originals = Originals((httpx.AsyncHTTPTransport,))
        self._closed = False

    def carrier(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        """Return the transport that the next request for *url* goes over."""
        proxy = self.proxies.url_for(url)
        if proxy is None and self.has_sockets():
            return self.sockets
        return self._lanes.get(proxy) or self._new_lanes(proxy)

    def has_sockets(self) -> bool:
        """Tell whether what needs no proxy goes over our sockets."""
        return supported() and self._originals.untouched()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self._closed:
            raise RuntimeError("the transport is closed")
        return await self.carrier(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        self._closed = True
        for transport in (self.sockets, *self._lanes.values()):
            await transport.aclose()

    def _new_lanes(self, proxy: str | None) -> LaneTransport:
        # httpx's stack takes as long to load as all the rest, and few need it.
        from ._lanes import LaneTransport

        made = LaneTransport(self.sockets.opener, proxy=proxy)
        self._lanes[proxy] = made
        return made
