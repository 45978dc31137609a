"""A token that the processes of many hosts share in a Redis server."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Awaitable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from datetime import UTC, datetime
from typing import Any, Protocol, cast

import anyio
import attrs
from attrs.validators import gt

from .._models import AccessToken

# Between two looks at a lock that others hold, in seconds.
_PATIENCE = 0.02

# What giving a lock back may take, in seconds. It ends by itself if it must.
FAREWELL = 5.0


class RedisLock(Protocol):
    """What we need of a lock of redis-py."""

    def acquire(self, *, token: bytes) -> Awaitable[bool]: ...

    def do_release(self, expected_token: bytes) -> Awaitable[None]: ...


class Redis(Protocol):
    """What we need of a client of redis-py, `redis.asyncio.Redis`."""

    def get(self, name: str, /) -> Awaitable[object]: ...

    def set(self, name: str, value: str, /, *, px: int) -> Awaitable[object]: ...

    def lock(self, name: str, timeout: float, sleep: float, /) -> RedisLock: ...


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
        ConnectionError: The server cannot be reached, or lets nobody in.

        TimeoutError: It does not answer in time.

        OSError: It refuses, being full for example.
    """

    _redis: Redis = attrs.field(repr=False)
    prefix: str = attrs.field(default="wxmedia:", kw_only=True)
    lock_ttl: float = attrs.field(default=30.0, kw_only=True, validator=gt(0))

    async def load(self, key: str) -> AccessToken | None:
        """Return the token that was saved last, unless it has expired."""
        with told():
            found = await self._redis.get(self._name(key))
        return None if found is None else _parsed(cast("str | bytes", found))

    async def save(self, key: str, token: AccessToken) -> None:
        """Replace the token; the server forgets it when it expires."""
        ends = token.expires_at.timestamp()
        left = ends - datetime.now(UTC).timestamp()
        facts = json.dumps({"value": token.value, "expires_at": ends})
        with told():
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
    lock, token = _lock(redis, name, ttl), secrets.token_hex(16).encode()
    try:
        with told():
            await lock.acquire(token=token)
        yield
    finally:
        # Also when acquiring was cancelled: the server may have granted it. And
        # it may have ended by itself by now, as it will if this fails.
        with anyio.move_on_after(FAREWELL, shield=True), suppress(OSError), told():
            await lock.do_release(token)


def _lock(redis: Any, name: str, ttl: float) -> RedisLock:
    return cast("RedisLock", redis.lock(name, timeout=ttl, sleep=_PATIENCE))


@contextmanager
def told() -> Generator[None]:
    """Turn redis-py's errors into the OSErrors that they are."""
    from redis import exceptions as theirs

    try:
        yield
    except (theirs.RedisError, theirs.RedisClusterException) as error:
        # Not from it: its frames hold what was to be stored.
        raise _os_error(error) from None


def _os_error(error: Exception) -> OSError:
    from redis import exceptions as theirs

    if isinstance(error, theirs.TimeoutError):
        return TimeoutError(f"Redis: {error}")
    if isinstance(error, theirs.ConnectionError):
        return ConnectionError(f"Redis: {error}")
    name = type(error).__name__
    if isinstance(error, theirs.ResponseError):
        # But for its first word an answer may quote the command, and so a token.
        return OSError(f"Redis: {name} {str(error).partition(' ')[0]}")
    return OSError(f"Redis: {name}")
