"""Where disk calls run: on the event loop, or in threads for slow disks."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, TypeVar, TypeVarTuple

import anyio
import anyio.to_thread

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

FileIO: TypeAlias = Literal["inline", "thread"]
"""Where disk calls run: on the event loop, or in threads for slow disks."""

# Going to a thread and back costs more than moving less than this.
_BATCH = 1024 * 1024


class Disk(Protocol):
    """
    Runs the disk calls for one file.

    Attributes:
        batch: Bytes that are worth a call; 0 where a call costs next to nothing.
    """

    batch: int

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        """Return what *function* returns."""
        ...

    async def finish(self, clean_up: Callable[[], object]) -> None:
        """
        Call *clean_up* after whatever still runs; nothing runs after it.

        Happens under cancellation as well. *clean_up* must bear to be called
        twice.
        """
        ...


def disk_for(file_io: FileIO) -> Disk:
    """Return where the calls for one file run."""
    return _Threads() if file_io == "thread" else _INLINE


class _Inline:
    batch = 0

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        return function(*args)

    async def finish(self, clean_up: Callable[[], object]) -> None:
        clean_up()


_INLINE = _Inline()


class _Threads:
    """
    One call at a time, each in some thread.

    asyncio's own ``Task.cancel()``, and so ``asyncio.timeout()``, takes the task
    away from a call that goes on in its thread, whatever shields it. Calls take
    turns so that no descriptor is closed, and given to another file, while a
    forgotten call still writes to it.
    """

    batch = _BATCH

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._finished = False

    async def run(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        return await anyio.to_thread.run_sync(lambda: self._call(function, *args))

    async def finish(self, clean_up: Callable[[], object]) -> None:
        try:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._finish, clean_up)
        except BaseException:
            # Another Task.cancel() may have come before the thread began.
            self._finish(clean_up)
            raise

    def _call(self, function: Callable[[*Ts], T], *args: *Ts) -> T:
        with self._turn:
            if self._finished:
                raise OSError(errno.EBADF, os.strerror(errno.EBADF))
            return function(*args)

    def _finish(self, clean_up: Callable[[], object]) -> None:
        with self._turn:
            self._finished = True
            clean_up()
