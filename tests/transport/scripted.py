"""Replies without sockets: what is read from bytes, cut anywhere."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, TypeVar, cast

import attrs

from wxmedia_async.transport._body import Body
from wxmedia_async.transport._connection import Connection
from wxmedia_async.transport._head import HeadReader
from wxmedia_async.transport._pool import Place

T = TypeVar("T")

MAX_HEAD = 64 * 1024


@attrs.define(eq=False)
class Pieces:
    """Stands for a connection that has all of the reply, in these pieces."""

    pieces: Iterator[bytes]
    orderly: bool = True

    async def receive_into(self, buffer: memoryview, _: float | None) -> int:
        piece = next(self.pieces, b"")
        if len(piece) > len(buffer):
            self.pieces = _chain(piece[len(buffer) :], self.pieces)
            piece = piece[: len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    receive_reply_into = receive_into

    async def breathe(self) -> None: ...


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


@attrs.define
class Kept:
    """Stands for the pool, and knows what became of the connection."""

    outcome: str | None = None

    def keep(self) -> None:
        self.outcome = "kept"

    def drop(self) -> None:
        self.outcome = self.outcome or "dropped"


@attrs.frozen
class Reading:
    """What a reply was understood to be."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    kept: bool


def read_reply(pieces: Iterable[bytes], method: str = "GET") -> Reading:
    """Read a reply the way that the transport does."""
    return run(_read(cast(Connection, Pieces(iter(pieces))), method))


async def _read(connection: Connection, method: str) -> Reading:
    buffer = memoryview(bytearray(1024))
    head, rest = await HeadReader(connection, buffer, None, MAX_HEAD).read()
    place = Kept()
    body = Body(
        cast(Place, place), connection, head.body(method), head.keep_alive, buffer, {}
    )
    body.begin(rest)
    content = b"".join([chunk async for chunk in body])
    return Reading(head.status, head.headers, content, place.outcome == "kept")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    raise AssertionError("it waits for something")
