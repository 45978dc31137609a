"""Sources that can be read at any place: paths, bytes, files with a position."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeAlias, cast

import anyio
import anyio.to_thread
import attrs

from ._errors import SourceChanged
from ._files import FileIO

READ_SIZE = 64 * 1024
"""Bytes of a chunk."""

FIRST = 64
"""Bytes that tell the kind of a media."""

_BATCH = 1024 * 1024

ReadAt: TypeAlias = Callable[[int, int], Awaitable[bytes]]
"""Reads at most so many bytes from an offset; none at the end."""


@attrs.define(eq=False, repr=False)
class Located:
    """A source that can be read at any place."""

    size: int
    filename: str | None
    read_at: ReadAt
    content_type: str | None = None
    first: bytes = b""
    fileno: int | None = None
    offset: int = 0
    step: int = READ_SIZE
    check: Callable[[], None] = lambda: None
    replayable: bool = True

    def chunks(self) -> AsyncIterator[bytes]:
        return _LocatedPass(self.size, self.step, self.read_at, self.check)


class _LocatedPass(AsyncIterator[bytes]):
    """
    One reading of a source.

    Not an async generator: who reads it may drop it half-way, and then nobody
    would close one.
    """

    def __init__(
        self, size: int, step: int, read_at: ReadAt, check: Callable[[], None]
    ) -> None:
        self._size = size
        self._step = step
        self._read_at = read_at
        self._check = check
        self._done = 0

    async def __anext__(self) -> bytes:
        if self._done == self._size:
            raise StopAsyncIteration
        left = self._size - self._done
        chunk = as_bytes(await self._read_at(self._done, min(self._step, left)))
        self._done += len(chunk)
        if not chunk:
            raise SourceChanged(f"ended after {self._done} of {self._size} bytes")
        if self._done == self._size:
            await self._check_end()
        return chunk

    async def _check_end(self) -> None:
        """Before the last bytes are handed out: what follows would be too late."""
        if await self._read_at(self._size, 1):
            raise SourceChanged(f"grew beyond its {self._size} bytes")
        self._check()


def open_path(
    path: os.PathLike[str], file_io: FileIO, stack: AsyncExitStack
) -> Located:
    fd = os.open(path, os.O_RDONLY | _NO_WAIT | getattr(os, "O_BINARY", 0))
    stack.callback(os.close, fd)
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(
            errno.EISDIR, os.strerror(errno.EISDIR), os.fsdecode(path)
        )
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("a path must lead to a plain file")

    def check() -> None:
        # Of the descriptor: it was written to. Of the path: it was replaced.
        if _identity(os.fstat(fd)) != before or _identity(os.stat(path)) != before:
            raise SourceChanged("the file was changed or replaced while it was sent")

    before = _identity(status)
    read = _in_thread if file_io == "thread" else _inline
    return Located(
        size=status.st_size,
        filename=os.path.basename(os.fsdecode(path)),
        read_at=lambda offset, size: read(os.pread, fd, size, offset),
        first=os.pread(fd, FIRST, 0),
        fileno=fd,
        step=_BATCH if file_io == "thread" else READ_SIZE,
        check=check,
    )


# A FIFO would block the open until somebody writes to it.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def open_buffer(
    source: bytes | bytearray | memoryview, stack: AsyncExitStack
) -> Located:
    whole = memoryview(source)
    if not whole.c_contiguous:
        whole = memoryview(whole.tobytes())
    view = stack.enter_context(whole.cast("B"))

    async def read_at(offset: int, size: int) -> bytes:
        return bytes(view[offset : offset + size])

    return Located(view.nbytes, None, read_at, first=bytes(view[:FIRST]))


def open_seekable(file: Any, file_io: FileIO, stack: AsyncExitStack) -> Located:
    start = file.tell()
    size = file.seek(0, os.SEEK_END) or file.tell()
    stack.push(_Rewind(file.seek, start, max(size, start)).__exit__)

    def read(offset: int, count: int) -> bytes:
        # Two uploads may read the same file: each read says where.
        file.seek(start + offset)
        return cast("bytes", file.read(count))

    run = _in_thread if file_io == "thread" else _inline
    return Located(
        size=max(size - start, 0),
        filename=base_name(file),
        read_at=lambda offset, count: run(read, offset, count),
        first=as_bytes(read(0, FIRST)),
        step=_BATCH if file_io == "thread" else READ_SIZE,
    )


async def open_async_seekable(file: Any, stack: AsyncExitStack) -> Located:
    start = await file.tell()
    await file.seek(0, os.SEEK_END)
    size = max(await file.tell() - start, 0)

    async def read_at(offset: int, count: int) -> bytes:
        await file.seek(start + offset)
        return cast("bytes", await file.read(count))

    rewind = _AsyncRewind(file.seek, start, start + size)
    stack.push_async_exit(rewind.__aexit__)
    return Located(
        size, base_name(file), read_at, first=as_bytes(await read_at(0, FIRST))
    )


class _Rewind:
    """Leave a file where it stood, or behind what was sent of it."""

    def __init__(self, seek: Callable[[int], object], start: int, end: int) -> None:
        self._seek, self._start, self._end = seek, start, end

    def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
        self._seek(self._end if exc is None else self._start)


class _AsyncRewind:
    """The same for an async file."""

    def __init__(
        self, seek: Callable[[int], Awaitable[object]], start: int, end: int
    ) -> None:
        self._seek, self._start, self._end = seek, start, end

    async def __aexit__(self, exc_type: object, exc: object, traceback: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._seek(self._end if exc is None else self._start)


async def _inline(function: Callable[..., Any], *args: object) -> Any:
    return function(*args)


async def _in_thread(function: Callable[..., Any], *args: object) -> Any:
    return await anyio.to_thread.run_sync(function, *args)


def base_name(file: Any) -> str | None:
    name = getattr(file, "name", None)
    return os.path.basename(name) if isinstance(name, str) else None


def as_bytes(chunk: object) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, (bytearray, memoryview)):
        return bytes(cast("bytearray", chunk))
    raise TypeError(f"a source must give bytes, not {type(chunk).__name__}")
