"""A rate that is shared among processes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import anyio

from tests.fakes import FakeWeChat, client_of
from wxmedia_async import Rate, RedisRateLimiter


async def starts(limiter: RedisRateLimiter, count: int) -> list[float]:
    """Let *count* callers go at once, and return when each may start."""
    moments: list[float] = []

    async def call() -> None:
        await limiter.acquire()
        moments.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        for _ in range(count):
            group.start_soon(call)
    return sorted(moments)


async def test_no_window_has_more_starts(redis: Any) -> None:
    """Never more than so many starts in any window, over all limiters of a key."""
    one = RedisRateLimiter(redis, Rate(5, per=0.2))
    other = RedisRateLimiter(redis, Rate(5, per=0.2))
    moments: list[float] = []

    async def take(limiter: RedisRateLimiter) -> None:
        moments.extend(await starts(limiter, 8))

    async with anyio.create_task_group() as group:
        group.start_soon(take, one)
        group.start_soon(take, other)

    moments.sort()
    windows = [
        later - first for first, later in zip(moments, moments[5:], strict=False)
    ]
    assert len(moments) == 16
    assert min(windows) > 0.2 - 0.05  # a process may be late for its start
    assert moments[-1] - moments[0] > 0.5


async def test_the_first_ones_start_at_once(redis: Any) -> None:
    """As long as the window is not full nobody waits."""
    moments = await starts(RedisRateLimiter(redis, Rate(50, per=3600.0)), 50)

    assert moments[-1] - moments[0] < 60.0
    assert all(a <= b for a, b in pairwise(moments))


async def test_a_cancelled_caller_harms_nobody(redis: Any) -> None:
    """Who gives up gives up its start; the next one's is later, and comes."""
    limiter = RedisRateLimiter(redis, Rate(1, per=0.1))
    await limiter.acquire()
    with anyio.move_on_after(0.01) as gave_up:
        await limiter.acquire()

    with anyio.fail_after(5):
        await limiter.acquire()

    assert gave_up.cancelled_caught


async def test_keys_are_apart_and_forgotten(redis: Any) -> None:
    """Other keys have other windows, and the server forgets them in time."""
    await RedisRateLimiter(redis, Rate(1, per=9.0), key="one").acquire()
    with anyio.fail_after(5):
        await RedisRateLimiter(redis, Rate(1, per=9.0), key="two").acquire()

    assert 0 < await redis.pttl("one") <= 11_000


async def test_a_lower_rate_counts_at_once(redis: Any) -> None:
    """Who restarts with fewer calls on the same key is held to these."""
    await starts(RedisRateLimiter(redis, Rate(50, per=3600.0)), 50)
    lower = RedisRateLimiter(redis, Rate(1, per=0.1))

    moments = await starts(lower, 4)

    assert moments[-1] - moments[0] > 0.25
    assert await redis.llen("wxmedia:rate") == 1


async def test_a_client_keeps_to_it(redis: Any) -> None:
    """`rate=` takes it: each exchange is a call."""
    service = FakeWeChat(stored={"m": b"\xff\xd8\xff"})
    limiter = RedisRateLimiter(redis, Rate(2, per=0.1))

    async with client_of(service, rate=limiter) as client:
        began = anyio.current_time()
        for _ in range(4):
            await client.read("m")

    assert anyio.current_time() - began >= 0.09


def test_repr_names_key_and_rate() -> None:
    """The repr tells what is shared."""

    class Nothing:
        def register_script(self, script: str) -> None:
            return None

    limiter = RedisRateLimiter(Nothing(), Rate(2, per=0.1))  # type: ignore[arg-type]

    assert (
        repr(limiter) == "RedisRateLimiter(Rate(calls=2, per=0.1), key='wxmedia:rate')"
    )
