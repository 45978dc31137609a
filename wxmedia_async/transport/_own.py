"""Sockets of our own, unless something needs httpx's stack."""

from __future__ import annotations

import ssl

import httpcore
import httpx

from ._lanes import LaneTransport
from ._originals import Originals
from ._proxies import Proxies
from ._transport import SocketTransport
from ._waiting import supported


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
        opener = self.sockets.opener
        self._lanes = LaneTransport(opener)
        self._proxied = {
            url: LaneTransport(opener, proxy=url) for url in set(proxies.urls.values())
        }
        self._originals = Originals(
            (httpx.AsyncHTTPTransport, httpcore.AsyncConnectionPool)
        )

    def carrier(self, url: httpx.URL) -> httpx.AsyncBaseTransport:
        """Return the transport that the next request for *url* goes over."""
        proxy = self.proxies.url_for(url)
        if proxy is not None:
            return self._proxied[proxy]
        return self.sockets if self.has_sockets() else self._lanes

    def has_sockets(self) -> bool:
        """Tell whether what needs no proxy goes over our sockets."""
        return supported() and self._originals.untouched()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.carrier(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        for transport in (self.sockets, self._lanes, *self._proxied.values()):
            await transport.aclose()
