from __future__ import annotations

import anyio
import pytest

from wxmedia_async import Rate, RateLimiter
from wxmedia_async._session.rate import LocalRateLimiter, limiter_for


class Clock:
    """A time that passes only where somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(anyio, "current_time", lambda: self.now)
        monkeypatch.setattr(anyio, "sleep_until", self.sleep_until)

    async def sleep_until(self, moment: float) -> None:
        await anyio.lowlevel.checkpoint()
        self.now = max(self.now, moment)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


async def starts(limiter: RateLimiter, clock: Clock, calls: int) -> list[float]:
    moments: list[float] = []
    for _ in range(calls):
        await limiter.acquire()
        moments.append(clock.now - 1000.0)
    return moments


async def test_never_more_in_a_window(clock: Clock) -> None:
    """No window of *per* seconds sees more than *calls* starts."""
    limiter = LocalRateLimiter(Rate(3, per=60.0))

    moments = await starts(limiter, clock, 7)

    assert moments == [0, 0, 0, 60, 60, 60, 120]


async def test_window_slides(clock: Clock) -> None:
    """The window is any window, not one that begins with the minute."""
    limiter = LocalRateLimiter(Rate(2, per=10.0))

    await limiter.acquire()
    clock.now += 6
    moments = await starts(limiter, clock, 3)

    assert moments == [6, 10, 16]


async def test_idle_time_saves_nothing(clock: Clock) -> None:
    """After a long rest there are no more starts at once than ever."""
    limiter = LocalRateLimiter(Rate(2, per=10.0))
    await starts(limiter, clock, 2)

    clock.now += 1000
    moments = await starts(limiter, clock, 3)

    assert moments == [1000, 1000, 1010]


async def test_callers_start_in_their_order(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each caller is given its moment when it comes, so who comes first is first."""
    limiter = LocalRateLimiter(Rate(1, per=10.0))
    moments: list[float] = []

    async def sleep_until(moment: float) -> None:
        moments.append(moment - 1000.0)
        await anyio.sleep_forever()

    monkeypatch.setattr(anyio, "sleep_until", sleep_until)
    async with anyio.create_task_group() as callers:
        for _ in range(4):
            callers.start_soon(limiter.acquire)
            await anyio.wait_all_tasks_blocked()
        callers.cancel_scope.cancel()

    assert moments == [10, 20, 30]


async def test_cancelled_caller_harms_nobody(clock: Clock) -> None:
    """A caller that gives up leaves its moment unused, and no more."""
    limiter = LocalRateLimiter(Rate(1, per=10.0))
    await limiter.acquire()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await limiter.acquire()
    moments = await starts(limiter, clock, 1)

    assert moments == [20]


def test_plain_rate_becomes_a_limiter() -> None:
    """A Rate is made a limiter; a limiter of the user's is used as it is."""
    limiter = limiter_for(Rate(1, per=1.0))

    assert isinstance(limiter, LocalRateLimiter)
    assert limiter_for(limiter) is limiter
    assert limiter_for(None) is None
