"""The only module that sends: tries, token, pace, deadline."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, TypeVar

import anyio
import attrs
import httpx
from attrs.validators import instance_of

from .._errors import (
    ClientClosed,
    MediaError,
    RateLimited,
    TokenRejected,
    TransferError,
    TransferTimeout,
)
from .._events import EventCallback, Story, Subject
from .._models import RetryPolicy
from .._platforms import Platform
from .._tokens.checked import CheckedToken
from .._tokens.providers import TokenCall
from .._wire import replies
from . import nesting
from .lifetime import Lifetime
from .limits import Ending
from .pace import Pace
from .rate import LocalRateLimiter
from .renewals import Renewals
from .reply import Reply
from .requests import Call, Requests
from .retry import wait_before_retry
from .secrets import Hidden, cleaned
from .speed import within_window
from .transfer import Exchange, Obstacle, Transfer, always_repeatable, json_exchange

T = TypeVar("T")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Session:
    """
    Exchanges with the service: authenticated, bounded, and tried again.

    A slot is held for one exchange only, and never while waiting for a token
    or for another exchange. So any number of slots, even one, is enough.
    """

    requests: Requests
    platform: Platform
    pace: Pace
    tokens: CheckedToken | None
    renewals: Renewals
    policy: RetryPolicy = attrs.field(validator=instance_of(RetryPolicy))
    deadline: float | None
    lifetime: Lifetime
    on_event: EventCallback | None = None
    _is_ours: bool = attrs.field(
        init=False,
        default=attrs.Factory(lambda self: self._runs_only_ours(), takes_self=True),
    )

    def run(
        self,
        attempt: Callable[[Transfer], Awaitable[T]],
        subject: Subject | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Do one transfer, whose tries are all there is to it: see `tried()`."""
        return self.bounded(partial(self.tried, attempt), subject)

    def bounded(
        self, work: Callable[[Transfer], Awaitable[T]], subject: Subject | None = None
    ) -> Coroutine[Any, Any, T]:
        """
        Do *work* as one transfer, for as long as the deadline and the client allow.

        Args:
            subject: What is told of it to those who watch; None: nothing, as it is
                a part of another transfer.

        Raises:
            MediaError: The failure, free of secrets.

            Raised: What code of the user's raised.
        """
        if self.on_event is None or subject is None:
            return self._within_limits(work, subject, None)
        return self._watched(work, subject)

    async def _watched(
        self, work: Callable[[Transfer], Awaitable[T]], subject: Subject
    ) -> T:
        assert self.on_event is not None
        story = Story(self.on_event, self.platform.name, subject)
        with story:
            return await self._within_limits(work, subject, story)

    async def _within_limits(
        self,
        work: Callable[[Transfer], Awaitable[T]],
        subject: Subject | None,
        story: Story | None,
    ) -> T:
        self.lifetime.check()
        failure: MediaError | None = None
        scope = self._limit(subject)
        transfer = Transfer(scope, nesting.enclosing(), story)
        with scope:
            self.lifetime.enter(scope)
            try:
                return await work(transfer)
            except MediaError as error:
                failure = error
            finally:
                self.lifetime.leave(scope)
        raise cleaned(failure or self._stopped(transfer), transfer.attempts)

    async def tried(
        self,
        attempt: Callable[[Transfer], Awaitable[T]],
        transfer: Transfer,
        *,
        obstacle: Obstacle = always_repeatable,
    ) -> T:
        """
        Do *attempt* until it succeeds, for as long as deadline and policy allow.

        Args:
            attempt: One try, from its first exchange to its last byte.

            obstacle: Tells whether something stands against another try.

        Raises:
            MediaError: The failure of the last try.
        """
        while True:
            transfer.begin_try()
            try:
                result = await attempt(transfer)
            except MediaError as error:
                failure = error
            else:
                self.pace.succeeded()
                return result
            transfer.asked = False
            self.pace.failed(failure, transfer.began)
            if not await self._recovered(transfer, failure, obstacle):
                raise failure

    async def exchange(self, transfer: Transfer, exchange: Exchange) -> Reply:
        """Send *exchange* with a token, and with a slot that the reply holds."""
        parameter = await self._token(transfer)
        await self._entered(transfer)
        try:
            call = self.requests.api_call(transfer, exchange, parameter)
            secrets = Hidden(parameter.values())
            reply = await self._sent(transfer, call, secrets, self.pace.leave)
        except BaseException:
            self.pace.leave(transfer)
            raise
        if transfer.token is not None:
            reply.on_acceptance(self.renewals.accepted)
        return reply

    async def fetch(
        self, transfer: Transfer, link: httpx.URL, secrets: Hidden
    ) -> Reply:
        """
        Fetch what is elsewhere, with nothing of ours in the request.

        Raises:
            UnsafeURL: When it leads to where no public server is.
        """
        call = self.requests.link_call(transfer, link)
        await self._entered(transfer)
        try:
            return await self._sent(transfer, call, secrets, self.pace.leave)
        except BaseException:
            self.pace.leave(transfer)
            raise

    async def fetch_token(self, call: TokenCall) -> Mapping[str, object]:
        """Call a token endpoint. Takes no slot, so that transfers can wait for it."""
        return await self.run(
            partial(self._token_exchange, call), Subject("token", only_ours=True)
        )

    def interrupted(self) -> MediaError:
        """Tell why a scope of ours was cancelled."""
        if self.lifetime.closed:
            return ClientClosed("the client was closed while this ran")
        return TransferTimeout(f"not done within the deadline of {self.deadline} s")

    async def _token_exchange(
        self, call: TokenCall, transfer: Transfer
    ) -> Mapping[str, object]:
        exchange = json_exchange(call.method, call.path, call.params, call.json)
        request = self.requests.api_call(transfer, exchange, {})
        secrets = Hidden([call.secret])
        async with await self._sent(transfer, request, secrets, _nothing_held) as reply:
            return await reply.json(wecom=self.platform.wecom, token_call=True)

    def _stopped(self, transfer: Transfer) -> MediaError:
        """Tell what has ended a transfer from outside."""
        failure = self.interrupted()
        if transfer.asked and not self.lifetime.closed:
            self.pace.failed(failure, transfer.began)
        return failure

    async def _recovered(
        self, transfer: Transfer, failure: MediaError, obstacle: Obstacle
    ) -> bool:
        """Do what another try needs; False: there is to be none."""
        if transfer.hopeless:
            return False
        if isinstance(failure, TokenRejected):
            return await self._renewed(transfer, failure, obstacle)
        if isinstance(failure, RateLimited):
            # It is waited for where the next try begins, and costs none.
            allowed = failure.retry_after < transfer.time_left()
            return allowed and not _hindered(failure, obstacle)
        if isinstance(failure, TransferError) and _is_for_another_host(failure):
            self.requests.hosts.leave(transfer.host)
        transfer.failures += 1
        wait = wait_before_retry(
            self.policy, failure, failures=transfer.failures, jitter=random.random()
        )
        if wait is None or wait >= transfer.time_left():
            return False
        if _hindered(failure, obstacle):
            return False
        if transfer.story is not None:
            transfer.story.retried(failure, wait)
        await anyio.sleep(wait)
        return True

    async def _renewed(
        self, transfer: Transfer, failure: TokenRejected, obstacle: Obstacle
    ) -> bool:
        """Replace the token that was refused, unless that has led nowhere."""
        token = transfer.token
        if self.tokens is None or token is None:
            return False
        self.renewals.refused(token)
        if _hindered(failure, obstacle):
            return False
        if self.renewals.newest(token) != token:
            return True  # somebody else has replaced it meanwhile
        if self.renewals.exhausted:
            return False
        if await self._replaced(self.tokens, token) == token:
            return False
        if transfer.story is not None:
            transfer.story.renewed()
        return True

    async def _replaced(self, tokens: CheckedToken, token: str) -> str:
        fresh = await tokens.renew(token)
        self.renewals.replaced(token, fresh)
        return fresh

    async def _token(self, transfer: Transfer) -> Mapping[str, str]:
        """Return the query parameter with the token to use."""
        if self.tokens is None:
            return {}
        # A token endpoint has been tried again on its own account already, for
        # all who wait; if each of them did so too, it would be a storm.
        transfer.hopeless = True
        # What a renewal gave counts, whatever get() still says.
        token = self.renewals.newest(await self.tokens.get())
        if self.renewals.exhausted and self.renewals.is_dead(token):
            token = await self._replaced(self.tokens, token)
        transfer.hopeless = False
        transfer.token = token
        return {self.tokens.parameter: token}

    async def _entered(self, transfer: Transfer) -> None:
        """Wait for leave to send, which is bounded as a whole, not for each try."""
        transfer.hopeless = True
        try:
            await self.pace.enter(transfer, self.requests.timeout.pool)
        except RateLimited:
            transfer.attempts -= 1  # nothing was sent
            raise
        transfer.hopeless = False

    async def _sent(
        self,
        transfer: Transfer,
        call: Call,
        secrets: Hidden,
        release: Callable[[Transfer], None],
    ) -> Reply:
        """Send *call*; the reply is to be closed, and gives the slot back then."""
        transfer.asked = True
        status, headers, body = await self.requests.send(call, secrets)
        transfer.asked = False
        timeouts = call.extensions["timeout"]
        timeouts["read"] = within_window(timeouts["read"])
        try:
            head = replies.parse_head(status, headers)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await body.aclose()
            raise
        return Reply(head, call.host, body, secrets, release, transfer)

    def _limit(self, subject: Subject | None) -> Ending:
        is_ours = subject is not None and subject.only_ours and self._is_ours
        only_ours = is_ours and self.requests.only_ours
        return self.lifetime.limits.limit(self.deadline, only_ours=only_ours)

    def _runs_only_ours(self) -> bool:
        """Whether neither tokens nor the rate are code of the user's."""
        tokens, limiter = self.tokens, self.pace.limiter
        return (tokens is None or tokens.only_ours) and (
            limiter is None or isinstance(limiter, LocalRateLimiter)
        )


def _is_for_another_host(failure: TransferError) -> bool:
    """Whether another host may do; none is to be tried for a wrong certificate."""
    return failure.phase.host_at_fault and failure.retryable


def _hindered(failure: MediaError, obstacle: Obstacle) -> bool:
    failure.remark = obstacle(failure)
    return failure.remark is not None


def _nothing_held(_: Transfer) -> None:
    """There is no slot to be given back."""
