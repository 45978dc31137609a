"""Reading the head of a reply, past all the interim ones before it."""

from __future__ import annotations

import math
import time

import attrs
import httpx

from ._connection import Connection
from ._parser import END_OF_HEAD, Head, check_unfinished, parse_head

SLOWEST = 1024
"""Bytes per second, of a head whose beginning has come."""

_MOST = 64 * 1024
"""Bytes received at a time: what follows the head is copied once more."""


@attrs.define(eq=False)
class HeadReader:
    """
    Reads one head, and what comes along with it.

    Attributes:
        head: The final head, once it is there. Each head is judged once, also if
            it comes while the request is still being sent.
    """

    _connection: Connection
    _buffer: memoryview
    _timeout: float | None
    _max_head: int
    head: Head | None = attrs.field(default=None, init=False)
    _data: bytes = attrs.field(default=b"", init=False, repr=False)
    _start: int = attrs.field(default=0, init=False)
    _searched: int = attrs.field(default=0, init=False)
    _ends: float = attrs.field(default=math.inf, init=False)

    async def read(self) -> tuple[Head, memoryview]:
        """
        Return the final head, and what has come of the body.

        Raises:
            httpx.RemoteProtocolError: The server closed, or speaks no HTTP/1.

            httpx.ReadTimeout: Nothing came for too long, or too little after the
                first byte.

            httpx.ReadError: The connection broke, or another task closed it.
        """
        buffer = self._buffer[:_MOST]
        while self.head is None:
            timeout = self._left() if self._data else self._timeout
            count = await self._connection.receive_reply_into(buffer, timeout)
            self.take(buffer[:count])
        return self.head, memoryview(self._data)[self._start :]

    def _left(self) -> float | None:
        """Each byte that has come is worth a moment more, and no other patience."""
        if self._timeout is None:
            return None
        if self._ends == math.inf:
            self._ends = time.monotonic() + self._timeout
        left = self._ends + len(self._data) / SLOWEST - time.monotonic()
        return max(0.0, min(left, self._timeout))

    def take(self, received: memoryview) -> None:
        """
        Take what was received; nothing is the end of the connection.

        Raises:
            httpx.RemoteProtocolError: It is not HTTP/1, too much, or cut off.
        """
        if not received:
            raise httpx.RemoteProtocolError(
                "incomplete head: server disconnected within it"
                if self._data
                else "server disconnected without a reply"
            )
        self._data += received
        while self.head is None and self._next():
            pass

    def _next(self) -> bool:
        """Judge the next head, if it is complete."""
        data, start = self._data, self._start
        end = data.find(END_OF_HEAD, self._searched) + len(END_OF_HEAD)
        if end < len(END_OF_HEAD):
            self._check_size(len(data))
            check_unfinished(data, start, self._searched)
            # The mark may come in two parts.
            self._searched = max(start, len(data) - len(END_OF_HEAD) + 1)
            return False
        self._check_size(end)
        head = parse_head(data[start:end])
        self._start = self._searched = end
        if head.status >= 200:
            self.head = head
        return True

    def _check_size(self, size: int) -> None:
        # All heads together: a server could send interim replies for ever.
        if size > self._max_head:
            raise httpx.RemoteProtocolError(
                f"the reply's head has more than {self._max_head} bytes"
            )
