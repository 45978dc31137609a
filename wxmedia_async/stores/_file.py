"""A token that the processes of one host share in a file."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from .._local.sqlite import Table, connect, in_turn, told
from .._models import AccessToken

if TYPE_CHECKING:
    import sqlite3

_COLUMNS = "key TEXT PRIMARY KEY, value TEXT, expires_at REAL"


@attrs.frozen
class FileTokenStore:
    """
    Shares tokens among the processes of one host, in an SQLite file.

    The lock of a key is a transaction of a file beside it, so it ends with the
    process that holds it, however that ends. All files are made for their owner
    alone (mode 0600). Not for network disks, whose locks cannot be relied on.

    Attributes:
        path: The file; made where there is none. Its folder must exist.

    Raises:
        OSError: A file could not be made or written, is damaged, or is something
            else. It names the file.
    """

    path: str | os.PathLike[str]

    async def load(self, key: str) -> AccessToken | None:
        """Return the token that was saved last, also when it has expired."""
        return await in_turn(self._load, key)

    async def save(self, key: str, token: AccessToken) -> None:
        """Replace the token."""
        await in_turn(self._save, key, token)

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None]:
        """Keep all other processes out, and all other tasks of this one."""
        hold = _Hold(f"{os.fspath(self.path)}-{key[:32]}.lock")
        try:
            await in_turn(hold.begin)
            yield
        finally:
            # Not in a thread, as nothing must come between. It does not touch
            # the disk.
            hold.end()

    def _load(self, key: str) -> AccessToken | None:
        query = "SELECT value, expires_at FROM tokens WHERE key = ?"
        with self._table().opened() as database:
            row = database.execute(query, (key,)).fetchone()
        return None if row is None else _token_of(*row)

    def _save(self, key: str, token: AccessToken) -> None:
        row = (key, token.value, token.expires_at.timestamp())
        with self._table().opened() as database:
            database.execute("REPLACE INTO tokens VALUES (?, ?, ?)", row)

    def _table(self) -> Table:
        return Table(os.fspath(self.path), "tokens", _COLUMNS)


def _token_of(value: object, expires_at: object) -> AccessToken | None:
    """What is no token is none: it will be replaced."""
    if not isinstance(value, str) or not isinstance(expires_at, float):
        return None
    try:
        return AccessToken(value, datetime.fromtimestamp(expires_at, UTC))
    except (ValueError, OverflowError, OSError):  # no time that there is
        return None


@attrs.define(eq=False)
class _Hold:
    """
    A transaction that a thread begins and anybody ends.

    Task.cancel() of asyncio leaves a thread without waiting for it, so the end
    may come while the transaction begins, and before.
    """

    _path: str
    _mutex: threading.Lock = attrs.field(factory=threading.Lock, init=False)
    _connection: sqlite3.Connection | None = attrs.field(default=None, init=False)
    _over: bool = attrs.field(default=False, init=False)

    def begin(self) -> None:
        with self._mutex, told(self._path):
            if self._over:
                return
            if self._connection is None:
                self._connection = connect(self._path)
            # Else it would write a journal, for nothing.
            self._connection.execute("PRAGMA journal_mode = MEMORY")
            self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        with self._mutex:
            self._over = True
            if self._connection is not None:
                self._connection.close()
