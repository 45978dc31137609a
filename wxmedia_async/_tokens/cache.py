"""One fetch for everybody who needs a token."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import anyio
import attrs

from .._errors import MediaError
from .._models import AccessToken

# A token is replaced before it ends: five minutes before, as the old one stays
# usable that long, and sooner after the last fetch where little time is left,
# so that a service that repeats its token is not asked again and again.
_AHEAD = 300.0
_AHEAD_SHARE = 0.1

# https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getStableAccessToken.html
_FORCED_PER_DAY = 20
_FORCED_APART = 30.0
_DAY = 86_400.0


@attrs.define(eq=False, repr=False)
class TokenCache:
    """
    A token that is fetched once for everybody who needs it.

    Whoever comes first fetches in their own task, the rest wait for that. If
    the fetching one is cancelled, one of the waiting takes over; if the fetch
    fails, it has failed for all who waited.
    """

    _clock: Callable[[], float] = time.monotonic
    _current: _Held | None = attrs.field(default=None, init=False)
    _flight: _Flight | None = attrs.field(default=None, init=False)
    _forced: deque[float] = attrs.field(factory=deque[float], init=False)

    @property
    def value(self) -> str | None:
        """The token that was fetched last, if nobody has said it was refused."""
        return None if self._current is None else self._current.value

    async def get(self, fetch: Callable[[], Awaitable[AccessToken]]) -> str:
        """Return the current token, fetched first if there is none."""
        held = self._current
        if held is None or held.ended(self._clock()):
            return await self._shared(fetch, replacing=None)
        if self._flight is None and held.ageing(self._clock()):
            return await self._early(fetch, held)
        return held.value

    async def renew(
        self, rejected: str, fetch: Callable[[], Awaitable[AccessToken]]
    ) -> str:
        """Return a token other than *rejected*, unless there is none."""
        held = self._current
        if held is not None and held.value != rejected:
            return held.value
        self._current = None
        return await self._shared(fetch, replacing=rejected)

    def may_force(self) -> bool:
        """Take one forced renewal out of the platform's budget, if it is there."""
        now = self._clock()
        while self._forced and now - self._forced[0] >= _DAY:
            self._forced.popleft()
        if len(self._forced) >= _FORCED_PER_DAY:
            return False
        if self._forced and now - self._forced[-1] < _FORCED_APART:
            return False
        self._forced.append(now)
        return True

    async def _early(
        self, fetch: Callable[[], Awaitable[AccessToken]], held: _Held
    ) -> str:
        try:
            return await self._lead(fetch, replacing=None)
        # Whatever it was, the current one is still good: ask again when half of
        # its rest is over.
        except Exception:
            # Unless it was refused meanwhile: then it must not come back.
            if self._current is not held:
                raise
            self._current = held.postponed(self._clock())
            return held.value

    async def _shared(
        self, fetch: Callable[[], Awaitable[AccessToken]], *, replacing: str | None
    ) -> str:
        while (flight := self._flight) is not None:
            await flight.landed.wait()
            if flight.error is not None:
                raise _own_copy(flight.error)
            if flight.serves(replacing):
                assert flight.token is not None
                return flight.token
        return await self._lead(fetch, replacing=replacing)

    async def _lead(
        self, fetch: Callable[[], Awaitable[AccessToken]], *, replacing: str | None
    ) -> str:
        flight = self._flight = _Flight(replacing)
        try:
            token = await fetch()
        # A callable of the user's may raise anything, and it fails for all who
        # wait. A cancellation is no Exception, so then another one takes over.
        except Exception as error:
            flight.error = error
            raise
        else:
            flight.token = token.value
            self._current = _Held.of(token, self._clock())
            return token.value
        finally:
            self._flight = None
            flight.landed.set()


@attrs.frozen
class _Held:
    """A token on the monotonic clock: the wall clock may jump by a day."""

    value: str = attrs.field(repr=False)
    ends: float
    renewed_from: float

    @classmethod
    def of(cls, token: AccessToken, now: float) -> _Held:
        left = (token.expires_at - utc_now()).total_seconds()
        return cls(
            token.value, now + left, now + left - min(_AHEAD, left * _AHEAD_SHARE)
        )

    def ended(self, now: float) -> bool:
        return now >= self.ends

    def ageing(self, now: float) -> bool:
        return now >= self.renewed_from

    def postponed(self, now: float) -> _Held:
        return attrs.evolve(self, renewed_from=now + (self.ends - now) / 2)


@attrs.define(eq=False)
class _Flight:
    """A fetch on its way, and what became of it."""

    replacing: str | None = attrs.field(repr=False)
    landed: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    token: str | None = attrs.field(default=None, init=False, repr=False)
    error: Exception | None = attrs.field(default=None, init=False)

    def serves(self, rejected: str | None) -> bool:
        """
        Whether its token answers somebody who wants any but *rejected*.

        A fetch that was begun for another reason may bring the refused token
        once more; one that was to replace it has done what can be done.
        """
        if self.token is None:
            return False
        return self.token != rejected or self.replacing == rejected


def _own_copy(error: Exception) -> Exception:
    """One exception cannot be raised in many tasks: they share its traceback."""
    return copy.copy(error) if isinstance(error, MediaError) else error


def utc_now() -> datetime:
    """Return the time on the wall clock."""
    return datetime.now(UTC)
