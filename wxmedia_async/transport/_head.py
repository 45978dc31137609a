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
    """Reads one head, and what comes along with it."""

    _connection: Connection
    _buffer: memoryview
    _timeout: float | None
    _max_head: int

    async def read(self, data: bytes) -> tuple[Head, memoryview]:
        """
        Return the final head, and what has come of the body.

        Args:
            data: What was received while the request was being sent.

        Raises:
            httpx.RemoteProtocolError: The server closed, or speaks no HTTP/1.

            httpx.ReadTimeout: Nothing came for too long.

            httpx.ReadError: The connection broke.
        """
        start = searched = 0
        while True:
            end = data.find(END_OF_HEAD, searched) + len(END_OF_HEAD)
            if end < len(END_OF_HEAD):
                self._check(data, start, len(data))
                # The mark may come in two parts.
                searched = max(start, len(data) - len(END_OF_HEAD) + 1)
                data += await self._received(data)
                continue
            self._check(data, start, end)
            head = parse_head(data[start:end])
            start = searched = end
            if head.status >= 200:
                return head, memoryview(data)[start:]

    def _check(self, data: bytes, start: int, end: int) -> None:
        # All heads together: a server could send interim replies for ever.
        if end > self._max_head:
            raise httpx.RemoteProtocolError(
                f"the reply's head has more than {self._max_head} bytes"
            )
        # Whoever speaks another protocol may never send an empty line.
        if not _BEGINNING.startswith(data[start : start + len(_BEGINNING)]):
            raise httpx.RemoteProtocolError("not an HTTP/1 reply")

    async def _received(self, before: bytes) -> bytes:
        buffer = self._buffer[:_MOST]
        count = await self._connection.receive_reply_into(buffer, self._timeout)
        if not count:
            raise httpx.RemoteProtocolError(
                "incomplete head: server disconnected within it"
                if before
                else "server disconnected without a reply"
            )
        return bytes(buffer[:count])
