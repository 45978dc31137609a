"""
Tables in SQLite files, which the processes of one host share.

All failures leave as OSError, never as sqlite3's own: a caller need not know what
keeps the values.
"""

from __future__ import annotations

import errno
import math
import os
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread
import attrs

# Most programs need no file, and would load this for nothing.
if TYPE_CHECKING:
    import sqlite3

# Between two looks at what another process holds, in seconds.
_PAUSE = 0.02

# "wxma": whose file it is. Version 0.1.0 wrote neither this nor a version.
_APPLICATION = 0x77786D61
_VERSION = 1

# POSIX takes all of a process's locks on a file away when any of its descriptors
# of that file is closed. So nobody here opens a file that is just being made.
_MAKING = threading.Lock()

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@attrs.frozen
class Table:
    """
    A table of a file; both are made where there is none.

    Attributes:
        path: The file. Its folder must exist; not on a network disk.

        name: The table.

        columns: Its columns, as SQL.
    """

    path: str
    name: str
    columns: str

    @contextmanager
    def opened(self) -> Generator[sqlite3.Connection]:
        """
        Connect, for one piece of work in a thread; each statement is committed.

        Raises:
            BlockingIOError: Another process holds the file just now; see `in_turn`.

            OSError: The file is damaged, another program's or of a later version,
                or the disk fails.
        """
        with told(self.path), closing(connect(self.path)) as database:
            if _is_new(database, self.path):
                _sign(database)
            database.execute(
                f"CREATE TABLE IF NOT EXISTS {self.name} ({self.columns}) WITHOUT ROWID"
            )
            yield database


async def in_turn(
    work: Callable[[*Ts], T], *args: *Ts, patience: float = math.inf
) -> T:
    """
    Do *work* in a thread, when no other process is in its way.

    SQLite could wait by itself, but a thread that waits cannot be cancelled.

    Raises:
        BlockingIOError: Others were in its way for *patience* seconds.
    """
    end = anyio.current_time() + patience
    while True:
        try:
            return await anyio.to_thread.run_sync(work, *args)
        except BlockingIOError:
            if anyio.current_time() >= end:
                raise
        await anyio.sleep(_PAUSE)


def connect(path: str) -> sqlite3.Connection:
    """
    Open the file, for its owner alone where it is made, and wait for nobody.

    Raises:
        OSError: It could not be made.

        sqlite3.Error: It could not be opened; see `told`.
    """
    import sqlite3

    with _MAKING:
        _make_private(path)
    # Each call may run in another thread; never two at a time.
    return sqlite3.connect(
        path, timeout=0.0, isolation_level=None, check_same_thread=False
    )


@contextmanager
def told(path: str) -> Generator[None]:
    """Turn SQLite's errors into the OSErrors that they are, naming the file."""
    import sqlite3

    try:
        yield
    except sqlite3.Error as error:
        raise OSError(_errno_of(error), str(error), path) from None


def _errno_of(error: sqlite3.Error) -> int:
    import sqlite3

    # Where SQLite says more than one number tells, the lowest byte is the kind.
    kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return {
        sqlite3.SQLITE_BUSY: errno.EAGAIN,
        sqlite3.SQLITE_LOCKED: errno.EAGAIN,
        sqlite3.SQLITE_FULL: errno.ENOSPC,
        sqlite3.SQLITE_NOMEM: errno.ENOMEM,
        sqlite3.SQLITE_READONLY: errno.EROFS,
        sqlite3.SQLITE_PERM: errno.EACCES,
        sqlite3.SQLITE_AUTH: errno.EACCES,
    }.get(kind, errno.EIO)


def _make_private(path: str) -> None:
    if os.path.exists(path):
        return
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _is_new(database: sqlite3.Connection, path: str) -> bool:
    """Look whose file it is."""
    ((application,),) = database.execute("PRAGMA application_id")
    ((version,),) = database.execute("PRAGMA user_version")
    if application == _APPLICATION and version <= _VERSION:
        return False
    if application == _APPLICATION:
        raise OSError(errno.EINVAL, f"written by a later version ({version})", path)
    if application or version:
        raise OSError(errno.EINVAL, "a database of another program", path)
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    if tables and not tables & {"tokens", "uploads"}:
        raise OSError(errno.EINVAL, "a database of another program", path)
    return True


def _sign(database: sqlite3.Connection) -> None:
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    database.execute(f"PRAGMA user_version = {_VERSION}")
