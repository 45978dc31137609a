from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import attrs
import pytest
from anyio.abc import TaskGroup

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


class StandingClock(Clock):
    """A time that passes only where it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(monkeypatch)
        self._sleepers: dict[anyio.Event, float] = {}

    async def sleep_until(self, moment: float) -> None:
        waked = anyio.Event()
        self._sleepers[waked] = moment
        try:
            await waked.wait()
        finally:
            self._sleepers.pop(waked, None)

    async def pass_to(self, moment: float) -> None:
        self.now = 1000.0 + moment
        for waked, due in list(self._sleepers.items()):
            if due <= self.now:
                waked.set()
        await anyio.wait_all_tasks_blocked()


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


@attrs.define(eq=False)
class Line:
    """Callers of a limiter, each of whom can be cancelled, and a clock to move on."""

    limiter: RateLimiter
    clock: StandingClock
    group: TaskGroup
    started: list[tuple[str, float]] = attrs.Factory(list)
    scopes: dict[str, anyio.CancelScope] = attrs.Factory(dict)

    async def join(self, names: str) -> None:
        for name in names:
            self.group.start_soon(self._call, name)
            await anyio.wait_all_tasks_blocked()

    async def leave(self, name: str) -> None:
        self.scopes[name].cancel()
        await anyio.wait_all_tasks_blocked()

    async def pass_to(self, moment: float) -> None:
        await self.clock.pass_to(moment)

    async def _call(self, name: str) -> None:
        with anyio.CancelScope() as self.scopes[name]:
            await self.limiter.acquire()
            self.started.append((name, self.clock.now - 1000.0))


@asynccontextmanager
async def a_line(rate: Rate, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    """A line whose clock stands still, until it is told to go on."""
    clock = StandingClock(monkeypatch)
    async with anyio.create_task_group() as group:
        yield Line(LocalRateLimiter(rate), clock, group)
        group.cancel_scope.cancel()


async def test_callers_start_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who comes first is first."""
    async with a_line(Rate(1, per=10.0), monkeypatch) as line:
        await line.join("ABCD")
        for moment in (10, 20, 30):
            await line.pass_to(moment)

        assert line.started == [("A", 0), ("B", 10), ("C", 20), ("D", 30)]


@pytest.mark.parametrize("leaving", ["B", "C", "D", "BC", "DB", "BCD"])
async def test_a_cancelled_caller_gives_its_moment_back(
    monkeypatch: pytest.MonkeyPatch, leaving: str
) -> None:
    """Those behind it move up, in their order, and no window sees more starts."""
    async with a_line(Rate(1, per=10.0), monkeypatch) as line:
        await line.join("ABCDE")
        await line.pass_to(4)
        for name in leaving:
            await line.leave(name)
        await line.join("F")
        for moment in (10, 20, 30, 40, 50):
            await line.pass_to(moment)

        rest = [name for name in "BCDEF" if name not in leaving]
        moments = [10.0 * (place + 1) for place in range(len(rest))]
        assert line.started == [("A", 0.0), *zip(rest, moments, strict=True)]


async def test_a_late_start_counts_from_when_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the event loop was busy, the next one starts later as well."""
    async with a_line(Rate(1, per=10.0), monkeypatch) as line:
        await line.join("ABC")
        await line.pass_to(17)
        await line.pass_to(20)
        early = list(line.started)
        await line.pass_to(27)

        assert early == [("A", 0), ("B", 17)]
        assert line.started[2:] == [("C", 27)]


def test_plain_rate_becomes_a_limiter() -> None:
    """A Rate is made a limiter; a limiter of the user's is used as it is."""
    limiter = limiter_for(Rate(1, per=1.0))

    assert isinstance(limiter, LocalRateLimiter)
    assert limiter_for(limiter) is limiter
    assert limiter_for(None) is None
