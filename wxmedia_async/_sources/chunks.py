"""Sources that can be read again, and one reading of a source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, cast

import attrs

from .._errors import SourceChanged

READ_SIZE = 64 * 1024
"""
The longest chunk, in bytes.

Some transports allow one timeout for the whole of a chunk, and progress and
speed are seen per chunk: large ones look like a standstill.
"""

FIRST = 64
"""Bytes that tell the kind of a media."""

Read: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Gives what comes after so many bytes; none at the end."""

Confirm: TypeAlias = Callable[[], Awaitable[None]]
"""Raises SourceChanged if the source is not what it was, or goes on."""


@attrs.frozen
class Label:
    """What a source is called, and says it is; None where it does not tell."""

    filename: str | None = None
    content_type: str | None = None


def unchanging() -> None:
    """Find nothing changed: whatever there is to see is seen by reading."""


@attrs.frozen(eq=False, repr=False)
class Rereadable:
    """A source that can be read at any place, and so again; see `OpenSource`."""

    size: int
    filename: str | None
    content_type: str | None
    first: bytes
    begin: Callable[[], AsyncIterator[bytes]]
    check: Callable[[], None] = unchanging
    fileno: int | None = None
    offset: int = 0
    replayable: bool = True

    def chunks(self) -> AsyncIterator[bytes]:
        """Read it from its beginning."""
        return self.begin()


class Pass(AsyncIterator[bytes]):
    """
    One reading of a source, in small chunks, held to the size that was promised.

    Not an async generator: who reads it may drop it half-way, and then nobody
    would close one.
    """

    def __init__(self, size: int, read: Read, confirm: Confirm) -> None:
        self._size = size
        self._read = read
        self._confirm = confirm
        self._done = 0
        self._ended = False
        self._data = b""
        self._handed = 0

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        if self._handed == len(self._data):
            await self._read_on()
        chunk = self._data[self._handed : self._handed + READ_SIZE]
        self._handed += len(chunk)
        if self._done == self._size and self._handed == len(self._data):
            await self._end()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _end(self) -> None:
        """Before the last bytes are handed out: later would be too late."""
        await self._confirm()
        self._ended = True

    async def _read_on(self) -> None:
        self._data, self._handed = await self._read(self._done), 0
        self._done += len(self._data)
        self._check(self._data)

    def _check(self, data: bytes) -> None:
        if self._done > self._size:
            raise SourceChanged(f"the source has more than its {self._size} bytes")
        if self._done < self._size and not data:
            raise SourceChanged(
                f"the source ended after {self._done} of {self._size} bytes"
            )


def as_bytes(data: object) -> bytes:
    """
    Return *data* as bytes; only if it is something else is it copied.

    Raises:
        TypeError: It is not bytes-like.
    """
    if isinstance(data, bytes):
        return data
    try:
        return memoryview(cast("bytes", data)).tobytes()
    except TypeError:
        raise TypeError(
            f"a source must give bytes, not {type(data).__name__}"
        ) from None
