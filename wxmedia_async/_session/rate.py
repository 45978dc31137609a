from __future__ import annotations

from collections import deque

import anyio
import attrs

from .._models import Rate, RateLimiter


@attrs.define(eq=False)
class LocalRateLimiter:
    """
    Never more than so many starts in any window of time, in this process.

    Each caller is given its moment when it comes, in one step that nothing can
    interrupt, so callers start in their order.
    """

    _rate: Rate
    _starts: deque[float] = attrs.field(factory=deque[float], init=False)

    async def acquire(self) -> None:
        now = anyio.current_time()
        start = self._next_start(now)
        if start > now:
            await anyio.sleep_until(start)

    def _next_start(self, now: float) -> float:
        if len(self._starts) < self._rate.calls:
            start = now
        else:
            start = max(now, self._starts.popleft() + self._rate.per)
        self._starts.append(start)
        return start


def limiter_for(rate: Rate | RateLimiter | None) -> RateLimiter | None:
    """Make a limiter of a plain `Rate`."""
    if isinstance(rate, Rate):
        return LocalRateLimiter(rate)
    if rate is not None and not callable(getattr(rate, "acquire", None)):
        raise TypeError("rate is a Rate, or has a method acquire()")
    return rate
