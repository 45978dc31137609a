"""The body of a reply, as a stream or straight into a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

import attrs
import httpx

from ._connection import Connection
from ._network_stream import NetworkStream
from ._parser import Decoder, Pieces
from ._patience import ends_after, left_until
from ._pool import Place

Write = Callable[[memoryview], object]

_CHUNK = 64 * 1024
"""Bytes of a chunk, at most; they are copied out of the shared buffer."""


@attrs.define(eq=False)
class Body(httpx.AsyncByteStream):
    """
    A body, read once, by iteration or by `receive_into`.

    The connection is given back as soon as the last byte has come, and closed
    as soon as that cannot be any more. The buffer is shared by all bodies of a
    transport; so nothing may wait between receiving into it and using it up.
    """

    _place: Place
    _connection: Connection
    _decoder: Decoder
    _reusable: bool
    _buffer: memoryview = attrs.field(repr=False)
    _timeouts: Mapping[str, float | None]
    _ready: Pieces = attrs.field(default=(), init=False, repr=False)
    _open: bool = attrs.field(default=True, init=False)
    _reading: bool = attrs.field(default=False, init=False)

    @property
    def settled(self) -> bool:
        """Whether all has come, and nothing is left to be closed."""
        return not self._open and not self._ready

    @property
    def network_stream(self) -> NetworkStream:
        return self._connection.stream

    def begin(self, rest: memoryview) -> None:
        """Take what came along with the head."""
        if rest:
            self._ready = self._decoder.feed(rest)
        self._settle()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not (chunk := b"".join(self._ready)):
            if self._decoder.complete:
                raise StopAsyncIteration
            self._ready = await self._receive(self._buffer[:_CHUNK])
        self._ready = ()
        return chunk

    async def receive_into(self, write: Write) -> int:
        """
        Hand all of the body to *write*, and return its size in bytes.

        Args:
            write: Called with each piece, which is only valid for the call.
                What it raises ends the transfer, and passes unchanged.

        Raises:
            httpx.RemoteProtocolError: The body is cut short or malformed.

            httpx.ReadError: The connection broke, or another task closed it.

            httpx.ReadTimeout: Nothing of the body came for too long.

            httpx.StreamError: Another task is reading it.
        """
        self._check_alone()
        total = 0
        try:
            while True:
                for piece in self._ready:
                    write(memoryview(piece))
                    total += len(piece)
                self._ready = ()
                if self._decoder.complete:
                    return total
                self._ready = await self._receive(self._buffer)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connection where the body has not all come."""
        self._ready = ()
        if self._open:
            self._open = False
            self._place.drop()

    async def _receive(self, buffer: memoryview) -> Pieces:
        self._check_alone()
        if not self._open:
            raise httpx.StreamClosed
        self._reading = True
        try:
            await self._connection.breathe()
            pieces = await self._received(buffer)
        except BaseException:
            await self.aclose()
            raise
        finally:
            self._reading = False
        self._settle()
        return pieces

    async def _received(self, buffer: memoryview) -> Pieces:
        # Looked up anew, as httpx's transport does once the head is there:
        # a caller may want less patience with a body than with its head.
        timeout = self._timeouts.get("read")
        ends = ends_after(timeout)
        while True:
            part = buffer[: self._decoder.room(len(buffer))]
            count = await self._connection.receive_into(part, timeout)
            pieces = self._decoded(part[:count])
            if pieces or self._decoder.complete:
                return pieces
            # Bytes of the framing are no progress.
            timeout = left_until(ends)

    def _check_alone(self) -> None:
        # One more who waits would take the place of the first, or its bytes.
        if self._reading:
            raise httpx.StreamError("another task is reading this body")

    def _decoded(self, data: memoryview) -> Pieces:
        if data:
            return self._decoder.feed(data)
        self._decoder.end(orderly=self._connection.orderly)
        return ()

    def _settle(self) -> None:
        if not self._decoder.complete:
            return
        self._open = False
        if self._reusable and not self._decoder.surplus:
            self._place.keep()
        else:
            self._place.drop()
