"""A pace that the processes of many hosts share in a Redis server."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, cast

import anyio

from .._models import Rate
from ._redis import FAREWELL, told

# Each start has a moment and a place, the name of the caller that it belongs to. A
# moment is given in one step of the server, by the server's clock, so that callers
# on all machines start in one order. In microseconds.
#
# The first key holds all moments: those of the past for as long as they count, those
# that somebody waits for, and those that were given back. The second one holds these.
#
# Who asks again while they wait may find that somebody before them has given up, and
# gets that moment, if nobody who came earlier waits for it. It is exchanged for their
# own, so that the moments stay as they are, and with them the number in any window.
_ASK = """
local moments, returned = KEYS[1], KEYS[2]
local calls, per, place = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local function text(moment) return string.format('%.0f', moment) end

local function waiting_between(earlier, later)
    local range = {'(' .. earlier, later and '(' .. later or '+inf'}
    return redis.call('ZCOUNT', moments, unpack(range))
        - redis.call('ZCOUNT', returned, unpack(range))
end

-- What was given back and not taken in time has started nobody.
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', returned, '-inf', text(now))) do
    redis.call('ZREM', moments, gone)
    redis.call('ZREM', returned, gone)
end
redis.call('ZREMRANGEBYSCORE', moments, '-inf', text(now - per))

local own = redis.call('ZSCORE', moments, place)
if own and tonumber(own) <= now then return 0 end
own = own and text(own)

local function taken()
    local free = redis.call(
        'ZRANGEBYSCORE', returned, '-inf', own and '(' .. own or '+inf')
    for _, other in ipairs(free) do
        local moment = text(redis.call('ZSCORE', returned, other))
        if waiting_between(moment, own) == 0 then
            redis.call('ZADD', moments, moment, place)
            if own then
                redis.call('ZADD', moments, own, other)
                redis.call('ZADD', returned, own, other)
            else
                redis.call('ZREM', moments, other)
                redis.call('ZREM', returned, other)
            end
            return moment
        end
    end
end

local function newest()
    local start = now
    local full = redis.call('ZREVRANGE', moments, calls - 1, calls - 1, 'WITHSCORES')
    if full[2] then start = math.max(now, tonumber(full[2]) + per) end
    redis.call('ZADD', moments, text(start), place)
    return start
end

local start = tonumber(taken() or own or newest())
local last = redis.call('ZREVRANGE', moments, 0, 0, 'WITHSCORES')[2]
local kept = math.ceil((tonumber(last) - now + per) / 1000) + 1000
redis.call('PEXPIRE', moments, kept)
redis.call('PEXPIRE', returned, kept)
return start - now
"""

_GIVE_BACK = """
local own = redis.call('ZSCORE', KEYS[1], ARGV[1])
if own then
    redis.call('ZADD', KEYS[2], own, ARGV[1])
    redis.call('PEXPIRE', KEYS[2], redis.call('PTTL', KEYS[1]))
end
"""

# How often to look whether somebody earlier has given up, in seconds.
_OFTENEST = 0.05
_RAREST = 1.0


class ScriptRunner(Protocol):
    """What we need of a client of redis-py, `redis.asyncio.Redis`."""

    def register_script(self, script: str, /) -> Callable[..., Awaitable[object]]: ...


class RedisRateLimiter:
    """
    One pace for all processes that use the same key; asyncio only.

    Never more than so many starts in any window of time, by the server's clock;
    whom its answer reaches late starts late. A caller that is cancelled while it
    waits gives its start back, and those who wait behind it move up.

    Args:
        redis: A client of redis-py, which stays yours. Its `socket_timeout` bounds
            each command.

        rate: How many calls may start within some time.

        key: What the processes have in common.

    Raises:
        ConnectionError: By `acquire`: the server cannot be reached.

        TimeoutError: It does not answer in time.

        OSError: It refuses.
    """

    def __init__(
        self, redis: ScriptRunner, rate: Rate, *, key: str = "wxmedia:rate"
    ) -> None:
        self._ask = redis.register_script(_ASK)
        self._give_back = redis.register_script(_GIVE_BACK)
        self._key = key
        self._rate = rate
        self._look = max(_OFTENEST, min(_RAREST, rate.per / 4))

    def __repr__(self) -> str:
        return f"RedisRateLimiter({self._rate}, key={self._key!r})"

    async def acquire(self) -> None:
        """Return when one more call may start."""
        place = secrets.token_hex(8)
        try:
            await self._moment_of(place)
        except anyio.get_cancelled_exc_class():
            await self._left(place)
            raise

    async def _moment_of(self, place: str) -> None:
        """Wait for it, and look now and then whether it has come nearer."""
        wait = await self._wait_of(place)
        while wait > self._look:
            await anyio.sleep(self._look)
            wait = await self._wait_of(place)
        if wait > 0:
            await anyio.sleep(wait)

    async def _wait_of(self, place: str) -> float:
        per = round(self._rate.per * 1_000_000)
        with told():
            wait = await self._ask(
                keys=self._keys(), args=[self._rate.calls, per, place]
            )
        return cast("int", wait) / 1_000_000

    async def _left(self, place: str) -> None:
        # If it fails the moment passes unused, and harms nobody.
        with anyio.move_on_after(FAREWELL, shield=True), suppress(OSError), told():
            await self._give_back(keys=self._keys(), args=[place])

    def _keys(self) -> list[str]:
        # In a cluster what stands in braces decides where a key is, for both the same.
        return [f"{{{self._key}}}:moments", f"{{{self._key}}}:returned"]
