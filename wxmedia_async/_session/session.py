"""The only module that sends requests: token, slot, retry, deadline."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import anyio
import attrs
import httpx
from attrs.validators import instance_of

from .._errors import (
    ClientClosed,
    MediaError,
    TokenRejected,
    TransferError,
    TransferTimeout,
    UnsafeURL,
)
from .._local.disk import FileIO
from .._models import RetryPolicy
from .._platforms import Platform
from .._tokens.providers import TokenCall, TokenProvider
from .._upload.reuse import Reuse
from .._wire import addresses, replies
from .failures import HTTPX_ERRORS, translated
from .hosts import Hosts
from .http_reply import HttpReply, ReplyBody, http_reply_of
from .lifetime import Lifetime
from .reply import Reply
from .retry import wait_before_retry
from .slots import Slots
from .speed import within_window
from .transfer import Exchange, Obstacle, Transfer, always_repeatable
from .urls import (
    SecretURL,
    api_url,
    query_of,
    same_origin,
    secret_url,
    target_of,
    with_defaults,
)

T = TypeVar("T")

# httpx asks for gzip by itself, and a truncated gzip body is a silent success.
HEADERS: Mapping[str, str] = {"Accept": "*/*", "Accept-Encoding": "identity"}

Extensions: TypeAlias = dict[str, Any]
"""What is asked of the transport, as httpx calls it."""

# The keys in links are hundreds of characters long.
_KEY = 8


class Call(NamedTuple):
    """
    A request, ready to be sent.

    Attributes:
        host: Whom it is for.

        timeouts: Those of the request. Transports look them up anew for the
            body, which may get less patience than its head.

        send: Sends it, by the way that it is to take.
    """

    host: str
    timeouts: dict[str, float | None]
    send: Callable[[], Awaitable[HttpReply]]


class ShortWay(Protocol):
    """Past the httpx client, while nobody could tell."""

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
    ) -> tuple[int, Sequence[tuple[bytes, bytes]], ReplyBody]:
        """
        Send a request as the client would, with `HEADERS` beside its own.

        Args:
            url: Without its query. What is asked for is the extension
                ``target``, as bytes.

        Returns:
            The status, the headers and the body of the reply.
        """
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
        with scope:
            self.lifetime.enter(scope)
            try:
                return await self._tries(transfer, work)
            except MediaError as error:
                failure = error
            finally:
                self.lifetime.leave(scope)
        raise cleaned(failure or self.interrupted(), transfer.attempts)

    async def exchange(self, transfer: Transfer, exchange: Exchange) -> Reply:
        """Send *exchange* with a token, and with a slot that the reply holds."""
        transfer.token = await self._token(transfer)
        await self._slot(transfer)
        try:
            call = self._api_call(transfer, exchange)
            return await self._sent(call, _known(transfer), self.slots.release)
        except BaseException:
            self.slots.release()
            raise

    async def follow(self, transfer: Transfer, url: str) -> Reply:
        """
        Fetch a link that WeChat named, with nothing of ours in the request.

        Raises:
            UnsafeURL: When it leads to where no public server is.
        """
        request = self._link_request(transfer, url)
        await self._slot(transfer)
        try:
            call = self._call(request, self._send_bare)
            return await self._sent(call, _keys(request.url), self.slots.release)
        except BaseException:
            self.slots.release()
            raise

    async def fetch_token(self, call: TokenCall) -> Mapping[str, object]:
        """Call a token endpoint. Takes no slot, so that transfers can wait for it."""
        return await self.run(partial(self._token_exchange, call))

    async def _token_exchange(
        self, call: TokenCall, transfer: Transfer
    ) -> Mapping[str, object]:
        exchange = Exchange(
            method=call.method, path=call.path, params=call.params, json=call.json
        )
        request = self._api_call(transfer, exchange)
        secrets = _Hidden([call.secret])
        async with await self._sent(request, secrets, _nothing_held) as reply:
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

    async def _slot(self, transfer: Transfer) -> None:
        if not self.slots.acquire_at_once():
            await self._acquired(transfer)
        transfer.began = time.monotonic()

    async def _acquired(self, transfer: Transfer) -> None:
        while True:
            await self.slots.end_of_pause(transfer.time_left())
            await self._free_slot(transfer)
            if not self.slots.paused:
                return
            # The pause began while this one waited for its slot.
            self.slots.release()

    async def _free_slot(self, transfer: Transfer) -> None:
        """Take a slot. The deadline stands still while we wait for it."""
        left = transfer.time_left()
        transfer.scope.deadline = math.inf
        transfer.hopeless = True  # the bound on this wait is on all of it
        try:
            await self.slots.acquire(self.timeout.pool)
        finally:
            transfer.scope.deadline = anyio.current_time() + left
        transfer.hopeless = False

    async def _sent(
        self, call: Call, secrets: Collection[str], release: Callable[[], None]
    ) -> Reply:
        """Send *call*; the reply is to be closed, and gives the slot back then."""
        answer = await self._mapped(call, secrets)
        call.timeouts["read"] = within_window(call.timeouts["read"])
        try:
            head = replies.parse_head(answer.status, answer.headers)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await answer.body.aclose()
            raise
        return Reply(head, call.host, answer.body, secrets, release)

    async def _mapped(self, call: Call, secrets: Collection[str]) -> HttpReply:
        if self.http.is_closed:
            raise ClientClosed("the httpx client is closed")
        try:
            return await call.send()
        except HTTPX_ERRORS as error:
            failure = translated(error, host=call.host, phase="send", secrets=secrets)
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

    def _api_call(self, transfer: Transfer, exchange: Exchange) -> Call:
        name = getattr(self.tokens, "parameter", "access_token")
        token = {name: transfer.token} if transfer.token else {}
        transfer.host = self.hosts.current
        url = api_url(transfer.host, exchange.path)
        query = query_of(token | dict(exchange.params))
        extensions = self._extensions()
        extensions["may_resend"] = (
            transfer.may_resend if exchange.repeatable else _never
        )
        if exchange.json is None and self.shortcut and self.shortcut.is_open():
            return self._short_call(self.shortcut, exchange, url, query, extensions)
        request = self._api_request(exchange, url, query, extensions)
        return self._call(request, self._send_ours)

    def _short_call(
        self,
        way: ShortWay,
        exchange: Exchange,
        url: httpx.URL,
        query: str,
        extensions: Extensions,
    ) -> Call:
        extensions["target"] = target_of(url, query)

        async def send() -> HttpReply:
            answer = await way.send(
                exchange.method, url, exchange.headers, exchange.body, extensions
            )
            return HttpReply(*answer)

        return Call(url.host, extensions["timeout"], send)

    def _call(
        self,
        request: httpx.Request,
        send: Callable[[httpx.Request], Awaitable[HttpReply]],
    ) -> Call:
        timeouts = request.extensions["timeout"]
        return Call(request.url.host, timeouts, partial(send, request))

    def _api_request(
        self,
        exchange: Exchange,
        url: httpx.URL,
        query: str,
        extensions: Extensions,
    ) -> httpx.Request:
        request = self.http.build_request(
            exchange.method,
            url,
            headers={**HEADERS, **exchange.headers},
            content=exchange.body,
            json=exchange.json,
            extensions=extensions,
        )
        if exchange.body is not None:
            # httpx wraps it, and a transport that knows files would not see one.
            request.stream = exchange.body
        # Parameters of the client's own take the place of those in a URL.
        secret = secret_url(url, query)
        request.url = with_defaults(secret, self.http.params)
        return request

    def _link_request(self, transfer: Transfer, url: str) -> httpx.Request:
        link = _parsed(url)
        transfer.host = ""  # none of ours, if it cannot be reached
        extensions = self._extensions() | {"may_resend": transfer.may_resend}
        if link.userinfo or not same_origin(link, httpx.URL(self.hosts.current)):
            host = link.raw_host.decode("ascii")
            addresses.check_link(link.scheme, host, link.userinfo)
            extensions["guard_address"] = partial(addresses.check_address, host=host)
        request = httpx.Request("GET", link, headers=HEADERS, extensions=extensions)
        request.url = SecretURL(request.url)
        return request

    def _extensions(self) -> Extensions:
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


def _nothing_held() -> None:
    """There is no slot to be given back."""


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
