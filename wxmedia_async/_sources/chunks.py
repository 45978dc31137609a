"""The chunks of one reading, held to the size that was promised; what can be reread."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias, cast

import anyio
import attrs

from .._errors import SourceChanged
from .._foreign import Raised, sealed

READ_SIZE = 64 * 1024
"""
The longest chunk, in bytes.

Some transports allow one timeout for the whole of a chunk, and progress and
speed are seen per chunk: large ones look like a standstill.
"""

FIRST = 64
"""Bytes that tell the kind of a media."""

# Seconds that code of the caller's has to clean up after itself.
_PATIENCE = 5

Read: TypeAlias = Callable[[int], Awaitable[bytes]]
"""Gives what comes after so many bytes; none at the end."""

Confirm: TypeAlias = Callable[[], Awaitable[None]]
"""Raises SourceChanged if the source is not what it was, or goes on."""


@attrs.frozen
class Label:
    """What a source is called, and says it is; None where it does not tell."""

    filename: str | None = None
    content_type: str | None = None


@attrs.define(eq=False)
class ReadingRecord:
    """
    What is known of the readings of one source.

    Attributes:
        failure: The first that went wrong, or None.

        watched: Whether readings are hashed.

        sent: The SHA-256 of what the latest reading gave, if it is complete.
    """

    failure: Exception | None = None
    watched: bool = False
    sent: str | None = None

    def note(self, error: Exception) -> None:
        """Keep *error*, whatever those who carry it make of it."""
        self.failure = self.failure or error

    def watch(self) -> None:
        """Hash what is read from now on."""
        self.watched = True


def unchanging() -> None:
    """Find nothing changed: whatever there is to see is seen by reading."""


@attrs.frozen(eq=False, repr=False)
class Rereadable:
    """A source that can be read at any place, and so again; see `OpenSource`."""

    size: int
    label: Label
    first: bytes
    _read: Read
    _confirm: Confirm
    _look: Callable[[], None] = unchanging
    fileno: int | None = None
    offset: int = 0
    replayable: bool = True
    record: ReadingRecord = attrs.field(factory=ReadingRecord, init=False)

    @property
    def filename(self) -> str | None:
        """What it is called."""
        return self.label.filename

    @property
    def content_type(self) -> str | None:
        """What it says it is."""
        return self.label.content_type

    @property
    def failure(self) -> Exception | None:
        """What went wrong first while it was read, or None."""
        return self.record.failure

    def chunks(self) -> AsyncIterator[bytes]:
        """Read it from its beginning."""
        return Pass(self.size, self._read, self._confirm, self.record)

    def check(self) -> None:
        """Raise SourceChanged if it changed since it was opened."""
        try:
            self._look()
        except (SourceChanged, OSError) as error:
            self.record.note(error)
            raise


class Pass(AsyncIterator[bytes]):
    """
    One reading of a source, in small chunks, held to the size that was promised.

    Not an async generator: who reads it may drop it half-way, and then nobody
    would close one.
    """

    def __init__(
        self, size: int, read: Read, confirm: Confirm, record: ReadingRecord
    ) -> None:
        self._size = size
        self._read = read
        self._confirm = confirm
        self._record = record
        self._digest = hashlib.sha256() if record.watched else None
        record.sent = None
        self._done = 0
        self._ended = False
        self._data = b""
        self._handed = 0

    async def __anext__(self) -> bytes:
        if self._ended:
            raise StopAsyncIteration
        try:
            chunk = await self._chunk()
        except (Raised, SourceChanged, OSError) as error:
            self._record.note(error)
            raise
        self._watch(chunk)
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _watch(self, chunk: bytes) -> None:
        if self._digest is not None:
            self._digest.update(chunk)
            self._record.sent = self._digest.hexdigest() if self._ended else None

    async def _chunk(self) -> bytes:
        if self._handed == len(self._data):
            await self._read_on()
        chunk = self._data[self._handed : self._handed + READ_SIZE]
        self._handed += len(chunk)
        if self._done == self._size and self._handed == len(self._data):
            await self._end()
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


async def clean_up(
    step: Callable[[], Awaitable[object]], *, failed: object = None
) -> None:
    """
    Have code of the caller's clean up, in its time and under cancellation as well.

    Raises:
        Raised: What it raises, if nothing has *failed* before.
    """
    try:
        with anyio.move_on_after(_PATIENCE, shield=True), sealed:
            await step()
    except Raised:
        if failed is None:
            raise


def check_promised(promised: int | None, size: int) -> None:
    """
    Hold a source to the size that its caller has promised, if any.

    Raises:
        SourceChanged: It has another.
    """
    if promised not in (None, size):
        raise SourceChanged(f"the source has {size} bytes, size={promised} was given")


def as_bytes(data: object) -> bytes:
    """
    Return *data*, which code of the caller's gave, as bytes.

    Only if it is something else is it copied. Call it where that code is sealed.

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
