"""One request and the head of its reply, on one connection."""

from __future__ import annotations

from typing import NamedTuple

import httpx

from ._connection import Connection
from ._head import HeadReader
from ._parser import Head
from ._request import Outgoing
from ._send import Sender, send


class HeadAndRest(NamedTuple):
    """
    A reply whose head is complete.

    Attributes:
        rest: What came of its body already.

        reusable: Whether the connection may live on after the body.
    """

    head: Head
    rest: memoryview
    reusable: bool


async def round_trip(
    connection: Connection,
    request: Outgoing,
    buffer: memoryview,
    max_head: int,
) -> HeadAndRest:
    """
    Send *request*, and read the head of the reply.

    Args:
        buffer: To receive into. Nobody else uses it between two waits.

        max_head: Bytes of all heads together, those of interim replies too.
    """
    # A server nearby answers so soon that none of this ever waits.
    await connection.breathe()
    timeouts = request.timeouts
    reader = HeadReader(connection, buffer, timeouts.get("read"), max_head)
    sender = Sender(connection, buffer, reader, timeouts.get("write"))
    try:
        whole = await send(sender, request)
    except httpx.WriteError as broken:
        # Who refuses a body may close before it is all sent; the reply that
        # says why is still there to be read.
        return await _last_words(reader, broken)
    head, rest = await reader.read()
    return HeadAndRest(head, rest, head.keep_alive and request.keep_alive and whole)


async def _last_words(reader: HeadReader, broken: httpx.WriteError) -> HeadAndRest:
    try:
        head, rest = await reader.read()
    except httpx.TransportError:
        raise broken from None
    return HeadAndRest(head, rest, reusable=False)
