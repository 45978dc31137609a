"""A token that the processes of one host share in a file."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import attrs

from .._models import AccessToken

# Between two looks at what another process holds, in seconds.
_PATIENCE = 0.02

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tokens (key TEXT PRIMARY KEY, value TEXT, expires_at REAL)
WITHOUT ROWID
"""

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


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
        sqlite3.DatabaseError: The file, or that of a lock, is something else.

        OSError: A file could not be made.
    """

    path: str | os.PathLike[str]

    async def load(self, key: str) -> AccessToken | None:
        """Return the token that was saved last, also when it has expired."""
        return await _in_turn(self._load, key)

    async def save(self, key: str, token: AccessToken) -> None:
        """Replace the token."""
        await _in_turn(self._save, key, token)

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncGenerator[None]:
        """Keep all other processes out, and all other tasks of this one."""
        hold = _Hold(f"{os.fspath(self.path)}-{key[:32]}.lock")
        try:
            await _in_turn(hold.begin)
            yield
        finally:
            # Not in a thread, as nothing must come between. It does not touch
            # the disk.
            hold.end()

    def _load(self, key: str) -> AccessToken | None:
        query = "SELECT value, expires_at FROM tokens WHERE key = ?"
        with self._database() as database:
            row = database.execute(query, (key,)).fetchone()
        if row is None:
            return None
        return AccessToken(row[0], datetime.fromtimestamp(row[1], UTC))

    def _save(self, key: str, token: AccessToken) -> None:
        row = (key, token.value, token.expires_at.timestamp())
        with self._database() as database:
            database.execute("REPLACE INTO tokens VALUES (?, ?, ?)", row)

    @contextmanager
    def _database(self) -> Generator[sqlite3.Connection]:
        path = os.fspath(self.path)
        with _named(path), closing(_connect(path)) as database:
            database.execute(_SCHEMA)
            yield database


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
        with self._mutex, _named(self._path):
            if self._over:
                return
            if self._connection is None:
                self._connection = _connect(self._path)
            # Else it would write a journal, for nothing.
            self._connection.execute("PRAGMA journal_mode = MEMORY")
            self._connection.execute("BEGIN IMMEDIATE")

    def end(self) -> None:
        with self._mutex:
            self._over = True
            if self._connection is not None:
                self._connection.close()


async def _in_turn(work: Callable[[*Ts], T], *args: *Ts) -> T:
    """
    Do *work* in a thread, when no other process is in its way.

    SQLite could wait by itself, but a thread that waits cannot be cancelled.
    """
    while True:
        try:
            return await anyio.to_thread.run_sync(work, *args)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
        await anyio.sleep(_PATIENCE)


def _connect(path: str) -> sqlite3.Connection:
    _make_private(path)
    # Each call may run in another thread; never two at a time.
    return sqlite3.connect(
        path, timeout=0.0, isolation_level=None, check_same_thread=False
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


@contextmanager
def _named(path: str) -> Generator[None]:
    """Say which file it is: SQLite's errors do not."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        error.add_note(f"the file is {path}")
        raise
