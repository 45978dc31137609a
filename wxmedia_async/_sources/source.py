"""Whatever a user may upload -> a body that can be read again."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
)
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any, Protocol, cast

import anyio.to_thread
import attrs

from .._errors import SourceChanged
from .._local.disk import FileIO
from .chunks import Label
from .one_pass import Reads, open_one_pass, spool
from .plain_file import base_name, open_path
from .seekable import open_async_file, open_buffer, open_file, settled


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
    def fileno(self) -> int | None: ...
    @property
    def offset(self) -> int: ...

    def chunks(self) -> AsyncIterator[bytes]:
        """
        Read it from its beginning, in chunks of at most 64 KiB.

        Raises:
            SourceChanged: While it is read, and before the last chunk is given:
                it is not what it was. At once: it cannot be read twice.
        """
        ...

    def check(self) -> None:
        """
        Raise SourceChanged if it changed since it was opened.

        For those who read from `fileno`; `chunks()` looks by itself.
        """
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

    A file is left behind what was sent of it, or, if the block fails, where it
    stood. The caller's files are never closed.

    Raises:
        TypeError: It is none of the things that can be uploaded.

        ValueError: A negative *size*, or a path to a FIFO or a device.

        OSError: A path that cannot be opened.

        SourceChanged: It contradicts *size*.

        TooLarge: More than *limit* bytes had to be spooled.

        Exception: Whatever the source itself raises.
    """
    if size is not None and size < 0:
        raise ValueError("size must not be negative")
    async with AsyncExitStack() as stack:
        opened = await _opened(source, _Terms(size, limit, file_io), stack)
        if size not in (None, opened.size):
            raise SourceChanged(
                f"the source has {opened.size} bytes, size={size} was given"
            )
        yield opened


@attrs.frozen
class _Terms:
    """What the caller of `open_source` says."""

    size: int | None
    limit: int | None
    file_io: FileIO


async def _opened(source: object, terms: _Terms, stack: AsyncExitStack) -> OpenSource:
    if isinstance(source, (str, os.PathLike)):
        path = cast("str | os.PathLike[str]", source)
        return await open_path(path, terms.file_io, stack)
    if _is_form_upload(source):
        return await _open_form_upload(source, terms, stack)
    if callable(getattr(source, "read", None)):
        return await _open_any_file(source, _label(source), terms, stack)
    if (buffer := _buffer(source)) is not None:
        return open_buffer(buffer, stack)
    if isinstance(source, AsyncIterable):
        flow = cast("AsyncIterable[object]", source)
        return await _open_flow(flow, Label(), terms, stack)
    raise TypeError(
        "a source is a path, bytes, a binary file, an async file or an async"
        f" iterable of bytes, not {type(source).__name__}"
    )


def _buffer(source: object) -> memoryview | None:
    try:
        return memoryview(cast("bytes", source))
    except TypeError:
        return None


def _is_form_upload(source: object) -> bool:
    file = getattr(source, "file", None)
    return callable(getattr(file, "read", None)) and hasattr(source, "filename")


async def _open_form_upload(
    upload: Any, terms: _Terms, stack: AsyncExitStack
) -> OpenSource:
    """Starlette's UploadFile awaits a thread for many a read; its file need not."""
    content_type = getattr(upload, "content_type", None)
    label = Label(base_name(upload.filename), content_type)
    return await _open_any_file(upload.file, label, terms, stack)


async def _open_any_file(
    file: Any, label: Label, terms: _Terms, stack: AsyncExitStack
) -> OpenSource:
    if isinstance(file, io.TextIOBase):
        raise TypeError("a file must be opened in binary mode")
    seekable = await _is_seekable(file)
    if seekable and _is_awaited(file):
        return await open_async_file(file, label, stack)
    if seekable:
        return await open_file(file, label, terms.file_io, stack)
    return await _open_flow(Reads(_reader(file)), label, terms, stack)


async def _open_flow(
    flow: AsyncIterable[object], label: Label, terms: _Terms, stack: AsyncExitStack
) -> OpenSource:
    if terms.size is None:
        return await spool(flow, terms.limit, label, terms.file_io, stack)
    return await open_one_pass(flow, terms.size, label, stack)


def _label(file: object) -> Label:
    return Label(base_name(getattr(file, "name", None)))


async def _is_seekable(file: Any) -> bool:
    if not (hasattr(file, "seek") and hasattr(file, "tell")):
        return False
    # Files that do not say so are; of async ones, some want to be awaited.
    return bool(await settled(getattr(file, "seekable", lambda: True)()))


def _is_awaited(file: Any) -> bool:
    # Compiled methods do not tell that they are coroutines.
    return inspect.iscoroutinefunction(file.read) or isinstance(file, AsyncIterable)


def _reader(file: Any) -> Callable[[int], Awaitable[object]]:
    """A pipe may have nothing to give for long, so it is read in a thread."""
    if _is_awaited(file):
        return cast("Callable[[int], Awaitable[object]]", file.read)
    return partial(anyio.to_thread.run_sync, file.read)
