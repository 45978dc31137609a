"""Sending a request: each byte that was promised, and none more."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator

import attrs
import httpx

from ._connection import Connection
from ._content import FileBody, Stream
from ._head import HeadReader
from ._patience import ends_after, left_until
from ._request import Outgoing

SMALL = 64 * 1024
"""Bytes of a body that are sent together with the head, in one call."""

_AT_ONCE = 1024 * 1024

_COPIED = 256 * 1024


class Answered(Exception):
    """The server has answered, and does not want the rest of the request."""


@attrs.define(eq=False)
class Sender:
    """
    One request on its way.

    The server may answer before it has all of it. A refusal ends the sending;
    any other reply is kept until the body is sent, as the server may be
    waiting for it.

    Attributes:
        buffer: Nobody else uses it between two waits.
    """

    connection: Connection
    buffer: memoryview
    _reader: HeadReader
    _timeout: float | None

    async def send(self, data: bytes | memoryview, flags: int = 0) -> None:
        """Send all of *data*."""
        sent = self.connection.try_send(data, flags)
        if sent < len(data):
            await self._send_on(memoryview(data)[sent:])

    async def _send_on(self, rest: memoryview) -> None:
        connection = self.connection
        while rest:
            # TLS wants no less than it was offered when it had no room.
            sent = connection.try_send(rest)
            rest = rest[sent:]
            if not sent:
                await self._room()
            await connection.breathe()

    async def send_some(self, data: memoryview) -> int:
        """Send what there is room for, wait for more, and return how much it was."""
        sent = 0
        while sent < len(data) and (count := self.connection.try_send(data[sent:])):
            sent += count
        if sent < len(data):
            await self._room()
        await self.connection.breathe()
        return sent

    async def send_file(self, fd: int, offset: int, size: int) -> int:
        """Send at most *size* bytes of a file from *offset*; return how many."""
        connection = self.connection
        while (sent := connection.try_send_file(fd, offset, size)) is None:
            await self._room()
        await connection.breathe()
        return sent

    async def _room(self) -> None:
        """Wait for room to send; what the server sends meanwhile is no progress."""
        timeout, ends = self._timeout, ends_after(self._timeout)
        while self._reader.head is None:
            if not await self.connection.until_ready(timeout):
                return
            self._listen()
            timeout = left_until(ends)
        await self.connection.until_writable(timeout)

    def _listen(self) -> None:
        count = self.connection.try_receive_into(self.buffer)
        if count is None:
            return
        self._reader.take(self.buffer[:count])
        head = self._reader.head
        if head is not None and head.status >= 300:
            raise Answered


async def send(sender: Sender, request: Outgoing) -> bool:
    """
    Send *request*; False: the server has answered before it was all sent.

    Raises:
        httpx.LocalProtocolError: The body is not as long as was announced.

        httpx.WriteError: The connection broke.

        httpx.WriteTimeout: The server stopped reading.
    """
    content = request.content
    try:
        if isinstance(content, bytes):
            await _send_bytes(sender, request.head, content)
        elif isinstance(content, Stream):
            await _send_stream(sender, request, content.chunks)
        else:
            await _send_file(sender, request.head, content)
    except Answered:
        return False
    return True


async def _send_bytes(sender: Sender, head: bytes, content: bytes) -> None:
    if len(content) <= SMALL:
        return await sender.send(head + content)
    await sender.send(head, sender.connection.more)
    return await sender.send(content)


async def _send_file(sender: Sender, head: bytes, body: FileBody) -> None:
    head += body.head
    if body.size <= SMALL:
        return await _send_small_file(sender, head, body)
    sent = await _send_descriptor(sender, head, body)
    await _send_copied(sender, body, sent)
    body.check()
    return await sender.send(body.tail)


async def _send_small_file(sender: Sender, head: bytes, body: FileBody) -> None:
    buffer = bytearray(body.size)
    _read_into(body, memoryview(buffer), 0)
    body.check()
    await sender.send(b"".join((head, buffer, body.tail)))
    _report(body, body.size)


async def _send_descriptor(sender: Sender, head: bytes, body: FileBody) -> int:
    """Send the file from kernel to kernel, as far as that is possible."""
    if sender.connection.is_tls:
        await sender.send(head)
        return 0
    await sender.send(head, sender.connection.more)
    sent = 0
    while sent < body.size:
        size = min(body.size - sent, _AT_ONCE)
        try:
            count = await sender.send_file(body.fileno, body.offset + sent, size)
        except OSError:
            # Not every file system can. Reading shows what is really wrong.
            return sent
        if not count:
            raise _cut_short(body, sent)
        sent += count
        _report(body, sent)
    return sent


async def _send_copied(sender: Sender, body: FileBody, sent: int) -> None:
    """Send by a buffer that is shared, and so is filled anew after each wait."""
    while sent < body.size:
        part = sender.buffer[: min(body.size - sent, _COPIED)]
        _read_into(body, part, sent)
        # What there was no room for is read again, and no less of it offered:
        # TLS insists on that.
        sent += await sender.send_some(part)
        _report(body, sent)


def _read_into(body: FileBody, buffer: memoryview, done: int) -> None:
    filled = 0
    while filled < len(buffer):
        offset = body.offset + done + filled
        count = os.preadv(body.fileno, [buffer[filled:]], offset)
        if not count:
            raise _cut_short(body, done + filled)
        filled += count


def _cut_short(body: FileBody, size: int) -> httpx.LocalProtocolError:
    body.check()
    return httpx.LocalProtocolError(f"the file ended after {size} of {body.size} bytes")


def _report(body: FileBody, sent: int) -> None:
    if body.progress is not None:
        body.progress(sent)


async def _send_stream(
    sender: Sender, request: Outgoing, stream: AsyncIterable[bytes]
) -> None:
    iterator = aiter(stream)
    try:
        await _send_chunks(sender, request, iterator)
    finally:
        # Not left to the garbage collector, which cannot await.
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()


async def _send_chunks(
    sender: Sender, request: Outgoing, chunks: AsyncIterator[bytes]
) -> None:
    framing = _Chunked() if request.length is None else _Counted(request.length)
    first = request.head
    async for chunk in chunks:
        # An empty chunk would be the last one.
        if chunk:
            await sender.send(first + framing.framed(chunk))
            await sender.connection.breathe()
            first = b""
    if last := first + framing.end():
        await sender.send(last)


class _Chunked:
    def framed(self, chunk: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(chunk), chunk)

    def end(self) -> bytes:
        return b"0\r\n\r\n"


@attrs.define(eq=False)
class _Counted:
    _length: int
    _sent: int = attrs.field(default=0, init=False)

    def framed(self, chunk: bytes) -> bytes:
        self._sent += len(chunk)
        if self._sent > self._length:
            raise httpx.LocalProtocolError(
                f"the body is longer than the announced {self._length} bytes"
            )
        return chunk

    def end(self) -> bytes:
        if self._sent < self._length:
            raise httpx.LocalProtocolError(
                f"the body ended after {self._sent} of {self._length} bytes"
            )
        return b""
