"""An answer on its way, and what is to go wrong there."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import anyio

from ._faults import Fault
from ._replies import Answer
from ._requests import Caller

if TYPE_CHECKING:
    import asyncio

_DRIP = 0.05
# Closed with this, a connection is reset instead of ended.
_AT_ONCE = struct.pack("ii", 1, 0)


async def send_answer(answer: Answer, caller: Caller, fault: Fault | None) -> None:
    """Send *answer* piece by piece, up to where *fault* lets it come."""
    pieces = () if caller.request.method == "HEAD" else answer.pieces
    await caller.send(answer.start)
    if fault == "truncate":
        await _send_pieces(_first(answer.length // 2, pieces), caller)
        await cut_off(caller)
        return
    if fault == "slow":
        await _send_pieces(_bytes_of(pieces), caller, pause=_DRIP)
    else:
        await _send_pieces(pieces, caller)
    await caller.send({"type": "http.response.body", "body": b""})


async def _send_pieces(
    pieces: Iterable[bytes], caller: Caller, *, pause: float = 0.0
) -> None:
    for piece in pieces:
        await anyio.sleep(pause)
        await caller.send(
            {"type": "http.response.body", "body": piece, "more_body": True}
        )


def _first(length: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:length]
        length -= len(piece)
        if length <= 0:
            return


def _bytes_of(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for place in range(len(piece)):
            yield piece[place : place + 1]


async def cut_off(caller: Caller) -> None:
    """End the connection, in good order but too early."""
    connection = _connection(caller)
    # In process there is none, and an answer that just stops says the same.
    if connection is not None:
        connection.close()
        await caller.disconnected()


async def reset(caller: Caller) -> None:
    """Break the connection."""
    connection = _connection(caller)
    if connection is None:
        raise ConnectionResetError("the simulator broke the connection")
    raw = connection.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    connection.abort()
    await caller.disconnected()


def _connection(caller: Caller) -> asyncio.Transport | None:
    # ASGI has no word for it. uvicorn's `receive` is bound to the object that
    # holds the connection.
    return getattr(getattr(caller.receive, "__self__", None), "transport", None)
