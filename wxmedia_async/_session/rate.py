from __future__ import annotations

from collections import deque

import anyio
import attrs

from .._models import Rate, RateLimiter


@attrs.define(eq=False)
class LocalRateLimiter:
    """
    Never more than so many starts in any window of time, in this process.

    Callers wait in a line, and only the first of them for a moment. So one that is
    cancelled takes nothing along, and those behind it move up.
    """

    _rate: Rate
    _starts: deque[float] = attrs.field(init=False)
    _line: anyio.Lock = attrs.field(
        factory=lambda: anyio.Lock(fast_acquire=True), init=False
    )

    def __attrs_post_init__(self) -> None:
        self._starts = deque(maxlen=self._rate.calls)

    async def acquire(self) -> None:
        async with self._line:
            if len(self._starts) == self._rate.calls:
                await self._end_of(self._starts[0] + self._rate.per)
            self._starts.append(anyio.current_time())

    async def _end_of(self, moment: float) -> None:
        if moment > anyio.current_time():
            await anyio.sleep_until(moment)


def limiter_for(rate: Rate | RateLimiter | None) -> RateLimiter | None:
    """Make a limiter of a plain `Rate`."""
    if isinstance(rate, Rate):
        return LocalRateLimiter(rate)
    if rate is not None and not callable(getattr(rate, "acquire", None)):
        raise TypeError("rate must be a Rate, or an object with a method acquire()")
    return rate
