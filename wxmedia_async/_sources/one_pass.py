"""Sources that come as they like: async iterables, and files without a position."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from .._errors import SourceChanged, TooLarge
from .._foreign import Raised, sealed
from .._local.disk import FileIO, disk_for
from .chunks import FIRST, Label, Pass, ReadingRecord, Rereadable, as_bytes, clean_up
from .seekable import file_between

_IN_MEMORY = 1024 * 1024

_NO_MORE = object()


async def open_one_pass(
    flow: AsyncIterable[object],
    size: int,
    label: Label,
    stack: AsyncExitStack,
    *,
    replayable: bool = False,
) -> OnePass:
    """
    Open *flow*, to be sent as it comes.

    Its first chunks are taken at once, to tell the kind by.

    Args:
        replayable: Whether its owner says that it can be gone through again.
            Looks say nothing: much that makes an iterator each time makes an
            empty one the second time.
    """
    opened = OnePass(flow, size, label, replayable=replayable)
    await stack.enter_async_context(opened)
    await opened.peek()
    return opened


async def spool(
    flow: AsyncIterable[object],
    limit: int | None,
    label: Label,
    file_io: FileIO,
    stack: AsyncExitStack,
) -> Rereadable:
    """
    Read all of *flow* into memory, or into a temporary file where it is long.

    Without a length there is no Content-Length, and WeChat insists on one.

    Raises:
        TooLarge: As soon as it is more than *limit* bytes.
    """
    disk = disk_for(file_io)
    file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    stack.push_async_callback(disk.finish, file.close)
    size = 0
    async with _Turn(flow) as turn:
        while chunk := await turn.next():
            size += len(chunk)
            if limit is not None and size > limit:
                raise TooLarge(limit=limit, size=size)
            await disk.run(file.write, chunk)
    return await file_between(file, 0, size, label, disk)


class OnePass:
    """An iterable of chunks whose length is known; see `OpenSource`."""

    fileno: int | None = None
    offset = 0

    def __init__(
        self, flow: AsyncIterable[object], size: int, label: Label, *, replayable: bool
    ) -> None:
        self._flow = flow
        self._turn = _Turn(flow)
        self._peeked = False
        self._broken_off: list[_Turn] = []
        self.record = ReadingRecord()
        self.size = size
        self.filename = label.filename
        self.content_type = label.content_type
        self.first = b""
        # An iterator is its own iterator, whatever is said of it.
        self.replayable = replayable and not self._turn.is_only

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: object, frames: object) -> None:
        """Close what was begun of the caller's."""
        self._broken_off.append(self._turn)
        await self._close_broken_off(failed=error)

    @property
    def failure(self) -> Exception | None:
        """What went wrong first while it was read, or None."""
        return self.record.failure

    async def peek(self) -> None:
        """Learn the first bytes, and keep them for the first reading."""
        self.first = await self._turn.peek(FIRST)
        self._peeked = True

    def check(self) -> None:
        """Find nothing changed: whatever there is to see is seen by reading."""

    def chunks(self) -> AsyncIterator[bytes]:
        """Read it from its beginning, if it has not been read or can be again."""
        if not self._peeked:
            self._turn = self._another_turn()
        self._peeked = False
        turn = self._turn
        read, confirm = partial(self._read, turn), partial(self._confirm, turn)
        return Pass(self.size, read, confirm, self.record)

    def _another_turn(self) -> _Turn:
        try:
            if not self.replayable:
                raise SourceChanged("this source cannot be read twice")
            turn = _Turn(self._flow)
        except (SourceChanged, Raised) as error:
            self.record.note(error)
            raise
        self._broken_off.append(self._turn)
        return turn

    async def _read(self, turn: _Turn, _: int) -> bytes:
        await self._close_broken_off()
        return await turn.next()

    async def _confirm(self, turn: _Turn) -> None:
        if await turn.next():
            raise SourceChanged(f"the source has more than its {self.size} bytes")

    async def _close_broken_off(self, failed: object = None) -> None:
        while self._broken_off:
            await self._broken_off.pop().aclose(failed)


class _Turn:
    """The caller's iterator, during one reading."""

    def __init__(self, flow: AsyncIterable[object]) -> None:
        with sealed:
            self._chunks: AsyncIterator[object] = aiter(flow)
        self._ahead = b""
        self._ended = False
        self.is_only = self._chunks is flow

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        await self.aclose(error)

    async def peek(self, count: int) -> bytes:
        """Return up to *count* bytes of what comes next."""
        ahead = b""
        while len(ahead) < count and (chunk := await self.next()):
            ahead += chunk
        self._ahead = ahead
        return ahead[:count]

    async def next(self) -> bytes:
        """Return some bytes; none at the end."""
        if self._ahead:
            ahead, self._ahead = self._ahead, b""
            return ahead
        while not self._ended:
            if chunk := await self._chunk():
                return chunk
        return b""

    async def aclose(self, failed: object = None) -> None:
        """
        Close the iterator, if it was begun here or can only be used once.

        A caller's stream is not: they may want to read on.
        """
        if self._is_ours():
            await clean_up(partial(_aclose, self._chunks), failed=failed)

    def _is_ours(self) -> bool:
        return not self.is_only or isinstance(self._chunks, AsyncGenerator)

    async def _chunk(self) -> bytes:
        with sealed:
            chunk = await anext(self._chunks, _NO_MORE)
            if chunk is not _NO_MORE:
                return as_bytes(chunk)
        # Not every iterator says so twice.
        self._ended = True
        return b""


async def _aclose(chunks: Any) -> None:
    aclose = getattr(chunks, "aclose", None)
    if aclose is not None:
        await aclose()
