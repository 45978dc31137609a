"""SocketTransport: what users hold."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

from ._body import Body
from ._connection import Connection
from ._open import Opener
from ._parser import Head
from ._pool import Place, Pool
from ._request import Outgoing, Writer
from ._round_trip import round_trip
from ._stale import went_stale
from ._tls import encryption_for

_BUFFER = 1024 * 1024


class SocketTransport(httpx.AsyncBaseTransport):
    """
    An HTTP/1.1 transport that moves bodies between sockets and files.

    Use it as ``httpx.AsyncClient(transport=SocketTransport())``, from one event
    loop at a time: asyncio, uvloop or trio. Connections are kept alive, the one
    used last is used first; TLS sessions are resumed.

    A request whose stream is a `FileBody` is sent straight from the file. The
    other way, a response has the extension ``receive_into``: ``await
    receive_into(write)`` calls *write* with each piece of the body as a
    memoryview, valid for that call only, and returns the number of bytes.

    A request that fails on a kept-alive connection before the first byte of a
    reply is sent once more on a new one, if its method is idempotent and its
    body can be read again; most likely the server had closed the old one
    already. The response then has the extension ``stale_retry``.

    Some of what httpx's own transport takes is refused here, since two readers could
    understand it in two ways, or since it takes other machinery: HTTP/2, upgrades,
    tunnels and with them proxies; bodies that can only be read synchronously; in a request, header
    lines with control characters, and framing that is given twice or differs from
    the body; in a reply, lines that end in a bare LF, folded lines, framing by two
    headers or by another transfer coding than chunked, more than 256 lines, a body
    that ends with a TLS connection that was cut. The extensions ``trace`` and the
    parameters ``local_address``, ``uds``, ``retries`` and ``socket_options`` do not
    exist. Where you need one, give the client an `httpx.AsyncHTTPTransport`.

    Timeouts count what they are about: ``write`` what was sent, ``read`` the bytes of
    the body. The heads of a reply, interim ones too, have to be complete within
    ``read`` seconds of the first byte, and a second more for each KiB.

    Extensions of a request:
        ``timeout``: As httpx sets it: seconds for connect, read, write, pool.

        ``sni_hostname``: The name to expect in the certificate, in place of
            the host.

        ``target``: What to ask for, in place of the URL's path and query.

        ``guard_address``: Called with each IP address of the host before any is
            connected to, and with the one that a kept-alive connection leads
            to. What it raises ends the request, unchanged.

        ``no_stale_retry``: True to have a stale connection's error.

        ``may_resend``: Asked for leave in the moment of such a retry, in place
            of the method.

    Extensions of a response:
        ``http_version``, ``reason_phrase``: As httpx has them.

        ``network_stream``: As httpx has it, but for looking only: its
            ``get_extra_info()`` knows ``socket``, ``ssl_object``, ``client_addr``,
            ``server_addr`` and ``is_readable``.

        ``receive_into``, ``stale_retry``: See above.

    Cancellation closes the connection of the request, and nothing else. A body is
    read by one task at a time; another one that closes it, or the transport, wakes
    that task with an `httpx.ReadError`.

    Args:
        verify: As for httpx. A context of yours stays as it is: that it offers
            HTTP/1.1 lasts for the beginning of a handshake only. TLS sessions are
            resumed unless it is of a subclass or has attributes replaced, as those
            look at certificates that a resumed session does not show.

        max_connections: Connections at any time, idle ones too; None: as many
            as there are requests.

        keepalive_expiry: Seconds after which an idle connection is closed.

        max_head: Bytes of the heads of one reply, with all interim ones.

    Raises:
        httpx.TransportError: Its subclasses, as documented by httpx.

        OSError: This machine has no descriptor, buffer or memory left.

        RuntimeError: Used after `aclose()`.
    """

    def __init__(
        self,
        *,
        verify: ssl.SSLContext | bool = True,
        max_connections: int | None = None,
        keepalive_expiry: float = 5.0,
        max_head: int = 64 * 1024,
    ) -> None:
        self._writer = Writer()
        self.opener: Opener = Opener(encryption_for(verify))
        self._pool = Pool(max_connections, keepalive_expiry)
        self._max_head = max_head
        self._buffer = memoryview(bytearray(_BUFFER))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        prepared = self.prepare(
            request.method,
            request.url,
            request.headers.raw,
            request.stream,
            request.extensions,
        )
        head, body, is_stale_retry = await self.round_trip(prepared)
        extensions: dict[str, object] = {
            "http_version": head.version,
            "reason_phrase": head.reason,
            "receive_into": body.receive_into,
            "network_stream": body.network_stream,
        }
        if is_stale_retry:
            extensions["stale_retry"] = True
        return httpx.Response(
            head.status, headers=head.headers, stream=body, extensions=extensions
        )

    def prepare(
        self,
        method: str,
        url: httpx.URL,
        headers: list[tuple[bytes, bytes]],
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        extensions: Mapping[str, Any],
    ) -> Outgoing:
        """
        Check the parts of a request, for `round_trip`.

        Raises:
            httpx.LocalProtocolError: It cannot be sent as HTTP/1.1, or could
                be read in two ways.

            httpx.UnsupportedProtocol: The URL is neither http nor https.
        """
        return self._writer.outgoing(method, url, headers, stream, extensions)

    async def round_trip(self, request: Outgoing) -> RoundTrip:
        """
        Send *request*, and return the reply as soon as its head is complete.

        The same as `handle_async_request`, without httpx's objects around it;
        those take as long as all the rest of a small exchange. The body is to
        be read to its end, or closed.
        """
        place = await self._pool.place(request.origin, request.timeouts.get("pool"))
        try:
            return await self._answer(request, place)
        except BaseException:
            place.drop()
            raise

    async def aclose(self) -> None:
        """Close all connections; requests that still run, or wait to, fail."""
        self._pool.close()
        self.opener.close()

    async def _answer(self, request: Outgoing, place: Place) -> RoundTrip:
        connection = place.take()
        if connection is None:
            return RoundTrip(*await self._answer_anew(request, place))
        if request.guard is not None:
            request.guard(connection.address)
        try:
            return RoundTrip(*await self._sent(request, place, connection))
        except httpx.TransportError:
            is_stale = went_stale(connection) and not self._pool.closed
            if not is_stale or not request.may_be_resent():
                raise
        place.empty()
        return RoundTrip(*await self._answer_anew(request, place), is_stale_retry=True)

    async def _answer_anew(self, request: Outgoing, place: Place) -> tuple[Head, Body]:
        self._pool.make_room()
        timeout = request.timeouts.get("connect")
        connection = await self.opener.open(request.origin, request.guard, timeout)
        place.put(connection)
        return await self._sent(request, place, connection)

    async def _sent(
        self, request: Outgoing, place: Place, connection: Connection
    ) -> tuple[Head, Body]:
        head, rest, reusable = await round_trip(
            connection, request, self._buffer, self._max_head
        )
        if not connection.reused:
            # Not earlier: since TLS 1.3, the tickets come after the handshake.
            self.opener.remember(request.origin, connection)
        decoder = head.body(request.method)
        timeouts = request.timeouts
        body = Body(place, connection, decoder, reusable, self._buffer, timeouts)
        body.begin(rest)
        return head, body


class RoundTrip(NamedTuple):
    """A reply whose head is complete; `is_stale_retry` as in the extension."""

    head: Head
    body: Body
    is_stale_retry: bool = False
