"""Sharing a token, and a pace, among processes and machines."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, cast

import anyio
import anyio.to_thread
import attrs

from ._models import AccessToken, Rate

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

# Between two looks at a lock that others hold, in seconds.
_PATIENCE = 0.02

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (key TEXT PRIMARY KEY, value TEXT, expires_at REAL)
WITHOUT ROWID
"""


@attrs.frozen
class FileTokenStore:
    """
    Shares tokens among the processes of one host, in an SQLite file.

    The lock of a key is a transaction of a file beside it, so it ends with the
    process that holds it, however that ends. All files are for their owner
    alone (mode 0600). Not for network disks, whose locks cannot be relied on.

    Attributes:
        path: The file; made where there is none. Its folder must exist.

    Raises:
        sqlite3.DatabaseError: The file is something else.
    """

    path: str | os.PathLike[str]

    async def load(self, key: str) -> AccessToken | None:
        return await anyio.to_thread.run_sync(self._load, key)

    async def save(self, key: str, token: AccessToken) -> None:
        await anyio.to_thread.run_sync(self._save, key, token)

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None]:
        path = f"{os.fspath(self.path)}-{key[:32]}.lock"
        connection = await anyio.to_thread.run_sync(_connect, path, 0.0)
        try:
            # Another process may hold it, so there is no event to wait for.
            while not await anyio.to_thread.run_sync(  # noqa: ASYNC110
                _begin, connection
            ):
                await anyio.sleep(_PATIENCE)
            yield
        finally:
            # Closing ends the transaction, and with it the lock.
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(connection.close)

    def _load(self, key: str) -> AccessToken | None:
        query = "SELECT value, expires_at FROM tokens WHERE key = ?"
        with closing(self._open()) as database:
            row = database.execute(query, (key,)).fetchone()
        if row is None:
            return None
        return AccessToken(row[0], datetime.fromtimestamp(row[1], UTC))

    def _save(self, key: str, token: AccessToken) -> None:
        row = (key, token.value, token.expires_at.timestamp())
        with closing(self._open()) as database:
            database.execute("REPLACE INTO tokens VALUES (?, ?, ?)", row)

    def _open(self) -> sqlite3.Connection:
        database = _connect(os.fspath(self.path), 30.0)
        try:
            database.execute(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database


def _connect(path: str, patience: float) -> sqlite3.Connection:
    _make_private(path)
    # Each call may run in another thread; never two at a time.
    return sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )


def _make_private(path: str) -> None:
    """
    Make the file for its owner alone, if it is not there.

    Not by opening it under its name: a descriptor of ours that is closed would
    take along the locks that SQLite holds on that file in this process.
    """
    if os.path.exists(path):
        return
    draft = f"{path}.{secrets.token_hex(8)}"
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.unlink(draft)


def _begin(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


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
        redis: A client of redis-py, which stays yours.

        prefix: What the names of all keys begin with.

        lock_ttl: Seconds after which a lock ends whose holder has died.
    """

    _redis: Redis = attrs.field(repr=False)
    prefix: str = attrs.field(default="wxmedia:", kw_only=True)
    lock_ttl: float = attrs.field(default=30.0, kw_only=True)

    async def load(self, key: str) -> AccessToken | None:
        found = await self._redis.get(self._name(key))
        if found is None:
            return None
        facts = cast("dict[str, Any]", json.loads(cast("str | bytes", found)))
        ends = datetime.fromtimestamp(facts["expires_at"], UTC)
        return AccessToken(facts["value"], ends)

    async def save(self, key: str, token: AccessToken) -> None:
        ends = token.expires_at.timestamp()
        left = ends - datetime.now(UTC).timestamp()
        facts = json.dumps({"value": token.value, "expires_at": ends})
        await self._redis.set(self._name(key), facts, px=max(int(left * 1000), 1))

    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        return _held(self._redis, f"{self._name(key)}:lock", self.lock_ttl)

    def _name(self, key: str) -> str:
        return f"{self.prefix}token:{key}"


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
        with anyio.CancelScope(shield=True), suppress(LockNotOwnedError):
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
    start = math.max(now, tonumber(redis.call('LPOP', KEYS[1])) + per)
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', start))
redis.call('PEXPIRE', KEYS[1], math.ceil((start - now + per) / 1000) + 1000)
return start - now
"""


class RedisRateLimiter:
    """
    One pace for all processes that use the same key; asyncio only.

    Never more than so many starts in any window of time. A caller that is
    cancelled while it waits gives its start up, and harms nobody.

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
