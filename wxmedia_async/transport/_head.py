"""Reading the head of a reply, past all the interim ones before it."""

from __future__ import annotations

import attrs
import httpx

from ._connection import Connection
from ._parser import END_OF_HEAD, Head, parse_head

_BEGINNING = b"HTTP/1."

_MOST = 64 * 1024
"""Bytes received at a time: what follows the head is copied once more."""


@attrs.define(eq=False)
class HeadReader:
    """
    Reads one head.

    Attributes:
        max_head: Bytes of all heads together: a server could send interim
            replies for ever.
    """

    _connection: Connection
    _buffer: memoryview
    _timeout: float | None
    _max_head: int
    _data: bytearray = attrs.field(factory=bytearray, init=False)
    _start: int = attrs.field(default=0, init=False)
    _searched: int = attrs.field(default=0, init=False)

    async def read(self, early: bytes) -> tuple[Head, memoryview]:
        """
        Return the final head, and what has come of the body.

        Args:
            early: What was received while the request was being sent.

        Raises:
            httpx.RemoteProtocolError: The server closed, or speaks no HTTP/1.

            httpx.ReadTimeout: Nothing came for too long.

            httpx.ReadError: The connection broke.
        """
        self._data += early
        while (head := self._parsed()) is None:
            self._data += await self._received()
        return head, memoryview(self._data)[self._start :]

    def _parsed(self) -> Head | None:
        while (end := self._data.find(END_OF_HEAD, self._searched)) >= 0:
            end += len(END_OF_HEAD)
            self._check(end)
            head = parse_head(bytes(self._data[self._start : end]))
            self._start = self._searched = end
            if head.status >= 200:
                return head
        self._check(len(self._data))
        # The mark may have come in two parts.
        self._searched = max(self._start, len(self._data) - len(END_OF_HEAD) + 1)
        return None

    def _check(self, end: int) -> None:
        if end > self._max_head:
            raise httpx.RemoteProtocolError(
                f"the reply's head has more than {self._max_head} bytes"
            )
        # Whoever speaks another protocol may never send an empty line.
        begun = self._data[self._start : self._start + len(_BEGINNING)]
        if not _BEGINNING.startswith(begun):
            raise httpx.RemoteProtocolError("not an HTTP/1 reply")

    async def _received(self) -> memoryview:
        buffer = self._buffer[:_MOST]
        count = await self._connection.receive_into(buffer, self._timeout)
        if not count:
            raise httpx.RemoteProtocolError(
                "incomplete head: server disconnected within it"
                if self._data
                else "server disconnected without a reply"
            )
        return buffer[:count]
