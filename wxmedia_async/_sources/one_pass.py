"""Sources that come as they like: async iterables, and files without a position."""

from __future__ import annotations

import tempfile
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
)
from contextlib import AsyncExitStack, aclosing
from functools import partial

import anyio

from .._errors import SourceChanged, TooLarge
from .._local.disk import FileIO, disk_for
from .chunks import FIRST, READ_SIZE, Label, Pass, Rereadable, as_bytes, unchanging
from .seekable import file_between

_IN_MEMORY = 1024 * 1024

# Seconds that a caller's generator has to clean up after itself.
_PATIENCE = 5


class Reads(AsyncIterator[object]):
    """What a file without a position gives, until it gives no more."""

    def __init__(self, read: Callable[[int], Awaitable[object]]) -> None:
        self._read = read

    async def __anext__(self) -> bytes:
        if chunk := as_bytes(await self._read(READ_SIZE)):
            return chunk
        raise StopAsyncIteration


async def open_one_pass(
    flow: AsyncIterable[object], size: int, label: Label, stack: AsyncExitStack
) -> OnePass:
    """
    Open *flow*, to be sent as it comes.

    Its first chunks are taken at once, to tell the kind by.
    """
    opened = OnePass(flow, size, label)
    stack.push_async_callback(opened.aclose)
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
    async with aclosing(_Turn(flow)) as turn:
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
    check = staticmethod(unchanging)

    def __init__(self, flow: AsyncIterable[object], size: int, label: Label) -> None:
        self._flow = flow
        self._turn = _Turn(flow)
        self._peeked = False
        self._broken_off: list[_Turn] = []
        self.size = size
        self.filename = label.filename
        self.content_type = label.content_type
        self.first = b""

    @property
    def replayable(self) -> bool:
        """An iterator is its own iterator; an iterable makes a new one each time."""
        return not self._turn.is_only

    async def peek(self) -> None:
        """Learn the first bytes, and keep them for the first reading."""
        self.first = await self._turn.peek(FIRST)
        self._peeked = True

    def chunks(self) -> AsyncIterator[bytes]:
        """Read it from its beginning, if it has not been read or can be again."""
        if not self._peeked:
            self._turn = self._another_turn()
        self._peeked = False
        turn = self._turn
        return Pass(self.size, partial(self._read, turn), partial(self._confirm, turn))

    async def aclose(self) -> None:
        """Close what was begun of the caller's."""
        self._broken_off.append(self._turn)
        await self._close_broken_off()

    def _another_turn(self) -> _Turn:
        if not self.replayable:
            raise SourceChanged("this source cannot be read twice")
        self._broken_off.append(self._turn)
        return _Turn(self._flow)

    async def _read(self, turn: _Turn, _: int) -> bytes:
        await self._close_broken_off()
        return await turn.next()

    async def _confirm(self, turn: _Turn) -> None:
        if await turn.next():
            raise SourceChanged(f"the source has more than its {self.size} bytes")

    async def _close_broken_off(self) -> None:
        while self._broken_off:
            await self._broken_off.pop().aclose()


class _Turn:
    """The caller's iterator, during one reading."""

    def __init__(self, flow: AsyncIterable[object]) -> None:
        self._chunks: AsyncIterator[object] = aiter(flow)
        self._ahead = b""
        self._ended = False
        self.is_only = self._chunks is flow

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

    async def aclose(self) -> None:
        """
        Close the iterator, if it was begun here or can only be used once.

        A caller's stream is not: they may want to read on.
        """
        aclose = getattr(self._chunks, "aclose", None)
        if aclose is not None and self._is_ours():
            with anyio.move_on_after(_PATIENCE, shield=True):
                await aclose()

    def _is_ours(self) -> bool:
        return not self.is_only or isinstance(self._chunks, AsyncGenerator)

    async def _chunk(self) -> bytes:
        try:
            return as_bytes(await anext(self._chunks))
        except StopAsyncIteration:
            # Not every iterator says so twice.
            self._ended = True
            return b""
