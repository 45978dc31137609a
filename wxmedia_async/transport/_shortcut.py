"""When a request may skip the client that it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Literal

import httpx

from ._body import Body
from ._originals import Originals
from ._own import OwnTransport
from ._parser import Head

# pyright: reportPrivateUsage=false
# httpx tells by attributes only whether its client is in its first state, and
# asking by its properties costs as much as what is to be saved.

_NOTHING = httpx.ByteStream(b"")

_logger = logging.getLogger(httpx.__name__)

Shown = Callable[[httpx.URL, bytes], object]
"""Makes of a URL without its query, and what is asked for, what a log may show."""


class Shortcut:
    """
    Sends requests of a client right to its transport, while nobody can tell.

    Most of what a client does for a request is to ask for hooks, auth, mounts,
    cookies and redirects. There are none of these in a client just made; and
    while nobody was given it, only the classes that it is made of can change.

    Args:
        http: The client, just made.

        transport: Its transport.

        headers: What every request asks for.

        shown: Of the URL, in httpx's line at INFO.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        transport: OwnTransport,
        headers: Mapping[str, str],
        shown: Shown,
    ) -> None:
        self._http = http
        self._transport = transport
        self._shown = shown
        named = [(name.encode(), value.encode()) for name, value in headers.items()]
        names = {name.lower() for name, _ in named}
        kept = [pair for pair in http.headers.raw if pair[0].lower() not in names]
        self._headers = kept + named
        # Not object.
        classes = *httpx.AsyncClient.__mro__[:-1], httpx.AsyncHTTPTransport
        self._originals = Originals(classes)
        self.is_seen = False
        self._last_url: httpx.URL | None = None
        self._last_raw: list[tuple[bytes, bytes]] = []
        self._has_sockets = False
        self._attributes = dict(vars(http))
        self._made: tuple[object, ...] = (
            self._attributes,
            dict(vars(type(http))),
            dict(vars(transport)),
            http._headers._list.copy(),
            {event: hooks.copy() for event, hooks in http._event_hooks.items()},
            {},
            {},
        )

    def seen(self) -> None:
        """Take note that somebody was given the client, and may change it."""
        self.is_seen = True

    def is_open(self) -> bool:
        """Tell whether the short way gives what the long one would."""
        return (
            self._originals.untouched()
            and (not self.is_seen or self._is_as_made())
            and (self._has_sockets or self._reaches_sockets())
        )

    def _is_as_made(self) -> bool:
        if self._held() == self._made:
            return True
        # Its state says that it was used, which makes no difference.
        self._attributes["_state"] = self._http._state
        return self._held() == self._made

    def _held(self) -> tuple[object, ...]:
        """What can be replaced, and what can be changed in place."""
        http = self._http
        return (
            vars(http),
            vars(type(http)),
            vars(self._transport),
            http._headers._list,
            http._event_hooks,
            http._mounts,
            http._cookies.jar._cookies,  # type: ignore[attr-defined]  # of the standard library
        )

    def _reaches_sockets(self) -> bool:
        # Only known in an event loop; the client is bound to one.
        transport = self._transport
        self._has_sockets = transport.has_sockets() and not transport.proxies.urls
        return self._has_sockets

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
        raw = self._raw(url, headers) if headers else self._plain(url)
        request = sockets.prepare(method, url, raw, content or _NOTHING, extensions)
        head, body, _ = await sockets.round_trip(request)
        if _logger.isEnabledFor(logging.INFO):
            target = extensions.get("target")
            asked = target if isinstance(target, bytes) else url.raw_path
            _log(method, self._shown(url, asked), head)
        return head.status, head.headers, body

    def _plain(self, url: httpx.URL) -> list[tuple[bytes, bytes]]:
        """Headers of a request that has none of its own, the same as the last ones."""
        if self._last_url is not url:
            self._last_url, self._last_raw = url, self._raw(url, {})
        return self._last_raw

    def _raw(
        self, url: httpx.URL, headers: Mapping[str, str]
    ) -> list[tuple[bytes, bytes]]:
        own = [(name.encode(), value.encode()) for name, value in headers.items()]
        return [(b"Host", url.netloc), *self._headers, *own]

    def stack(self, url: str) -> Literal["sockets", "httpx"]:
        """Tell what a request for *url* goes over, whichever way it takes."""
        asked = httpx.URL(url)
        carries = self._http._transport_for_url(asked)
        if not isinstance(carries, OwnTransport):
            return "httpx"
        return "sockets" if carries.carrier(asked) is carries.sockets else "httpx"


def _log(method: str, shown: object, head: Head) -> None:
    """Write what httpx writes of each request, in its name."""
    _logger.info(
        'HTTP Request: %s %s "%s %d %s"',
        method,
        shown,
        head.version.decode("ascii", errors="ignore"),
        head.status,
        head.reason.decode("ascii", errors="ignore"),
    )
