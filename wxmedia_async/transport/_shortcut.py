"""When a request may skip the client that it belongs to."""

from __future__ import annotations

import logging
from typing import Literal

import httpx

from ._own import OwnTransport, is_original

# pyright: reportPrivateUsage=false
# httpx tells by attributes only whether its client is in its first state, and
# asking by its properties costs as much as what is to be saved.

_NOTHING = httpx.ByteStream(b"")

# Somebody's own, where an object has them beside those of its class.
_PASSED_BY = {"send", "build_request", "handle_async_request"}

_logger = logging.getLogger("httpx")


class Shortcut:
    """
    Sends requests of a client right to its transport, while nobody can tell.

    Most of what a client does for a request is to ask for hooks, auth, mounts,
    cookies and redirects. Where there are none of these, and nobody has
    replaced a method of the client, its transport gives the same reply.

    Args:
        http: The client, just made.

        transport: Its transport.
    """

    def __init__(self, http: httpx.AsyncClient, transport: OwnTransport) -> None:
        self._http = http
        self._transport = transport
        self._headers = http.headers.raw
        self._kept = [
            (name, value)
            for name, value in self._headers
            if name.lower() not in (b"accept", b"accept-encoding")
        ]

    def is_open(self) -> bool:
        """Tell whether the short way gives what the long one would."""
        http = self._http
        return (
            http._transport is self._transport
            and not _PASSED_BY & (vars(http).keys() | vars(self._transport).keys())
            and http._auth is None
            and not http._mounts
            and not any(http._event_hooks.values())
            and not http._params
            and not http._cookies.jar._cookies  # type: ignore[attr-defined]  # of the standard library
            and http._headers.raw == self._headers
            and is_original(httpx.AsyncClient._transport_for_url)
            and is_original(httpx.AsyncClient.send)
            and not _logger.isEnabledFor(logging.INFO)
            and self._transport.chosen() is self._transport.sockets
        )

    def request(
        self,
        method: str,
        url: httpx.URL,
        headers: dict[str, str],
        body: httpx.AsyncByteStream | None,
        extensions: dict[str, object],
    ) -> httpx.Request:
        """Make what the client would make, whose own headers are known."""
        host = url.netloc
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        return httpx.Request(
            method,
            url,
            headers=[(b"Host", host), *self._kept, *named],
            stream=body or _NOTHING,
            extensions=extensions,
        )

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send *request*; the reply's body is yet to be read."""
        response = await self._transport.sockets.handle_async_request(request)
        response.request = request
        if "set-cookie" in response.headers:
            self._http.cookies.extract_cookies(response)
        return response

    def stack(self, url: str) -> Literal["sockets", "httpx"]:
        """Tell what a request for *url* goes over, whichever way it takes."""
        carries = self._http._transport_for_url(httpx.URL(url))
        if not isinstance(carries, OwnTransport):
            return "httpx"
        return "sockets" if carries.chosen() is carries.sockets else "httpx"
