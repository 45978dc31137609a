"""When a request may skip the client that it belongs to."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from typing import Literal

import httpcore
import httpx

from ._body import Body
from ._own import OwnTransport, is_original
from ._parser import Head

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

        headers: What every request asks for.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        transport: OwnTransport,
        headers: Mapping[str, str],
    ) -> None:
        self._http = http
        self._transport = transport
        self._client_headers = http._headers._list.copy()
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        names = {name.lower() for name, _ in named}
        kept = [pair for pair in http.headers.raw if pair[0].lower() not in names]
        self._headers = kept + named
        self._fine: tuple[object, ...] = ()

    def is_open(self) -> bool:
        """Tell whether the short way gives what the long one would."""
        http = self._http
        return (
            # What can be changed in place.
            http._headers._list == self._client_headers
            and not http._cookies.jar._cookies  # type: ignore[attr-defined]  # of the standard library
            and not http._mounts
            and not any(http._event_hooks.values())
            and not _logger.isEnabledFor(logging.INFO)
            # What can be replaced: looked at closely when it is not what it was
            # before, as that takes longer than a comparison.
            and (self._parts() == self._fine or self._is_plain())
        )

    def _parts(self) -> tuple[object, ...]:
        return (
            vars(self._http),
            vars(self._transport),
            httpx.AsyncClient.send,
            httpx.AsyncClient._transport_for_url,
            httpx.AsyncHTTPTransport.handle_async_request,
            httpcore.AsyncConnectionPool.handle_async_request,
        )

    def _is_plain(self) -> bool:
        http, transport = self._http, self._transport
        is_plain = (
            http._transport is transport
            and not _PASSED_BY & (vars(http).keys() | vars(transport).keys())
            and http._auth is None
            and not http._params
            and is_original(httpx.AsyncClient._transport_for_url)
            and is_original(httpx.AsyncClient.send)
            and transport.chosen() is transport.sockets
        )
        if is_plain:
            own, others, *methods = self._parts()
            self._fine = (copy.copy(own), copy.copy(others), *methods)
        return is_plain

    async def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: httpx.AsyncByteStream | None,
        extensions: Mapping[str, object],
    ) -> tuple[int, list[tuple[bytes, bytes]], Body]:
        """
        Send what the client would, whose own headers are known.

        Returns:
            The status, the headers and the body of the reply.
        """
        sockets = self._transport.sockets
        raw = [(b"Host", url.netloc), *self._headers]
        for name, value in headers.items():
            raw.append((name.encode(), value.encode()))
        request = sockets.prepare(method, url, raw, content or _NOTHING, extensions)
        head, body, _ = await sockets.round_trip(request)
        for header in head.headers:
            if header[0].lower() == b"set-cookie":
                self._keep_cookies(url, head)
        return head.status, head.headers, body

    def _keep_cookies(self, url: httpx.URL, head: Head) -> None:
        request = httpx.Request("GET", url)
        self._http.cookies.extract_cookies(
            httpx.Response(head.status, headers=head.headers, request=request)
        )

    def stack(self, url: str) -> Literal["sockets", "httpx"]:
        """Tell what a request for *url* goes over, whichever way it takes."""
        carries = self._http._transport_for_url(httpx.URL(url))
        if not isinstance(carries, OwnTransport):
            return "httpx"
        return "sockets" if carries.chosen() is carries.sockets else "httpx"
