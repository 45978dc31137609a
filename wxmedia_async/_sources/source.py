"""Whatever a user may upload -> a body that can be read again."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Any, Protocol, cast

import attrs

from .._foreign import sealed
from .._local.disk import FileIO
from .._wire.multipart import media_type
from .chunks import Label, ReadingRecord, check_promised
from .one_pass import open_one_pass, spool
from .plain_file import base_name, open_path
from .seekable import open_async_file, open_buffer, open_file, settled
from .unhurried import judged, reads_of


class OpenSource(Protocol):
    """
    A source whose length is known.

    Attributes:
        size: The bytes that will be sent.

        filename: The source's own base name, or None.

        content_type: What the source says it is, or None.

        first: Its first bytes, to tell the kind by.

        replayable: Whether `chunks()` may be called more than once.

        record: What is known of its readings, and can be.

        failure: What went wrong first while it was read, or None: `Raised`, a
            SourceChanged, or an OSError of our own disk. It counts, whatever those
            who read it made of it.

        fileno: A descriptor of a plain file that can be read at any place, or
            None.

        offset: Where in that file the source begins.
    """

    @property
    def size(self) -> int: ...
    @property
    def filename(self) -> str | None: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def first(self) -> bytes: ...
    @property
    def replayable(self) -> bool: ...
    @property
    def failure(self) -> Exception | None: ...
    @property
    def record(self) -> ReadingRecord: ...
    @property
    def fileno(self) -> int | None: ...
    @property
    def offset(self) -> int: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """
        Read it from its beginning, in chunks of at most 64 KiB.

        Raises:
            SourceChanged: While it is read, and before the last chunk is given:
                it is not what it was. At once: it cannot be read twice.

            Raised: What code of the caller's raised.

            OSError: A file that we opened could not be read.
        """
        ...

    def check(self) -> None:
        """
        Raise SourceChanged if it changed since it was opened.

        For those who read from `fileno`; `chunks()` looks by itself.
        """
        ...


def open_source(
    source: object,
    *,
    size: int | None,
    limit: int | None,
    file_io: FileIO,
    replayable: bool | None = None,
) -> AbstractAsyncContextManager[OpenSource]:
    """
    Open *source*, and learn its length.

    Args:
        source: See `_models.Source`.

        size: Its length in bytes, where it cannot tell.

        limit: The most bytes to spool, where its length is not known.

        file_io: Where the disk is read.

        replayable: Whether an async iterable can be gone through again; else its
            attribute of that name says so. Without either it is read once.

    A file is left behind what was sent of it, or, if the block fails, where it
    stood. The caller's files are never closed.

    Raises:
        TypeError: It is none of the things that can be uploaded.

        ValueError: A negative *size*, or a path to a FIFO or a device.

        OSError: A path that cannot be opened.

        SourceChanged: It contradicts *size*.

        TooLarge: More than *limit* bytes had to be spooled.

        Raised: What code of the caller's raised.
    """
    if size is not None and size < 0:
        raise ValueError("size must not be negative")
    if isinstance(source, (str, os.PathLike)):
        with sealed:
            path = os.fspath(cast("str | os.PathLike[str]", source))
        return open_path(path, size, file_io)
    return _open(source, _Terms(size, limit, file_io, bool(replayable)))


@attrs.frozen
class _Terms:
    """What the caller of `open_source` says."""

    size: int | None
    limit: int | None
    file_io: FileIO
    replayable: bool


@asynccontextmanager
async def _open(source: object, terms: _Terms) -> AsyncGenerator[OpenSource]:
    async with AsyncExitStack() as stack:
        opened = await _opened(source, terms, stack)
        check_promised(terms.size, opened.size)
        yield opened


async def _opened(source: object, terms: _Terms, stack: AsyncExitStack) -> OpenSource:
    with sealed:
        said = _Said.by(source)
    if said.instead:
        raise TypeError(said.instead)
    if said.file is not None:
        return await _open_any_file(said, terms, stack)
    if said.buffer is not None:
        return open_buffer(said.buffer, said.label, stack)
    if isinstance(source, AsyncIterable):
        flow = cast("AsyncIterable[object]", source)
        return await _open_flow(flow, said, terms, stack)
    raise TypeError(
        "a source is a path, bytes, a binary file, an async file or an async"
        f" iterable of bytes, not {type(source).__name__}"
    )


@attrs.frozen
class _Said:
    """
    What an object of the caller's says of itself.

    Attributes:
        label: Its name and type.

        size: Its length in bytes, where it has no position to tell it by.

        replayable: Whether it can be gone through again.

        instead: What to pass instead of it; empty if it will do.

        file: What to read, if it is a file or around one.

        read: How.

        buffer: Its memory, if it is some.
    """

    label: Label
    size: int | None
    replayable: bool
    instead: str
    file: Any
    read: Any
    buffer: memoryview | None

    @classmethod
    def by(cls, source: object) -> _Said:
        instead = _instead(source)
        file = None if instead else _file(source)
        return cls(
            label=_label(source),
            size=_size(source),
            replayable=getattr(source, "replayable", False) is True,
            instead=instead,
            file=file,
            read=_read(file),
            buffer=None if instead or file is not None else _buffer(source),
        )


def _instead(source: Any) -> str:
    """Replies of HTTP clients have a `read` too, which is another."""
    name = type(source).__name__
    if inspect.isclass(source):
        return f"a source is an object, not the class {source.__name__}"
    if callable(getattr(source, "aiter_raw", None)):
        return (
            f"a source is not a {name}: pass response.aiter_raw() with size=…,"
            " or response.content once it has been read"
        )
    if hasattr(getattr(source, "content", None), "iter_chunked"):
        return f"a source is not a {name}: pass response.content with size=…"
    if callable(getattr(source, "iter_content", None)):
        return f"a source is not a {name}: pass response.content"
    return ""


def _file(source: Any) -> Any:
    """Starlette's UploadFile awaits a thread for many a read; its file need not."""
    inner = getattr(source, "file", None)
    if _read(inner) is not None and hasattr(source, "filename"):
        return inner
    return source if _read(source) is not None else None


def _read(file: Any) -> Any:
    """A part of aiohttp's has a `read` that takes no size, and beside it this one."""
    for name in ("read_chunk", "read"):
        if callable(method := getattr(file, name, None)):
            return method
    return None


def _label(source: Any) -> Label:
    content_type = getattr(source, "content_type", None)
    said = content_type if isinstance(content_type, str) else None
    return Label(base_name(_name(source)), media_type(said))


def _name(source: Any) -> object:
    """What has both has its form field's in `name`; only gzip's files have not."""
    if not isinstance(source, io.IOBase) and hasattr(source, "filename"):
        return source.filename
    return getattr(source, "name", None) if _read(source) else None


def _size(source: Any) -> int | None:
    size = getattr(source, "size", None)
    is_known = isinstance(size, int) and not isinstance(size, bool) and size >= 0
    return size if is_known else None


def _buffer(source: object) -> memoryview | None:
    try:
        return memoryview(cast("bytes", source))
    except TypeError:
        return None


async def _open_any_file(
    said: _Said, terms: _Terms, stack: AsyncExitStack
) -> OpenSource:
    file = said.file
    if isinstance(file, io.TextIOBase):
        raise TypeError("a file must be opened in binary mode")
    with sealed:
        seekable = await _is_seekable(file)
        is_async = await _is_async(said, seekable=seekable)
    if seekable and is_async:
        return await open_async_file(file, said.label, stack)
    if seekable:
        return await open_file(file, said.label, terms.file_io, stack)
    with sealed:
        reads = reads_of(file, said.read, stack, is_async=is_async)
    return await _open_flow(reads, said, terms, stack)


async def _open_flow(
    flow: AsyncIterable[object], said: _Said, terms: _Terms, stack: AsyncExitStack
) -> OpenSource:
    size = said.size if terms.size is None else terms.size
    if size is None:
        return await spool(flow, terms.limit, said.label, terms.file_io, stack)
    replayable = terms.replayable or said.replayable
    return await open_one_pass(flow, size, said.label, stack, replayable=replayable)


async def _is_seekable(file: Any) -> bool:
    if not (hasattr(file, "seek") and hasattr(file, "tell")):
        return False
    # Files that do not say so are; of async ones, some want to be awaited.
    return bool(await settled(getattr(file, "seekable", lambda: True)()))


async def _is_async(said: _Said, *, seekable: bool) -> bool:
    """Compiled methods do not tell that they are async: what they return does."""
    file = said.file
    if inspect.iscoroutinefunction(said.read) or isinstance(file, AsyncIterable):
        return True
    if not seekable or isinstance(file, io.IOBase):
        return False
    told = file.tell()
    if inspect.isawaitable(told):
        await told
        return True
    is_async, _ = await judged(file.read)
    return is_async
