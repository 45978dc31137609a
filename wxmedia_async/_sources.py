"""Whatever a user may upload -> a body that can be read again."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
)
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, cast

import anyio
import anyio.to_thread

from ._errors import SourceChanged
from ._files import FileIO
from ._flow import Reads, open_flow
from ._located import (
    base_name,
    open_async_seekable,
    open_buffer,
    open_path,
    open_seekable,
)


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
        return open_path(cast("os.PathLike[str]", source), file_io, stack)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return open_buffer(cast("bytes", source), stack)
    if (upload := _form_upload(source)) is not None:
        return _open_form_upload(upload, file_io, stack)
    if callable(getattr(source, "read", None)):
        return await _open_file(cast("Any", source), size, limit, file_io, stack)
    if isinstance(source, AsyncIterable):
        flow = cast("AsyncIterable[bytes]", source)
        return await open_flow(flow, None, size, limit, stack)
    raise TypeError(
        "a source is a path, bytes, a binary file, an async file or an async"
        f" iterable of bytes, not {type(source).__name__}"
    )


def _form_upload(source: object) -> Any:
    """Starlette's UploadFile awaits a thread for each read of its own file."""
    file, named = getattr(source, "file", None), hasattr(source, "filename")
    return source if named and callable(getattr(file, "read", None)) else None


def _open_form_upload(
    upload: Any, file_io: FileIO, stack: AsyncExitStack
) -> OpenSource:
    opened = open_seekable(upload.file, file_io, stack)
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
            return await open_async_seekable(file, stack)
        return await open_flow(Reads(file.read), base_name(file), size, limit, stack)
    if _has_position(file) and _is_seekable(file):
        return open_seekable(file, file_io, stack)
    reads = Reads(lambda count: anyio.to_thread.run_sync(file.read, count))
    return await open_flow(reads, base_name(file), size, limit, stack)


def _has_position(file: Any) -> bool:
    return callable(getattr(file, "seek", None)) and callable(
        getattr(file, "tell", None)
    )


def _is_seekable(file: Any) -> bool:
    # Files that do not say so, such as SpooledTemporaryFile before 3.11, are.
    return bool(getattr(file, "seekable", lambda: True)())
