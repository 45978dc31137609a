"""Sources in memory, and files with a position."""

from __future__ import annotations

import inspect
import os
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, AsyncExitStack, nullcontext
from functools import partial
from typing import Protocol, TypeAlias, TypeVar, cast

import anyio

from .._errors import SourceChanged
from .._foreign import sealed
from .._local.disk import Disk, FileIO, disk_for
from .chunks import FIRST, READ_SIZE, Label, Rereadable, as_bytes, clean_up
from .plain_file import open_duplicate, plain_descriptor

T = TypeVar("T")

ReadAt: TypeAlias = Callable[[int, int], Awaitable[bytes]]
"""Reads at most so many bytes from an offset; none at the end."""

Around: TypeAlias = AbstractContextManager[None]
"""What is around each call of a file's methods: `sealed`, if it is the caller's."""


class Seekable(Protocol):
    """A binary file with a position."""

    def read(self, size: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = ..., /) -> object: ...
    def tell(self) -> int: ...


class AsyncSeekable(Protocol):
    """The same, awaited; some wrappers await only what may block."""

    def read(self, size: int, /) -> Awaitable[bytes] | bytes: ...
    def seek(self, offset: int, whence: int = ..., /) -> object: ...
    def tell(self) -> Awaitable[int] | int: ...


def open_buffer(whole: memoryview, label: Label, stack: AsyncExitStack) -> Rereadable:
    """Open what is in memory; it is copied chunk by chunk."""
    view = _flat(stack.enter_context(whole))
    stack.enter_context(view)

    async def read(done: int) -> bytes:
        return view[done : done + READ_SIZE].tobytes()

    async def confirm() -> None:
        """Memory does not grow while there is a view of it."""

    return Rereadable(view.nbytes, label, view[:FIRST].tobytes(), read, confirm)


def _flat(whole: memoryview) -> memoryview:
    try:
        return whole.cast("B")
    except (TypeError, ValueError):
        # Neither every second byte nor a table of records is plain memory.
        return memoryview(whole.tobytes())


async def open_file(
    file: Seekable, label: Label, file_io: FileIO, stack: AsyncExitStack
) -> Rereadable:
    """
    Open *file* from where it stands.

    It is left behind what was sent, or where it stood if anything failed.
    """

    async def leave(failed: object, *_: object) -> None:
        step = partial(_leave, file, start if failed else end)
        await clean_up(partial(disk.finish, step), failed=failed)

    disk = disk_for(file_io)
    with sealed:
        start = end = await disk.run(file.tell)
    stack.push_async_exit(leave)
    with sealed:
        end = await disk.run(_end, file, start)
        fd = plain_descriptor(file)
    if fd is None:
        return await file_between(file, start, end, label, disk, sealed)
    return await stack.enter_async_context(open_duplicate(fd, start, label, file_io))


async def file_between(
    file: Seekable,
    start: int,
    end: int,
    label: Label,
    disk: Disk,
    around: Around = nullcontext(),
) -> Rereadable:
    """Read *file* from *start* to *end*, wherever others move it in between."""

    async def read_at(offset: int, size: int) -> bytes:
        with around:
            return as_bytes(await disk.run(_read_at, file, offset, size))

    return await _between(read_at, start, end, label, max(disk.batch, READ_SIZE))


async def open_async_file(
    file: AsyncSeekable, label: Label, stack: AsyncExitStack
) -> Rereadable:
    """Do the same as `open_file` for a file that is awaited."""

    async def read_at(offset: int, size: int) -> bytes:
        async with turn:
            with sealed:
                await settled(file.seek(offset))
                return as_bytes(await settled(file.read(size)))

    async def leave(failed: object, *_: object) -> None:
        async def step() -> None:
            await settled(_leave(file, start if failed else end))

        await clean_up(step, failed=failed)

    turn = anyio.Lock(fast_acquire=True)
    with sealed:
        start = end = await settled(file.tell())
    stack.push_async_exit(leave)
    with sealed:
        await settled(file.seek(0, os.SEEK_END))
        end = max(await settled(file.tell()), start)
    return await _between(read_at, start, end, label, READ_SIZE)


async def settled(value: Awaitable[T] | T) -> T:
    """Await *value* if need be: what a call returns says whether it is async."""
    if inspect.isawaitable(value):
        return await cast("Awaitable[T]", value)
    return value


async def _between(
    read_at: ReadAt, start: int, end: int, label: Label, step: int
) -> Rereadable:
    size = end - start

    async def read(done: int) -> bytes:
        return await read_at(start + done, min(step, size - done))

    async def confirm() -> None:
        if await read_at(end, 1):
            raise SourceChanged(f"the source grew beyond its {size} bytes")

    return Rereadable(size, label, await read_at(start, FIRST), read, confirm)


def _end(file: Seekable, start: int) -> int:
    file.seek(0, os.SEEK_END)
    return max(file.tell(), start)


def _read_at(file: Seekable, offset: int, size: int) -> bytes:
    # Two uploads may read the same file by turns, so each read says where.
    file.seek(offset)
    return file.read(size)


def _leave(file: Seekable | AsyncSeekable, offset: int) -> object:
    """The caller may have closed the file by now."""
    return None if getattr(file, "closed", False) is True else file.seek(offset)
