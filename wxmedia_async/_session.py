"""The only module that sends requests: token, slot, retry, deadline."""

from __future__ import annotations

import math
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Literal, Protocol, TypeVar

import anyio
import attrs
import httpx
from attrs.validators import instance_of

from ._errors import (
    ClientClosed,
    MediaError,
    TokenRejected,
    TransferError,
    TransferTimeout,
    UnsafeURL,
)
from ._failures import HTTPX_ERRORS, translated
from ._files import FileIO
from ._hosts import Hosts
from ._lifetime import Lifetime
from ._models import RetryPolicy
from ._platforms import Platform
from ._reply import Reply
from ._retry import wait_before_retry
from ._reuse import Reuse
from ._slots import Slots
from ._speed import within_window
from ._tokens import TokenCall, TokenProvider
from ._transfer import Exchange, Obstacle, Transfer, always_repeatable
from ._urls import SecretURL, api_url, same_origin, with_defaults
from ._wire import addresses, replies

T = TypeVar("T")

# httpx asks for gzip by itself, and a truncated gzip body is a silent success.
_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}

# The keys in links are hundreds of characters long.
_KEY = 8


SendRequest = Callable[[httpx.Request], Awaitable[httpx.Response]]


class ShortWay(Protocol):
    """Past the httpx client, while nobody could tell."""

    def is_open(self) -> bool:
        """Tell whether it gives what the long way would."""
        ...

    def request(
        self,
        method: str,
        url: httpx.URL,
        headers: dict[str, str],
        body: httpx.AsyncByteStream | None,
        extensions: dict[str, object],
    ) -> httpx.Request:
        """Make a request as the client would."""
        ...

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Send it."""
        ...

    def stack(self, url: str) -> Literal["sockets", "httpx"]:
        """Tell what a request for *url* goes over, whichever way it takes."""
        ...


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Session:
    """
    Exchanges with the service: authenticated, bounded, and tried again.

    A slot is held for one exchange only, and never while waiting for a token
    or for another exchange. So any number of slots, even one, is enough.

    Attributes:
        open_sources: Leave to have a source open. Its length must be known
            before there is a slot, and thousands of uploads that wait for one
            must not use up the descriptors of the process.
    """

    http: httpx.AsyncClient
    owns_http: bool
    hosts: Hosts
    platform: Platform
    slots: Slots
    tokens: TokenProvider | None
    policy: RetryPolicy = attrs.field(validator=instance_of(RetryPolicy))
    timeout: httpx.Timeout
    deadline: float | None
    file_io: FileIO
    lifetime: Lifetime
    open_sources: anyio.Semaphore
    reuse: Reuse | None = None
    shortcut: ShortWay | None = None

    async def run(
        self,
        work: Callable[[Transfer], Awaitable[T]],
        *,
        obstacle: Obstacle = always_repeatable,
    ) -> T:
        """
        Do *work* until it succeeds, for as long as deadline and policy allow.

        Args:
            work: One try, from its first exchange to its last byte. It is
                called anew for each try.

            obstacle: Tells whether something stands against another try.

        Raises:
            MediaError: The failure of the last try, free of secrets.
        """
        self.lifetime.check()
        failure: MediaError | None = None
        scope = anyio.CancelScope(deadline=self._ends())
        transfer = Transfer(scope, obstacle)
        with scope, self.lifetime.running(scope):
            try:
                return await self._tries(transfer, work)
            except MediaError as error:
                failure = error
        raise cleaned(failure or self.interrupted(), transfer.attempts)

    @asynccontextmanager
    async def exchange(
        self, transfer: Transfer, exchange: Exchange
    ) -> AsyncGenerator[Reply]:
        """Send *exchange* with a token and a slot; the slot covers the block."""
        transfer.token = await self._token(transfer)
        release = await self._slot(transfer)
        try:
            request, send = self._api_request(transfer, exchange)
            async with self._sent(request, send, _known(transfer)) as reply:
                yield reply
        finally:
            release()

    @asynccontextmanager
    async def follow(self, transfer: Transfer, url: str) -> AsyncGenerator[Reply]:
        """
        Fetch a link that WeChat named, with nothing of ours in the request.

        Raises:
            UnsafeURL: When it leads to where no public server is.
        """
        request = self._link_request(transfer, url)
        release = await self._slot(transfer)
        try:
            secrets = _keys(request.url)
            async with self._sent(request, self._send_bare, secrets) as reply:
                yield reply
        finally:
            release()

    async def fetch_token(self, call: TokenCall) -> Mapping[str, object]:
        """Call a token endpoint. Takes no slot, so that transfers can wait for it."""
        return await self.run(partial(self._token_exchange, call))

    async def _token_exchange(
        self, call: TokenCall, transfer: Transfer
    ) -> Mapping[str, object]:
        exchange = Exchange(
            method=call.method, path=call.path, params=call.params, json=call.json
        )
        request, send = self._api_request(transfer, exchange)
        async with self._sent(request, send, _Hidden([call.secret])) as reply:
            return await reply.json(wecom=self.platform.wecom, token_call=True)

    async def _tries(
        self, transfer: Transfer, work: Callable[[Transfer], Awaitable[T]]
    ) -> T:
        while True:
            transfer.attempts += 1
            try:
                result = await work(transfer)
            except MediaError as error:
                failure = error
            else:
                self.slots.succeeded()
                return result
            self.slots.failed(failure, transfer.began)
            if not await self._recovered(transfer, failure):
                raise failure

    async def _recovered(self, transfer: Transfer, failure: MediaError) -> bool:
        """Do what another try needs; False: there is to be none."""
        if transfer.hopeless:
            return False
        if isinstance(failure, TokenRejected):
            return await self._renewed(transfer, failure)
        if _is_unreachable(failure):
            self.hosts.leave(transfer.host)
        transfer.failures += 1
        wait = wait_before_retry(
            self.policy, failure, failures=transfer.failures, jitter=random.random()
        )
        if wait is None or wait >= transfer.time_left() or _hindered(transfer, failure):
            return False
        await anyio.sleep(wait)
        return True

    async def _renewed(self, transfer: Transfer, failure: MediaError) -> bool:
        """Renew the refused token, once in a transfer: a loop would never end."""
        if self.tokens is None or transfer.token is None or transfer.renewed:
            return False
        transfer.renewed = True
        if _hindered(transfer, failure):
            return False
        return await self.tokens.renew(transfer.token) != transfer.token

    async def _token(self, transfer: Transfer) -> str | None:
        if self.tokens is None:
            return None
        # A token endpoint has been tried again on its own account already, for
        # all who wait; if each of them did so too, it would be a storm.
        transfer.hopeless = True
        token = await self.tokens.get()
        transfer.hopeless = False
        return token

    async def _slot(self, transfer: Transfer) -> Callable[[], None]:
        """Take a slot, and return the function that gives it back."""
        release = self.slots.acquire_at_once() or await self._acquired(transfer)
        transfer.began = time.monotonic()
        return release

    async def _acquired(self, transfer: Transfer) -> Callable[[], None]:
        while True:
            await self.slots.end_of_pause(transfer.time_left())
            release = await self._free_slot(transfer)
            if not self.slots.paused:
                return release
            # The pause began while this one waited for its slot.
            release()

    async def _free_slot(self, transfer: Transfer) -> Callable[[], None]:
        """Take a slot. The deadline stands still while we wait for it."""
        left = transfer.time_left()
        transfer.scope.deadline = math.inf
        transfer.hopeless = True  # the bound on this wait is on all of it
        try:
            release = await self.slots.acquire(self.timeout.pool)
        finally:
            transfer.scope.deadline = anyio.current_time() + left
        transfer.hopeless = False
        return release

    @asynccontextmanager
    async def _sent(
        self,
        request: httpx.Request,
        send: SendRequest,
        secrets: Collection[str] = (),
    ) -> AsyncGenerator[Reply]:
        """Send *request*, and hold the connection until the block is left."""
        response = await self._mapped(request, send, secrets)
        reply: Reply | httpx.Response = response
        try:
            head = replies.parse_head(response.status_code, response.headers.raw)
            reply = Reply(head, response, secrets)
            yield reply
        finally:
            if not _is_settled(response):
                with anyio.CancelScope(shield=True):
                    await reply.aclose()

    async def _mapped(
        self,
        request: httpx.Request,
        send: SendRequest,
        secrets: Collection[str],
    ) -> httpx.Response:
        if self.http.is_closed:
            raise ClientClosed("the httpx client is closed")
        try:
            return await send(request)
        except HTTPX_ERRORS as error:
            failure = translated(
                error, host=request.url.host, phase="send", secrets=secrets
            )
        raise failure

    async def _send_ours(self, request: httpx.Request) -> httpx.Response:
        if not self.owns_http:
            return await self._send_bare(request)
        return await self.http.send(request, stream=True, follow_redirects=False)

    async def _send_bare(self, request: httpx.Request) -> httpx.Response:
        """Send without the client's auth, which is meant for another service."""
        return await self.http.send(
            request, stream=True, auth=None, follow_redirects=False
        )

    def _api_request(
        self, transfer: Transfer, exchange: Exchange
    ) -> tuple[httpx.Request, SendRequest]:
        """Make the request, and tell by which way it is to be sent."""
        name = getattr(self.tokens, "parameter", "access_token")
        token = {name: transfer.token} if transfer.token else {}
        transfer.host = self.hosts.current
        url = api_url(transfer.host, exchange.path, token | dict(exchange.params))
        extensions = self._extensions()
        extensions["may_resend"] = (
            transfer.may_resend if exchange.repeatable else _never
        )
        headers = _HEADERS | dict(exchange.headers)
        short = self.shortcut
        if short is not None and exchange.json is None and short.is_open():
            body = exchange.body
            return short.request(exchange.method, url, headers, body, extensions), (
                short.send
            )
        request = self.http.build_request(
            exchange.method,
            httpx.URL(url),
            headers=headers,
            content=exchange.body,
            json=exchange.json,
            extensions=extensions,
        )
        if exchange.body is not None:
            # httpx wraps it, and a transport that knows files would not see one.
            request.stream = exchange.body
        # Parameters of the client's own take the place of those in a URL.
        request.url = with_defaults(url, self.http.params)
        return request, self._send_ours

    def _link_request(self, transfer: Transfer, url: str) -> httpx.Request:
        link = _parsed(url)
        transfer.host = ""  # none of ours, if it cannot be reached
        extensions = self._extensions() | {"may_resend": transfer.may_resend}
        if link.userinfo or not same_origin(link, httpx.URL(self.hosts.current)):
            host = link.raw_host.decode("ascii")
            addresses.check_link(link.scheme, host, link.userinfo)
            extensions["guard_address"] = partial(addresses.check_address, host=host)
        request = httpx.Request("GET", link, headers=_HEADERS, extensions=extensions)
        request.url = SecretURL(request.url)
        return request

    def _extensions(self) -> dict[str, object]:
        timeouts = self.timeout.as_dict()
        timeouts["write"] = within_window(timeouts["write"])
        # Our slots are the pool's places, so its own queue stays empty; a
        # client of the user's has a pool that others use as well.
        if self.owns_http:
            timeouts["pool"] = None
        return {"timeout": timeouts}

    def _ends(self) -> float:
        if self.deadline is None:
            return math.inf
        return anyio.current_time() + self.deadline

    def interrupted(self) -> MediaError:
        """Tell why a scope of ours was cancelled."""
        if self.lifetime.closed:
            return ClientClosed("the client was closed while this ran")
        return TransferTimeout(f"not done within the deadline of {self.deadline} s")


def cleaned(error: MediaError, attempts: int) -> MediaError:
    """
    Make *error* fit to leave the library.

    Its traceback is cut: the frames below hold tokens and requests in their
    locals, which error reporters print.
    """
    error.attempts = attempts
    error.__context__ = None
    return error.with_traceback(None)


def _never() -> bool:
    """Not said, it would be for the transport to decide."""
    return False


def _is_unreachable(failure: MediaError) -> bool:
    """Whether another host may do; none is to be tried for a wrong certificate."""
    return (
        isinstance(failure, TransferError)
        and failure.phase == "connect"
        and failure.retryable
    )


def _hindered(transfer: Transfer, failure: MediaError) -> bool:
    failure.remark = transfer.obstacle(failure)
    return failure.remark is not None


def _is_settled(response: httpx.Response) -> bool:
    """Tell whether its connection has been given back with its last byte."""
    return bool(getattr(response.stream, "settled", False))


class _Hidden(tuple[str, ...]):
    """Secrets that error reporters do not see, which print the locals of frames."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"


def _known(transfer: Transfer) -> _Hidden:
    return _Hidden([transfer.token] if transfer.token else [])


def _keys(link: httpx.URL) -> _Hidden:
    """What a link's query holds, but for numbers and names that anybody may say."""
    return _Hidden(value for value in link.params.values() if len(value) >= _KEY)


def _parsed(url: str) -> httpx.URL:
    # A host is decoded when it is asked for, and may turn out to be no name.
    with suppress(httpx.InvalidURL, UnicodeError):
        link = httpx.URL(url)
        if link.host:
            return link
    raise UnsafeURL("WeChat named a link that is no URL")
