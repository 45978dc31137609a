"""Open sources in one line, and sources that misbehave."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager

from wxmedia_async._foreign import unsealed
from wxmedia_async._local.disk import FileIO
from wxmedia_async._sources.source import OpenSource, open_source

CONTENT = bytes(range(256)) * 1000


@asynccontextmanager
async def opened(
    source: object,
    *,
    size: int | None = None,
    limit: int | None = None,
    file_io: FileIO = "inline",
    replayable: bool | None = None,
) -> AsyncGenerator[OpenSource]:
    """Open *source* as the client does: what it raises comes out as it is."""
    with unsealed:
        async with open_source(
            source, size=size, limit=limit, file_io=file_io, replayable=replayable
        ) as open_one:
            yield open_one


async def read(source: OpenSource) -> bytes:
    """Read all of it, and see that no chunk is empty or too long."""
    chunks = [chunk async for chunk in source.chunks()]
    assert all(0 < len(chunk) <= 64 * 1024 for chunk in chunks)
    return b"".join(chunks)


async def read_from(
    source: object, *, size: int | None = None, file_io: FileIO = "inline"
) -> bytes:
    """Open and read."""
    async with opened(source, size=size, file_io=file_io) as open_one:
        return await read(open_one)


class Pipe(io.RawIOBase):
    """A file without a position; each read gives what came at once."""

    def __init__(self, *pieces: bytes) -> None:
        super().__init__()
        self._pieces = list(pieces)

    def read(self, size: int = -1, /) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


class Pieces:
    """An iterable that can be gone through again, and counts what is left open."""

    def __init__(self, *pieces: object) -> None:
        self.pieces = pieces
        self.begun = 0
        self.ended = 0

    async def __aiter__(self) -> AsyncGenerator[object]:
        self.begun += 1
        try:
            for piece in self.pieces:
                yield piece
        finally:
            self.ended += 1


class Stream(AsyncIterator[object]):
    """An iterator that its owner may want to read on, such as a socket's."""

    def __init__(self, *pieces: object) -> None:
        self._pieces = iter(pieces)
        self.closed = False

    async def __anext__(self) -> object:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


async def generate(pieces: Iterable[object]) -> AsyncGenerator[object]:
    """A generator: it can be gone through once."""
    for piece in pieces:
        yield piece
