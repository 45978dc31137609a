"""A token, and a pace, that the processes of many hosts share in a Redis server."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import anyio
import attrs
from attrs.validators import gt

from .._models import AccessToken, Rate

# Between two looks at a lock that others hold, in seconds.
_PATIENCE = 0.02

# What giving a lock back may take, in seconds. It ends by itself if it must.
_FAREWELL = 5.0


class RedisLock(Protocol):
    """What we need of a lock of redis-py."""

    def acquire(self, *, token: bytes) -> Awaitable[bool]: ...

    def do_release(self, expected_token: bytes) -> Awaitable[None]: ...


class Redis(Protocol):
    """What we need of a client of redis-py, `redis.asyncio.Redis`."""

    def get(self, name: str, /) -> Awaitable[object]: ...

    def set(self, name: str, value: str, /, *, px: int) -> Awaitable[object]: ...

    def lock(self, name: str, timeout: float, sleep: float, /) -> RedisLock: ...

    def register_script(self, script: str, /) -> Callable[..., Awaitable[object]]: ...


@attrs.frozen
class RedisTokenStore:
    """
    Shares tokens among machines, in a Redis or Valkey server; asyncio only.

    Attributes:
        redis: A client of redis-py, which stays yours. Its `socket_timeout` bounds
            each command.

        prefix: What the names of all keys begin with.

        lock_ttl: Seconds after which a lock ends whose holder has died. A fetch
            that takes longer may be done twice.

    Raises:
        redis.exceptions.RedisError: The server does not answer, or refuses.
    """

    _redis: Redis = attrs.field(repr=False)
    prefix: str = attrs.field(default="wxmedia:", kw_only=True)
    lock_ttl: float = attrs.field(default=30.0, kw_only=True, validator=gt(0))

    async def load(self, key: str) -> AccessToken | None:
        """Return the token that was saved last, unless it has expired."""
        found = await self._redis.get(self._name(key))
        return None if found is None else _parsed(cast("str | bytes", found))

    async def save(self, key: str, token: AccessToken) -> None:
        """Replace the token; the server forgets it when it expires."""
        ends = token.expires_at.timestamp()
        left = ends - datetime.now(UTC).timestamp()
        facts = json.dumps({"value": token.value, "expires_at": ends})
        await self._redis.set(self._name(key), facts, px=max(int(left * 1000), 1))

    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        """Keep all others out, for `lock_ttl` at most."""
        return _held(self._redis, f"{self._name(key)}:lock", self.lock_ttl)

    def _name(self, key: str) -> str:
        return f"{self.prefix}token:{key}"


def _parsed(found: str | bytes) -> AccessToken | None:
    """What is no token, of another version say, is none: it will be replaced."""
    try:
        facts = cast("dict[str, Any]", json.loads(found))
        ends = datetime.fromtimestamp(facts["expires_at"], UTC)
        return AccessToken(facts["value"], ends)
    except (ValueError, TypeError, LookupError, OverflowError):
        return None


@asynccontextmanager
async def _held(redis: Redis, name: str, ttl: float) -> AsyncGenerator[None]:
    from redis.exceptions import LockNotOwnedError

    lock, token = _lock(redis, name, ttl), secrets.token_hex(16).encode()
    try:
        await lock.acquire(token=token)
        yield
    finally:
        # Also when acquiring was cancelled: the server may have granted it. And
        # it may have ended by itself by now.
        with (
            anyio.move_on_after(_FAREWELL, shield=True),
            suppress(LockNotOwnedError),
        ):
            await lock.do_release(token)


def _lock(redis: Any, name: str, ttl: float) -> RedisLock:
    return cast("RedisLock", redis.lock(name, timeout=ttl, sleep=_PATIENCE))


# The next start is given in one step of the server, by the server's clock, so
# that callers on all machines start in one order. In microseconds.
_NEXT_START = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local calls, per = tonumber(ARGV[1]), tonumber(ARGV[2])
local start = now
if redis.call('LLEN', KEYS[1]) >= calls then
    redis.call('LTRIM', KEYS[1], -calls, -1)
    start = math.max(now, tonumber(redis.call('LPOP', KEYS[1])) + per)
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', start))
redis.call('PEXPIRE', KEYS[1], math.ceil((start - now + per) / 1000) + 1000)
return start - now
"""


class RedisRateLimiter:
    """
    One pace for all processes that use the same key; asyncio only.

    Never more than so many starts in any window of time, by the server's clock;
    whom its answer reaches late starts late. A caller that is cancelled while it
    waits gives its start up, and harms nobody.

    Args:
        redis: A client of redis-py, which stays yours.

        rate: How many calls may start within some time.

        key: What the processes have in common.
    """

    def __init__(self, redis: Redis, rate: Rate, *, key: str = "wxmedia:rate") -> None:
        self._next_start = redis.register_script(_NEXT_START)
        self._key = key
        self._rate = rate

    def __repr__(self) -> str:
        return f"RedisRateLimiter({self._rate}, key={self._key!r})"

    async def acquire(self) -> None:
        """Return when one more call may start."""
        per = round(self._rate.per * 1_000_000)
        wait = await self._next_start(keys=[self._key], args=[self._rate.calls, per])
        if (microseconds := cast("int", wait)) > 0:
            await anyio.sleep(microseconds / 1_000_000)
