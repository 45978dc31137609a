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
from contextlib import AsyncExitStack, asynccontextmanager

import anyio

from ._errors import SourceChanged, TooLarge
from ._located import FIRST, READ_SIZE, Located, as_bytes, open_seekable

_IN_MEMORY = 1024 * 1024


class Reads(AsyncIterator[bytes]):
    """The reads of a file without positions, until it gives no more."""

    def __init__(self, read: Callable[[int], Awaitable[bytes]]) -> None:
        self._read = read

    async def __anext__(self) -> bytes:
        if chunk := await self._read(READ_SIZE):
            return chunk
        raise StopAsyncIteration


async def open_flow(
    flow: AsyncIterable[bytes],
    filename: str | None,
    size: int | None,
    limit: int | None,
    stack: AsyncExitStack,
) -> Flow | Located:
    if size is None:
        return await _spooled(flow, filename, limit, stack)
    opened = Flow(flow, size, filename)
    stack.push_async_callback(opened.close)
    await opened.begin()
    return opened


async def _spooled(
    flow: AsyncIterable[bytes],
    filename: str | None,
    limit: int | None,
    stack: AsyncExitStack,
) -> Flow | Located:
    """Without a length there is no Content-Length, and WeChat insists on one."""
    spooling = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    spool = stack.enter_context(spooling)
    size = 0
    async with _closing(aiter(flow)) as chunks:
        async for chunk in chunks:
            data = as_bytes(chunk)
            size += len(data)
            if limit is not None and size > limit:
                raise TooLarge(limit=limit, size=size)
            spool.write(data)
    spool.seek(0)
    opened = open_seekable(spool, "inline", stack)
    opened.filename = filename
    return opened


class Flow:
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
        self.first = (await self._pass.peek())[:FIRST]
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
            if data := as_bytes(chunk):
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
