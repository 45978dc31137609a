"""One fetch for everybody who needs a token."""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import anyio
import attrs
from anyio.lowlevel import EventLoopToken, current_token

from .._errors import MediaError
from .._foreign import Raised
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

# Refused tokens that are remembered, should a slow fetch or a store bring them.
_REMEMBERED = 8

# Between two looks at what another event loop does, in seconds.
_PATIENCE = 0.02


@attrs.define(eq=False, repr=False)
class TokenCache:
    """
    A token that is fetched once for everybody who needs it.

    Whoever comes first fetches in their own task, the rest wait for that. If
    the fetching one is cancelled, one of the waiting takes over; if the fetch
    fails, it has failed for all who waited.

    It may be shared by several event loops, in several threads: each waits for
    fetches of its own only, and all have what any of them fetched.
    """

    _clock: Callable[[], float] = time.monotonic
    # Both are values that are replaced whole, and so can be read in any thread.
    _current: _Held | None = attrs.field(default=None, init=False)
    _refused: tuple[str, ...] = attrs.field(default=(), init=False)
    _flights: dict[EventLoopToken, _Flight] = attrs.field(
        factory=dict[EventLoopToken, "_Flight"], init=False
    )
    _budget: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _forced: deque[float] = attrs.field(factory=deque[float], init=False)
    _is_forcing: bool = attrs.field(default=False, init=False)

    def is_known(self, value: str) -> bool:
        """Tell whether *value* is the token that we have, or one that was refused."""
        held = self._current
        return value in self._refused or (held is not None and held.value == value)

    def other_than(self, rejected: str | None) -> AccessToken | None:
        """Return the current token, if it is good and not *rejected*."""
        held = self._good()
        return None if held is None or held.value == rejected else held.token

    async def get(self, fetch: Callable[[], Awaitable[AccessToken]]) -> str:
        """Return the current token, fetched first if there is none."""
        held = self._good()
        if held is None:
            return await self._shared(fetch, replacing=None)
        if held.ageing(self._clock()):
            return await self._early(fetch, held)
        return held.value

    async def renew(
        self, rejected: str, fetch: Callable[[], Awaitable[AccessToken]]
    ) -> str:
        """Return a token other than *rejected*, unless there is none."""
        if rejected not in self._refused:
            self._refused = (*self._refused, rejected)[-_REMEMBERED:]
        if (other := self.other_than(rejected)) is not None:
            return other.value
        return await self._shared(fetch, replacing=rejected)

    def keep(self, token: AccessToken, *, replacing: str | None) -> str:
        """
        Make a token that was fetched the current one; return what to use.

        A fetch that was begun before a token was refused may bring just that
        one, and after its successor. If it was to replace that very token, and
        there is no other, the service insists on it.
        """
        if token.value in self._refused and (newer := self._good()) is not None:
            return newer.value
        if token.value == replacing:
            self._refused = tuple(one for one in self._refused if one != replacing)
        self._current = _Held.of(token, self._clock())
        return token.value

    def may_force(self) -> bool:
        """Take one forced renewal out of the platform's budget, if it is there."""
        now = self._clock()
        with self._budget:
            while self._forced and now - self._forced[0] >= _DAY:
                self._forced.popleft()
            if len(self._forced) >= _FORCED_PER_DAY:
                return False
            if self._forced and now - self._forced[-1] < _FORCED_APART:
                return False
            self._forced.append(now)
            return True

    @contextmanager
    def forcing(self) -> Generator[None]:
        """Tell other event loops that a renewal is being forced."""
        self._is_forcing = True
        try:
            yield
        finally:
            self._is_forcing = False

    async def end_of_forcing(self) -> None:
        """Wait while another event loop forces a renewal, which is for all."""
        while self._forces():  # noqa: ASYNC110 an event belongs to one event loop
            await anyio.sleep(_PATIENCE)

    def _forces(self) -> bool:
        # Not for ever: a loop that was abandoned does not say that it has ended.
        return self._is_forcing and self._clock() - self._forced[-1] < _FORCED_APART

    def _good(self) -> _Held | None:
        held = self._current
        if held is None or held.value in self._refused or held.ended(self._clock()):
            return None
        return held

    async def _early(
        self, fetch: Callable[[], Awaitable[AccessToken]], held: _Held
    ) -> str:
        # For all others, and should this fail: ask again when half of its rest
        # is over.
        self._current = held.postponed(self._clock())
        try:
            return await self._shared(fetch, replacing=None)
        # Whatever it was, the current one is still good, unless it was refused
        # meanwhile: then it must not come back.
        except Exception:
            if held.value in self._refused:
                raise
            return held.value

    async def _shared(
        self, fetch: Callable[[], Awaitable[AccessToken]], *, replacing: str | None
    ) -> str:
        while (flight := self._flights.get(current_token())) is not None:
            await flight.landed.wait()
            if flight.error is not None:
                raise _own_copy(flight.error)
            if flight.serves(replacing):
                assert flight.token is not None
                return flight.token
            if (other := self.other_than(replacing)) is not None:
                return other.value
        return await self._lead(fetch, replacing=replacing)

    async def _lead(
        self, fetch: Callable[[], Awaitable[AccessToken]], *, replacing: str | None
    ) -> str:
        here = current_token()
        flight = self._flights[here] = _Flight(replacing)
        try:
            flight.token = self.keep(await fetch(), replacing=replacing)
        # Whatever it was has failed for all who wait. A cancellation is no
        # Exception, so then another one takes over.
        except Exception as error:
            flight.error = error
            raise
        else:
            return flight.token
        finally:
            del self._flights[here]
            flight.landed.set()


class Caches:
    """
    A cache for each service, as a token is good at the one that gave it.

    A copy for another process begins with none.
    """

    def __init__(self) -> None:
        self._by_scope: dict[str, TokenCache] = {}

    def __reduce__(self) -> tuple[type[Caches], tuple[()]]:
        return Caches, ()

    def of(self, scope: str) -> TokenCache:
        """Return the one of *scope*; threads that ask at once get the same."""
        if (known := self._by_scope.get(scope)) is not None:
            return known
        return self._by_scope.setdefault(scope, TokenCache())


@attrs.frozen
class _Held:
    """A token on the monotonic clock: the wall clock may jump by a day."""

    token: AccessToken
    ends: float
    renewed_from: float

    @classmethod
    def of(cls, token: AccessToken, now: float) -> _Held:
        left = (token.expires_at - utc_now()).total_seconds()
        return cls(token, now + left, now + left - min(_AHEAD, left * _AHEAD_SHARE))

    @property
    def value(self) -> str:
        return self.token.value

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
    if isinstance(error, Raised):
        return Raised(error.error)
    return copy.copy(error) if isinstance(error, MediaError) else error


def utc_now() -> datetime:
    """Return the time on the wall clock."""
    return datetime.now(UTC)
