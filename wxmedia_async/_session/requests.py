"""What is sent, and which way: past the httpx client, or through it."""

from __future__ import annotations

from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import attrs
import httpx

from .._errors import ClientClosed, MediaError, Phase
from .._foreign import sealed_but
from .._wire import addresses
from .failures import translated
from .family import AsyncClient, Family
from .hosts import Hosts
from .http_reply import HttpReply, ReplyBody, http_reply_of
from .speed import within_window
from .transfer import Exchange, Transfer
from .urls import api_url, query_of, same_origin, secret_url, target_of, with_defaults

# httpx asks for gzip by itself, and a truncated gzip body is a silent success.
HEADERS: Mapping[str, str] = {"Accept": "*/*", "Accept-Encoding": "identity"}

Answer: TypeAlias = tuple[int, Sequence[tuple[bytes, bytes]], ReplyBody]
"""Status, headers and body of a reply, as every way gives them."""

Extensions: TypeAlias = dict[str, Any]
"""What is asked of the transport, as httpx calls it."""


class Call(Protocol):
    """
    A request, ready to be sent.

    Attributes:
        host: Whom it is for.

        extensions: Those of the request. Transports look its ``timeout`` up anew
            for the body, which may get less patience than its head.
    """

    @property
    def host(self) -> str: ...
    @property
    def extensions(self) -> Extensions: ...

    def send(self) -> Awaitable[Answer]:
        """Send it, by the way that it is to take."""
        ...


class ShortWay(Protocol):
    """Past the httpx client, while nobody could tell."""

    def seen(self) -> None:
        """Take note that somebody was given the client, and may change it."""
        ...

    def is_open(self) -> bool:
        """Tell whether it gives what the long way would."""
        ...

    async def send(
        self,
        method: str,
        url: httpx.URL,
        headers: Mapping[str, str],
        content: httpx.AsyncByteStream | None,
        extensions: Mapping[str, object],
    ) -> Answer:
        """
        Send a request as the client would, with `HEADERS` beside its own.

        Args:
            url: Without its query. What is asked for is the extension
                ``target``, as bytes.

        """
        ...

    @property
    def is_seen(self) -> bool:
        """Whether somebody was given the client, and may have hooked into it."""
        ...

    def stack(self, url: str) -> Literal["sockets", "httpx"]:
        """Tell what a request for *url* goes over, whichever way it takes."""
        ...


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Requests:
    """
    Makes requests for the hosts of the service, and sends them.

    Attributes:
        http: The httpx client that carries them.

        owns_http: Whether it is ours.

        family: The classes that it knows.

        shortcut: The short way past it, where there is one.
    """

    http: AsyncClient
    owns_http: bool
    family: Family
    hosts: Hosts
    timeout: httpx.Timeout
    shortcut: ShortWay | None = None
    # Hooks, auth and transports are the user's, and may raise anything; what httpx
    # raises is read here, and what a body of ours raised is ours.
    _theirs: sealed_but = attrs.field(
        init=False,
        default=attrs.Factory(
            lambda self: sealed_but(*self.family.errors, MediaError, OSError),
            takes_self=True,
        ),
    )

    _timeouts: dict[str, float | None] = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: self._all_timeouts(), takes_self=True),
    )

    @property
    def only_ours(self) -> bool:
        """Whether no transport, hook or auth of the user's can be on the way."""
        return self.shortcut is not None and not self.shortcut.is_seen

    def api_call(
        self, transfer: Transfer, exchange: Exchange, token: Mapping[str, str]
    ) -> Call:
        """
        Make a request of an API call.

        Args:
            token: The query parameter with the token; empty where there is none.
        """
        transfer.host = self.hosts.current
        url = api_url(transfer.host, exchange.path)
        query = query_of({**token, **exchange.params})
        extensions = self._extensions()
        extensions["may_resend"] = (
            transfer.may_resend if exchange.repeatable else _never
        )
        if self.shortcut is not None and self.shortcut.is_open():
            extensions["target"] = target_of(url, query)
            return _ShortCall(self.shortcut, exchange, url, extensions)
        request = self._api_request(exchange, url, query, extensions)
        return _LongCall(request, self._send_ours)

    def link_call(self, transfer: Transfer, link: httpx.URL) -> Call:
        """
        Make a request of a link.

        Raises:
            UnsafeURL: It leads to where no public server is.
        """
        transfer.host = ""  # none of ours, if it cannot be reached
        extensions = self._extensions()
        extensions["may_resend"] = transfer.may_resend
        if link.userinfo or not same_origin(link, httpx.URL(self.hosts.current)):
            host = link.raw_host.decode("ascii")
            addresses.check_link(link.scheme, host, link.userinfo)
            extensions["guard_address"] = partial(addresses.check_address, host=host)
        request = self.family.request(
            "GET", str(link), headers=HEADERS, extensions=extensions
        )
        request.url = self.family.secret_url(request.url)
        return _LongCall(request, self._send_bare)

    async def send(self, call: Call, secrets: Collection[str]) -> Answer:
        """
        Send *call*, and return the reply when its head is complete.

        Raises:
            MediaError: It did not get through; without *secrets* in any text.
        """
        if self.http.is_closed:
            raise ClientClosed("the httpx client is closed")
        try:
            with self._theirs:
                return await call.send()
        except self.family.errors as error:
            failure = translated(
                error, host=call.host, phase=Phase.SEND, secrets=secrets
            )
        raise failure

    async def _send_ours(self, request: httpx.Request) -> HttpReply:
        if not self.owns_http:
            return await self._send_bare(request)
        response = await self.http.send(request, stream=True, follow_redirects=False)
        return http_reply_of(response)

    async def _send_bare(self, request: httpx.Request) -> HttpReply:
        """Send without the client's auth, which is meant for another service."""
        response = await self.http.send(
            request, stream=True, auth=None, follow_redirects=False
        )
        return http_reply_of(response)

    def _api_request(
        self,
        exchange: Exchange,
        url: httpx.URL,
        query: str,
        extensions: Extensions,
    ) -> httpx.Request:
        address = self.family.url(url)
        request: httpx.Request = self.http.build_request(
            exchange.method,
            address,
            headers={**HEADERS, **exchange.headers},
            content=exchange.body,
            extensions=extensions,
        )
        if exchange.body is not None:
            # httpx wraps it, and a transport that knows files would not see one.
            request.stream = self.family.stream(_stream_of(exchange.body))
        # Parameters of the client's own take the place of those in a URL.
        secret = secret_url(address, query, self.family.secret_url)
        request.url = with_defaults(secret, self.http.params)
        return request

    def _extensions(self) -> Extensions:
        # Its own for each request: its reader will have less patience.
        return {"timeout": self._timeouts.copy()}

    def _all_timeouts(self) -> dict[str, float | None]:
        timeouts = self.timeout.as_dict()
        timeouts["write"] = within_window(timeouts["write"])
        # Our slots are the pool's places, so its own queue stays empty; a
        # client of the user's has a pool that others use as well.
        if self.owns_http:
            timeouts["pool"] = None
        return timeouts


class _LongCall(NamedTuple):
    """Through the httpx client."""

    request: httpx.Request
    way: Callable[[httpx.Request], Awaitable[HttpReply]]

    @property
    def host(self) -> str:
        return self.request.url.host

    @property
    def extensions(self) -> Extensions:
        return self.request.extensions

    def send(self) -> Awaitable[Answer]:
        return self.way(self.request)


class _ShortCall(NamedTuple):
    """Past it."""

    way: ShortWay
    exchange: Exchange
    url: httpx.URL
    extensions: Extensions

    @property
    def host(self) -> str:
        return self.url.host

    def send(self) -> Awaitable[Answer]:
        exchange, body = self.exchange, self.exchange.body
        content = httpx.ByteStream(body) if isinstance(body, bytes) else body
        return self.way.send(
            exchange.method, self.url, exchange.headers, content, self.extensions
        )


def _stream_of(body: httpx.AsyncByteStream | bytes) -> httpx.AsyncByteStream:
    return _Bytes(body) if isinstance(body, bytes) else body


class _Bytes(httpx.AsyncByteStream):
    """
    Bytes, as often as they are asked for.

    httpx's own are given by an async generator, which transports abandon when a
    write fails, and then nobody closes it: on trio that is a ResourceWarning.
    """

    replayable = True

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _Once(self._content)


class _Once(AsyncIterator[bytes]):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __anext__(self) -> bytes:
        content, self._content = self._content, b""
        if not content:
            raise StopAsyncIteration
        return content


def _never() -> bool:
    """Not said, it would be for the transport to decide."""
    return False
