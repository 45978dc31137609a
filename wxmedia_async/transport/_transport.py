"""SocketTransport: what users hold."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from ._body import Body
from ._connect import Guard
from ._connection import Connection
from ._exchange import Incoming, Timeouts, exchange
from ._open import Opener
from ._origin import Origin, origin_of
from ._pool import Place, Pool
from ._request import Outgoing, outgoing
from ._tls import Sessions

_BUFFER = 256 * 1024


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
    reply is sent once more on a new one, if its body can be; most likely the
    server had closed the old one already. The response then has the extension
    ``stale_retry``.

    Extensions of a request:
        ``timeout``: As httpx sets it: seconds for connect, read, write, pool.

        ``sni_hostname``: The name to expect in the certificate, in place of
            the host.

        ``target``: What to ask for, in place of the URL's path and query.

        ``guard_address``: Called with each IP address of the host before any is
            connected to, and with the one that a kept-alive connection leads
            to. What it raises ends the request, unchanged.

        ``no_stale_retry``: True to have a stale connection's error.

        ``may_resend``: Asked for leave, in the moment of such a retry.

    Cancellation closes the connection of the request, and nothing else.

    Args:
        verify: As for httpx. A context of yours is used as it is.

        max_connections: Connections at any time, idle ones too; None: as many
            as there are requests.

        keepalive_expiry: Seconds after which an idle connection is closed.

        max_head: Bytes of the heads of one reply, with all interim ones.

    Raises:
        httpx.TransportError: Its subclasses, as documented by httpx.

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
        context = verify if isinstance(verify, ssl.SSLContext) else _context(verify)
        self._opener = Opener(context, Sessions(context))
        self._pool = Pool(max_connections, keepalive_expiry)
        self._max_head = max_head
        self._buffer = memoryview(bytearray(_BUFFER))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = _Call(
            origin=origin_of(request),
            request=outgoing(request),
            extensions=request.extensions,
            timeouts=_timeouts(request.extensions),
        )
        place = await self._pool.place(call.origin, call.timeouts.pool)
        try:
            return await self._answer(call, place)
        except BaseException:
            place.drop()
            raise

    async def aclose(self) -> None:
        """Close all connections; requests that still run fail."""
        self._pool.close()

    async def _answer(self, call: _Call, place: Place) -> httpx.Response:
        connection = place.take()
        if connection is None:
            return await self._answer_anew(call, place)
        call.check(connection)
        try:
            incoming = await self._exchange(call, connection)
        except httpx.TransportError:
            if self._pool.closed or not _may_resend(call, connection):
                raise
        else:
            return self._response(call, place, connection, incoming)
        place.empty()
        response = await self._answer_anew(call, place)
        response.extensions["stale_retry"] = True
        return response

    async def _answer_anew(self, call: _Call, place: Place) -> httpx.Response:
        self._pool.make_room()
        connection = await self._opener.open(
            call.origin, call.guard, call.timeouts.connect
        )
        place.put(connection)
        incoming = await self._exchange(call, connection)
        # Since TLS 1.3, the tickets come after the handshake.
        self._opener.remember(call.origin, connection)
        return self._response(call, place, connection, incoming)

    async def _exchange(self, call: _Call, connection: Connection) -> Incoming:
        return await exchange(
            connection,
            call.request,
            timeouts=call.timeouts,
            buffer=self._buffer,
            max_head=self._max_head,
        )

    def _response(
        self, call: _Call, place: Place, connection: Connection, incoming: Incoming
    ) -> httpx.Response:
        head = incoming.head
        body = Body(
            place,
            connection,
            head.body(call.request.method),
            incoming.reusable,
            self._buffer,
            call.timeouts.read,
        )
        body.begin(incoming.rest)
        extensions = {
            "http_version": head.version,
            "reason_phrase": head.reason,
            "receive_into": body.receive_into,
        }
        return httpx.Response(
            head.status, headers=head.headers, stream=body, extensions=extensions
        )


@attrs.frozen(kw_only=True, eq=False)
class _Call:
    """One request, with all that was asked of us about it."""

    origin: Origin
    request: Outgoing
    extensions: Mapping[str, Any]
    timeouts: Timeouts

    @property
    def guard(self) -> Guard | None:
        return self.extensions.get("guard_address")

    def check(self, connection: Connection) -> None:
        """Let the guard see where a kept-alive connection leads."""
        if self.guard is not None:
            self.guard(connection.address)


def _may_resend(call: _Call, connection: Connection) -> bool:
    """Whether the connection had gone stale, and trying again does no harm."""
    if connection.received or not connection.lost or not call.request.replayable:
        return False
    if call.extensions.get("no_stale_retry"):
        return False
    ask = call.extensions.get("may_resend")
    return ask is None or bool(ask())


def _timeouts(extensions: Mapping[str, Any]) -> Timeouts:
    given: Mapping[str, float | None] = extensions.get("timeout") or {}
    return Timeouts(
        given.get("connect"), given.get("read"), given.get("write"), given.get("pool")
    )


def _context(verify: bool) -> ssl.SSLContext:
    context = httpx.create_ssl_context(verify=verify)
    context.set_alpn_protocols(["http/1.1"])
    return context
