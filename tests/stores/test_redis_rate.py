"""A rate that is shared among processes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Generator
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from unittest.mock import Mock

import anyio
import pytest
from redis import exceptions as errors

from tests.fakes import FakeWeChat, client_of
from tests.interrupting import cancelled_at, torn_at
from wxmedia_async import AccessToken, Rate, RedisRateLimiter, RedisTokenStore


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
    assert min(windows) > 0.2 - 0.1  # a process may be late for its start
    assert moments[-1] - moments[0] > 0.5


async def test_the_first_ones_start_at_once(redis: Any) -> None:
    """As long as the window is not full nobody waits."""
    moments = await starts(RedisRateLimiter(redis, Rate(50, per=3600.0)), 50)

    assert moments[-1] - moments[0] < 60.0
    assert all(a <= b for a, b in pairwise(moments))


class Line:
    """Callers of one rate, 1 start in 1000 seconds, who ask when they are told to."""

    def __init__(self, redis: Any, rate: Rate = Rate(1, per=1000.0)) -> None:
        self._limiter = RedisRateLimiter(redis, rate)

    async def asks(self, place: str) -> float:
        """Tell how many seconds the caller is to wait, all in all."""
        return round(await self._limiter._wait_of(place), -1)

    async def leaves(self, place: str) -> None:
        await self._limiter._left(place)


async def test_who_gives_up_lets_those_behind_move_up(redis: Any) -> None:
    """In their order: each gets the moment of the one before, and asks for it."""
    line = Line(redis)
    before = [await line.asks(place) for place in "ABCD"]

    await line.leaves("B")
    newcomer = await line.asks("E")
    too_early = await line.asks("D")
    after = [await line.asks(place) for place in "CDE"]

    assert before == [0, 1000, 2000, 3000]
    assert (newcomer, too_early) == (4000, 3000)
    assert after == [1000, 2000, 3000]


@pytest.mark.parametrize("leaving", ["B", "C", "D", "BC", "CB", "BD", "BCD", "DCB"])
async def test_what_was_given_back_is_given_to_the_next(
    redis: Any, leaving: str
) -> None:
    """All moments that were given back are used, and none is given twice."""
    line = Line(redis)
    for place in "ABCD":
        await line.asks(place)

    for place in leaving:
        await line.leaves(place)
    rest = [place for place in "BCD" if place not in leaving] + list("EF")
    for _ in range(4):
        waits = [await line.asks(place) for place in rest]

    assert waits == [1000.0 * (number + 1) for number in range(len(rest))]


async def test_no_window_has_more_starts_where_some_give_up(redis: Any) -> None:
    """Whoever gives up in whatever order, the moments keep to the rate."""
    calls, chance = 3, random.Random(7)
    line, waiting = Line(redis, Rate(calls, per=1000.0)), list[str]()

    for number in range(200):
        await line.asks(f"{number}")
        waiting.append(f"{number}")
        if chance.random() < 0.4:
            await line.leaves(waiting.pop(chance.randrange(len(waiting))))
        if waiting and chance.random() < 0.5:
            await line.asks(chance.choice(waiting))

    held = await redis.zrange("{wxmedia:rate}:moments", 0, -1, withscores=True)
    given_back = await redis.zrange("{wxmedia:rate}:returned", 0, -1)
    moments = [score for _, score in held]
    apart = [b - a for a, b in zip(moments, moments[calls:], strict=False)]
    assert min(apart) >= 1000e6
    assert {place for place, _ in held} - set(given_back) >= {
        place.encode() for place in waiting
    }


async def test_a_moment_that_nobody_took_has_started_nobody(redis: Any) -> None:
    """When it has passed unused, the next one counts from the last real start."""
    limiter = RedisRateLimiter(redis, Rate(1, per=0.2))
    began = anyio.current_time()
    await limiter.acquire()
    with anyio.move_on_after(0.05) as gave_up:
        await limiter.acquire()
    await anyio.sleep_until(began + 0.25)

    with anyio.fail_after(0.15):
        await limiter.acquire()

    assert gave_up.cancelled_caught


@pytest.mark.parametrize(
    ("interrupted", "nth"),
    # Where redis-py waits, it may forget a Task.cancel().
    [(cancelled_at, 1), (cancelled_at, 2), (cancelled_at, 3), (torn_at, 2)],
)
async def test_a_caller_that_is_cancelled_gives_its_moment_back(
    redis: Any, interrupted: Callable[..., Awaitable[bool]], nth: int
) -> None:
    """Wherever it is cancelled, by a scope or Task.cancel(), the next one gets it."""
    limiter = RedisRateLimiter(redis, Rate(1, per=1000.0))
    await limiter.acquire()

    with anyio.fail_after(30):
        assert await interrupted(limiter.acquire, nth)

    assert await Line(redis).asks("next") == 1000


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (errors.ConnectionError("Error 111"), ConnectionError),
        (errors.AuthenticationError("no"), ConnectionError),
        (errors.TimeoutError("Timeout reading"), TimeoutError),
        (errors.OutOfMemoryError("OOM command SECRET"), OSError),
        (errors.ResponseError("ERR unknown command, beginning with: SECRET"), OSError),
        (errors.RedisClusterException("SECRET"), OSError),
    ],
)
@pytest.mark.parametrize("use", ["rate", "load", "save", "lock"])
async def test_failures_of_redis_are_oserrors(
    raised: Exception, expected: type[OSError], use: str
) -> None:
    """What redis-py raises leaves as the OSError that it is, with no value in it."""

    class Broken:
        def __getattr__(self, name: str) -> Callable[..., Any]:
            return self._lock if name == "lock" else self._script

        def _lock(self, *_: object, **__: object) -> Any:
            return Mock(acquire=self, do_release=self)

        def _script(self, *_: object, **__: object) -> Any:
            return self

        async def __call__(self, *_: object, **__: object) -> None:
            raise raised

        def __await__(self) -> Generator[None]:
            raise raised
            yield

    broken: Any = Broken()
    store = RedisTokenStore(broken)

    async def lock() -> None:
        async with store.lock("key"):
            pass

    uses: dict[str, Callable[[], Awaitable[object]]] = {
        "rate": RedisRateLimiter(broken, Rate(1, per=1.0)).acquire,
        "load": lambda: store.load("key"),
        "save": lambda: store.save("key", AccessToken("SECRET", datetime.now(UTC))),
        "lock": lock,
    }

    with pytest.raises(expected) as failed:
        await uses[use]()

    assert type(failed.value) is expected
    assert str(failed.value).startswith("Redis: ")
    assert "SECRET" not in str(failed.value) or expected is not OSError
    assert failed.value.__cause__ is None


async def test_keys_are_apart_and_forgotten(redis: Any) -> None:
    """Other keys have other windows, and the server forgets them in time."""
    await RedisRateLimiter(redis, Rate(1, per=9.0), key="one").acquire()
    with anyio.fail_after(5):
        await RedisRateLimiter(redis, Rate(1, per=9.0), key="two").acquire()

    assert 0 < await redis.pttl("{one}:moments") <= 11_000


async def test_a_lower_rate_counts_at_once(redis: Any) -> None:
    """Who restarts with fewer calls on the same key is held to these."""
    await starts(RedisRateLimiter(redis, Rate(50, per=3600.0)), 50)
    lower = RedisRateLimiter(redis, Rate(1, per=0.1))

    moments = await starts(lower, 4)

    assert moments[-1] - moments[0] > 0.25
    assert await redis.zcard("{wxmedia:rate}:moments") <= 2


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
