"""The lock of a file, among processes and in this one."""

from __future__ import annotations

import errno
import sys
from contextlib import suppress
from typing import Protocol

_TAKEN = frozenset({errno.EACCES, errno.EAGAIN, errno.EDEADLK})

# Far behind what is ever written: on Windows nobody reads what is locked.
_LOCKED_BYTE = 2**62


class Lockable(Protocol):
    """A file that is not buffered."""

    def fileno(self) -> int: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


def lock(file: Lockable) -> bool:
    """Lock the file; False where somebody else has. Ends with this process."""
    try:
        _change(file, begin=True)
    except OSError as error:
        # Anything else is a disk without locks.
        return error.errno not in _TAKEN
    return True


def unlock(file: Lockable) -> None:
    """Let others lock the file."""
    with suppress(OSError):
        _change(file, begin=False)


def _change(file: Lockable, *, begin: bool) -> None:
    if sys.platform == "win32":  # pragma: no cover  - there is msvcrt on Windows alone
        import msvcrt

        file.seek(_LOCKED_BYTE)
        mode = msvcrt.LK_NBLCK if begin else msvcrt.LK_UNLCK
        msvcrt.locking(file.fileno(), mode, 1)
    else:
        import fcntl

        operation = fcntl.LOCK_EX | fcntl.LOCK_NB if begin else fcntl.LOCK_UN
        fcntl.flock(file.fileno(), operation)
