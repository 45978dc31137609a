"""How many exchanges may be in flight."""

from __future__ import annotations

import math
import time
from typing import Protocol

import anyio

from .._errors import MediaError, RateLimited, ServerBusy, TransferTimeout
from .._models import Adaptive

# What is left of the bound after a cut. Half, as in TCP, would leave a service
# that refuses at a fixed number of calls idle for much of the time.
_CUT = 0.75


class Bound(Protocol):
    """
    A number of slots, which may change with what becomes of the exchanges.

    Attributes:
        highest: The most that there will ever be.
    """

    highest: int

    def acquire_nowait(self) -> None:
        """Take a slot; raises `anyio.WouldBlock` where none is free."""
        ...

    async def acquire(self) -> None:
        """Take a slot as soon as one is free."""
        ...

    def release(self) -> None:
        """Give a slot back, in any task."""
        ...

    def succeeded(self) -> None:
        """Take note of an exchange that the service coped with."""
        ...

    def failed(self, failure: MediaError, began: float) -> None:
        """Take note of one that failed, and of when it began, by `time.monotonic`."""
        ...


class FixedBound:
    """Always the same number."""

    def __init__(self, slots: int) -> None:
        if isinstance(slots, bool) or not isinstance(slots, int) or slots < 1:
            raise ValueError("max_concurrency is a whole number of 1 or more")
        self.highest = slots
        free = anyio.Semaphore(slots, fast_acquire=True)
        self.acquire_nowait = free.acquire_nowait
        self.acquire = free.acquire
        self.release = free.release

    def succeeded(self) -> None:
        """Nothing follows from it."""

    def failed(self, failure: MediaError, began: float) -> None:
        """Nothing follows from it."""


class AdaptiveBound:
    """
    Finds the number that the service copes with.

    One slot more for each round of exchanges that went well; a cut when the
    service pushes back. A round that goes badly brings many failures, but they
    tell one thing: what began before the last cut does not count again.
    """

    def __init__(self, range: Adaptive) -> None:
        self._low = range.low
        self.highest = range.high
        self._slots = float(range.low)
        self._last_cut = -math.inf
        self._limiter = anyio.CapacityLimiter(range.low)
        self._holders: list[object] = []

    @property
    def slots(self) -> int:
        """How many there are now."""
        return int(self._limiter.total_tokens)

    def acquire_nowait(self) -> None:
        holder = object()
        self._limiter.acquire_on_behalf_of_nowait(holder)
        self._holders.append(holder)

    async def acquire(self) -> None:
        holder = object()
        await self._limiter.acquire_on_behalf_of(holder)
        self._holders.append(holder)

    def release(self) -> None:
        # The limiter wants to know whose slot it is; to us they are all the same.
        self._limiter.release_on_behalf_of(self._holders.pop())

    def succeeded(self) -> None:
        # An idle client learns nothing of what the service would bear.
        if self._limiter.borrowed_tokens + 1 >= int(self._slots):
            self._set(min(self._slots + 1 / self._slots, self.highest))

    def failed(self, failure: MediaError, began: float) -> None:
        if not isinstance(failure, (ServerBusy, RateLimited, TransferTimeout)):
            return
        if began > self._last_cut:
            self._last_cut = time.monotonic()
            self._set(max(self._slots * _CUT, self._low))

    def _set(self, slots: float) -> None:
        self._slots = slots
        if self._limiter.total_tokens != int(slots):
            self._limiter.total_tokens = int(slots)


def bound_for(concurrency: int | Adaptive) -> Bound:
    """Make the bound that the user asked for."""
    if isinstance(concurrency, Adaptive):
        return AdaptiveBound(concurrency)
    return FixedBound(concurrency)
