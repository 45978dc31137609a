"""When an exchange may start: the bound, the pace, and the pauses."""

from __future__ import annotations

import math

import anyio
import attrs

from .._errors import MediaError, RateLimited, TransferTimeout
from .._models import RateLimiter
from .bounds import Bound


@attrs.define(eq=False, repr=False)
class Slots:
    """
    Leave for one exchange at a time, headers and body.

    Shared by all calls of a client, so the bound is one over all of them.
    """

    _bound: Bound
    _rate: RateLimiter | None
    _resumes: float = attrs.field(default=-math.inf, init=False)

    @property
    def width(self) -> int:
        """The most exchanges that will ever be in flight."""
        return self._bound.highest

    def acquire_at_once(self) -> bool:
        """Take a slot if one is free, and nothing else is to be waited for."""
        if self._rate is not None or self.paused:
            return False
        try:
            self._bound.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def release(self) -> None:
        """Give a slot back; any task may, once for each that was taken."""
        self._bound.release()

    async def acquire(self, timeout: float | None) -> None:
        """
        Take a slot.

        Raises:
            TransferTimeout: When none is free within *timeout* seconds.
        """
        if self._rate is not None:
            await self._rate.acquire()
        with anyio.move_on_after(timeout) as scope:
            await self._bound.acquire()
        if scope.cancelled_caught:
            raise TransferTimeout(f"no slot was free for {timeout} s", phase="slot")

    def succeeded(self) -> None:
        """Take note that the service kept up."""
        self._bound.succeeded()

    def failed(self, failure: MediaError, began: float) -> None:
        """Take note of why an exchange that *began* then has failed."""
        if isinstance(failure, RateLimited):
            self.pause(failure.retry_after)
        self._bound.failed(failure, began)

    def pause(self, seconds: float) -> None:
        """Start no further exchange for *seconds*: WeChat wants fewer calls."""
        self._resumes = max(self._resumes, anyio.current_time() + seconds)

    @property
    def paused(self) -> bool:
        """Whether no exchange may start now."""
        # Most services never want a pause, and the clock costs something.
        return self._resumes > -math.inf and self._resumes > anyio.current_time()

    async def end_of_pause(self, allowed: float) -> None:
        """
        Wait until exchanges may start again.

        Raises:
            RateLimited: At once, when that is more than *allowed* seconds away.
        """
        while (left := self._resumes - anyio.current_time()) > 0:
            if left > allowed:
                raise _paused(left)
            await anyio.sleep(left)


def _paused(seconds: float) -> RateLimited:
    error = RateLimited("paused, since WeChat wants fewer calls")
    error.retry_after = seconds
    return error
