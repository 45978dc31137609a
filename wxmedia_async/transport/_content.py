"""What the body of a request may be."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable
from operator import attrgetter
from typing import Protocol, TypeGuard

import attrs
import httpx


class FileBody(Protocol):
    """
    A request body that is a part of an open file, with a few bytes around it.

    Such a stream is sent without passing through Python where the connection
    allows it. It is also an ordinary stream, for other transports.

    Attributes:
        head: What comes before the file's bytes.

        tail: What comes after them.

        fileno: The descriptor, open for reading until the request has ended;
            its position is neither used nor moved.

        offset: Where in the file the body begins, in bytes.

        size: How many bytes of the file are sent.

        progress: Called with the number of the file's bytes sent so far.
    """

    @property
    def head(self) -> bytes: ...
    @property
    def tail(self) -> bytes: ...
    @property
    def fileno(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def progress(self) -> Callable[[int], None] | None: ...

    def check(self) -> None:
        """Raise if the file changed; called before the tail is sent."""
        ...


_PARTS = attrgetter("head", "tail", "fileno", "offset", "size", "progress", "check")


@attrs.frozen(eq=False)
class Stream:
    """A request body that is neither known beforehand nor a file."""

    chunks: AsyncIterable[bytes]


Content = bytes | FileBody | Stream


def content_of(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> Content:
    """
    Tell which kind of body *stream* is.

    Raises:
        httpx.LocalProtocolError: It cannot be read asynchronously.
    """
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    if is_file_body(stream):
        return stream
    return stream_of(stream)


def is_file_body(stream: object) -> TypeGuard[FileBody]:
    """Tell whether *stream* is a `FileBody`."""
    # To ask a protocol at run time takes as long as half of a small exchange.
    try:
        _PARTS(stream)
    except AttributeError:
        return False
    return True


def stream_of(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> Stream:
    """Return *stream* as nothing but a stream, for a body that goes in chunks."""
    if isinstance(stream, httpx.AsyncByteStream):
        return Stream(stream)
    raise httpx.LocalProtocolError("the body of an async request is an async stream")


def size_of(content: Content) -> int | None:
    """Return how many bytes will be sent; None: nobody knows yet."""
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, Stream):
        return None
    return len(content.head) + content.size + len(content.tail)
