"""Whatever a user may upload -> a body that can be read again."""

from __future__ import annotations

import errno
import inspect
import io
import os
import stat
import tempfile
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
)
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, cast

import anyio
import anyio.to_thread
import attrs

from ._errors import SourceChanged, TooLarge
from ._files import FileIO

READ_SIZE = 64 * 1024
_BATCH = 1024 * 1024
_FIRST = 64
_IN_MEMORY = 1024 * 1024

ReadAt = Callable[[int, int], Awaitable[bytes]]
"""Reads at most so many bytes from an offset; none at the end."""


class OpenSource(Protocol):
    """
    A source whose length is known.

    Attributes:
        size: The bytes that will be sent.

        filename: The source's own base name, or None.

        content_type: What the source says it is, or None.

        first: Its first bytes, to tell the kind by.

        replayable: Whether `chunks()` may be called more than once.

        fileno: A descriptor of a plain file that can be read at any place, or
            None.

        offset: Where in that file the source begins.
    """

    size: int
    filename: str | None
    content_type: str | None
    first: bytes
    replayable: bool
    fileno: int | None
    offset: int

    def chunks(self) -> AsyncIterator[bytes]:
        """Read it from its beginning; raises SourceChanged if it is another now."""
        ...


@asynccontextmanager
async def open_source(
    source: object, *, size: int | None, limit: int | None, file_io: FileIO
) -> AsyncGenerator[OpenSource]:
    """
    Open *source*, and learn its length.

    Args:
        source: See `_models.Source`.

        size: Its length in bytes, where it cannot tell.

        limit: The most bytes to spool, where its length is not known.

        file_io: Where the disk is read.

    Raises:
        TypeError: It is none of the things that can be uploaded.

        SourceChanged: It contradicts *size*.

        TooLarge: More than *limit* bytes had to be spooled.
    """
    if size is not None and size < 0:
        raise ValueError("size must not be negative")
    async with AsyncExitStack() as stack:
        opened = await _opened(source, size, limit, file_io, stack)
        if size not in (None, opened.size):
            raise SourceChanged(f"{opened.size} bytes, size={size} was given")
        yield opened


async def _opened(
    source: object,
    size: int | None,
    limit: int | None,
    file_io: FileIO,
    stack: AsyncExitStack,
) -> OpenSource:
    if isinstance(source, (str, os.PathLike)):
        return await _open_path(cast("os.PathLike[str]", source), file_io, stack)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return await _open_buffer(source, stack)
    if (upload := _form_upload(source)) is not None:
        return await _open_form_upload(upload, file_io, stack)
    if callable(getattr(source, "read", None)):
        return await _open_file(cast("Any", source), size, limit, file_io, stack)
    if isinstance(source, AsyncIterable):
        flow = cast("AsyncIterable[bytes]", source)
        return await _open_flow(flow, None, size, limit, stack)
    raise TypeError(
        "a source is a path, bytes, a binary file, an async file or an async"
        f" iterable of bytes, not {type(source).__name__}"
    )


@attrs.define(eq=False, repr=False)
class _Located:
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
        chunk = _as_bytes(await self._read_at(self._done, min(self._step, left)))
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


async def _open_path(
    path: os.PathLike[str], file_io: FileIO, stack: AsyncExitStack
) -> OpenSource:
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
    return _Located(
        size=status.st_size,
        filename=os.path.basename(os.fsdecode(path)),
        read_at=lambda offset, size: read(os.pread, fd, size, offset),
        first=os.pread(fd, _FIRST, 0),
        fileno=fd,
        step=_BATCH if file_io == "thread" else READ_SIZE,
        check=check,
    )


# A FIFO would block the open until somebody writes to it.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


async def _open_buffer(
    source: bytes | bytearray | memoryview, stack: AsyncExitStack
) -> OpenSource:
    whole = memoryview(source)
    if not whole.c_contiguous:
        whole = memoryview(whole.tobytes())
    view = stack.enter_context(whole.cast("B"))

    async def read_at(offset: int, size: int) -> bytes:
        return bytes(view[offset : offset + size])

    return _Located(view.nbytes, None, read_at, first=await read_at(0, _FIRST))


def _form_upload(source: object) -> Any:
    """Starlette's UploadFile awaits a thread for each read of its own file."""
    file, named = getattr(source, "file", None), hasattr(source, "filename")
    return source if named and callable(getattr(file, "read", None)) else None


async def _open_form_upload(
    upload: Any, file_io: FileIO, stack: AsyncExitStack
) -> OpenSource:
    opened = await _open_seekable(upload.file, file_io, stack)
    opened.filename = upload.filename
    opened.content_type = getattr(upload, "content_type", None)
    return opened


async def _open_file(
    file: Any,
    size: int | None,
    limit: int | None,
    file_io: FileIO,
    stack: AsyncExitStack,
) -> OpenSource:
    if isinstance(file, io.TextIOBase):
        raise TypeError("a file must be opened in binary mode")
    if inspect.iscoroutinefunction(file.read):
        if _has_position(file):
            return await _open_async_seekable(file, stack)
        return await _open_flow(_Reads(file.read), _name(file), size, limit, stack)
    if _has_position(file) and _is_seekable(file):
        return await _open_seekable(file, file_io, stack)
    reads = _Reads(lambda count: anyio.to_thread.run_sync(file.read, count))
    return await _open_flow(reads, _name(file), size, limit, stack)


def _has_position(file: Any) -> bool:
    return callable(getattr(file, "seek", None)) and callable(
        getattr(file, "tell", None)
    )


def _is_seekable(file: Any) -> bool:
    # Files that do not say so, such as SpooledTemporaryFile before 3.11, are.
    return bool(getattr(file, "seekable", lambda: True)())


async def _open_seekable(file: Any, file_io: FileIO, stack: AsyncExitStack) -> _Located:
    start = file.tell()
    size = file.seek(0, os.SEEK_END) or file.tell()
    stack.push(_Rewind(file.seek, start, max(size, start)).__exit__)

    def read(offset: int, count: int) -> bytes:
        # Two uploads may read the same file: each read says where.
        file.seek(start + offset)
        return cast("bytes", file.read(count))

    run = _in_thread if file_io == "thread" else _inline
    return _Located(
        size=max(size - start, 0),
        filename=_name(file),
        read_at=lambda offset, count: run(read, offset, count),
        first=_as_bytes(read(0, _FIRST)),
        step=_BATCH if file_io == "thread" else READ_SIZE,
    )


async def _open_async_seekable(file: Any, stack: AsyncExitStack) -> OpenSource:
    start = await file.tell()
    await file.seek(0, os.SEEK_END)
    size = max(await file.tell() - start, 0)

    async def read_at(offset: int, count: int) -> bytes:
        await file.seek(start + offset)
        return cast("bytes", await file.read(count))

    rewind = _AsyncRewind(file.seek, start, start + size)
    stack.push_async_exit(rewind.__aexit__)
    return _Located(
        size, _name(file), read_at, first=_as_bytes(await read_at(0, _FIRST))
    )


def _name(file: Any) -> str | None:
    name = getattr(file, "name", None)
    return os.path.basename(name) if isinstance(name, str) else None


class _Reads(AsyncIterator[bytes]):
    """The reads of a file without positions, until it gives no more."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read

    async def __anext__(self) -> bytes:
        if chunk := await self._read(READ_SIZE):
            return chunk
        raise StopAsyncIteration


async def _open_flow(
    flow: AsyncIterable[bytes],
    filename: str | None,
    size: int | None,
    limit: int | None,
    stack: AsyncExitStack,
) -> OpenSource:
    if size is None:
        return await _spooled(flow, filename, limit, stack)
    opened = _Flow(flow, size, filename)
    stack.push_async_callback(opened.close)
    await opened.begin()
    return opened


async def _spooled(
    flow: AsyncIterable[bytes],
    filename: str | None,
    limit: int | None,
    stack: AsyncExitStack,
) -> OpenSource:
    """Without a length there is no Content-Length, and WeChat insists on one."""
    spooling = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    spool = stack.enter_context(spooling)
    size = 0
    async with _closing(aiter(flow)) as chunks:
        async for chunk in chunks:
            data = _as_bytes(chunk)
            size += len(data)
            if limit is not None and size > limit:
                raise TooLarge(limit=limit, size=size)
            spool.write(data)
    spool.seek(0)
    opened = await _open_seekable(spool, "inline", stack)
    opened.filename = filename
    return opened


class _Flow:
    """An iterable of chunks that is sent as it comes, its length being known."""

    content_type: str | None = None
    fileno: int | None = None
    offset = 0

    def __init__(
        self, flow: AsyncIterable[bytes], size: int, filename: str | None
    ) -> None:
        self._flow = flow
        self._pass: _FlowPass | None = None
        self._fresh = False
        self.size = size
        self.filename = filename
        self.first = b""
        # An iterator is its own iterator; an iterable makes a new one each time.
        self.replayable = not isinstance(flow, AsyncIterator)

    async def begin(self) -> None:
        """Read the first chunk, to tell the kind by."""
        self._pass = _FlowPass(aiter(self._flow), self.size)
        self.first = (await self._pass.peek())[:_FIRST]
        self._fresh = True

    def chunks(self) -> AsyncIterator[bytes]:
        assert self._pass is not None
        if self._fresh:
            self._fresh = False
            return self._pass
        if not self.replayable:
            raise SourceChanged("this source cannot be read twice")
        self._pass = _FlowPass(aiter(self._flow), self.size, before=self._pass)
        return self._pass

    async def close(self) -> None:
        """Close the caller's iterator, which we began."""
        if self._pass is not None:
            await self._pass.aclose()


class _FlowPass(AsyncIterator[bytes]):
    """One reading of an iterable, held to the length that was promised."""

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        size: int,
        *,
        before: _FlowPass | None = None,
    ) -> None:
        self._chunks = chunks
        self._size = size
        self._before = before
        self._peeked: bytes | None = None
        self._done = 0

    async def peek(self) -> bytes:
        """Return what comes first, and keep it."""
        self._peeked = await self._next()
        return self._peeked

    async def __anext__(self) -> bytes:
        if self._before is not None:
            # What an earlier, broken-off reading has left open.
            before, self._before = self._before, None
            await before.aclose()
        chunk = await self._next() if self._peeked is None else self._peeked
        self._peeked = None
        self._done += len(chunk)
        if self._done > self._size or (self._done < self._size and not chunk):
            raise SourceChanged(f"gave {self._done} bytes, {self._size} were promised")
        if not chunk:
            raise StopAsyncIteration
        if self._done == self._size and (extra := await self._next()):
            given = self._done + len(extra)
            raise SourceChanged(f"gave {given} bytes, {self._size} were promised")
        return chunk

    async def aclose(self) -> None:
        """Close the caller's iterator, if that can be closed."""
        if (aclose := getattr(self._chunks, "aclose", None)) is not None:
            with anyio.CancelScope(shield=True):
                await aclose()

    async def _next(self) -> bytes:
        async for chunk in self._chunks:
            if data := _as_bytes(chunk):
                return data
        return b""


@asynccontextmanager
async def _closing(
    chunks: AsyncIterator[bytes],
) -> AsyncGenerator[AsyncIterator[bytes]]:
    try:
        yield chunks
    finally:
        if (aclose := getattr(chunks, "aclose", None)) is not None:
            with anyio.CancelScope(shield=True):
                await aclose()


def _as_bytes(chunk: object) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, (bytearray, memoryview)):
        return bytes(chunk)
    raise TypeError(f"a source must give bytes, not {type(chunk).__name__}")


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
