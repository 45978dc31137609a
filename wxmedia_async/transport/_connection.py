"""A connection, as bytes: it knows nothing of HTTP."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import anyio
import attrs
import httpx

from ._lack import is_lack
from ._network_stream import NetworkStream
from ._readable import looker
from ._turns import Turns
from ._waiting import Waiter

T = TypeVar("T")

_CLOSED = "the connection was closed by another task"

_BLOCKED = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

# What the file is to blame for, or what sendfile cannot do with it.
_NOT_THE_SOCKET = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EIO, errno.EBADF)


@attrs.define(eq=False)
class Connection:
    """
    A connected socket, plain or TLS.

    Attributes:
        address: The IP address that it leads to.

        is_tls: Whether it is encrypted.

        more: The flag for bytes that more will follow soon. It saves a packet,
            and exists on Linux, for plain connections.

        lost: Whether it failed or was closed by the peer.

        received: Whether a byte came since it was last taken from the pool.

        reused: Whether it has served a request before.

        orderly: Whether the peer's end of the stream, if it came, can be
            trusted: a TLS stream ends with an alert, or somebody cut it.

        idle_since: When it was put into the pool, on the monotonic clock.

        stream: What users may look at.
    """

    address: str
    _sock: socket.socket
    _waiter: Waiter
    _turns: Turns = attrs.field(factory=Turns)
    _turn_ends: float = attrs.field(default=0.0, init=False)
    is_tls: bool = attrs.field(init=False)
    more: int = attrs.field(init=False)
    lost: bool = attrs.field(default=False, init=False)
    received: bool = attrs.field(default=False, init=False)
    reused: bool = attrs.field(default=False, init=False)
    orderly: bool = attrs.field(default=True, init=False)
    idle_since: float = attrs.field(default=0.0, init=False)
    stream: NetworkStream = attrs.field(init=False)
    _aborted: bool = attrs.field(default=False, init=False)
    _records: _Records | None = attrs.field(init=False)
    _recv_into: Callable[[memoryview], int] = attrs.field(init=False)
    _owner: int = attrs.field(factory=os.getpid, init=False)
    _is_readable: Callable[[], bool] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.is_tls = isinstance(self._sock, ssl.SSLSocket)
        self.more = 0 if self.is_tls else getattr(socket, "MSG_MORE", 0)
        self._records = _Records(self._sock) if self.is_tls else None
        self._recv_into = (self._records or self._sock).recv_into
        self._is_readable = looker(self._sock)
        self.stream = NetworkStream(self._sock)

    @property
    def new_session(self) -> ssl.SSLSession | None:
        """What would resume this connection's TLS, if that was not resumed itself."""
        sock = self._sock
        if not isinstance(sock, ssl.SSLSocket) or sock.session_reused:
            return None
        return sock.session

    def usable(self) -> bool:
        """
        Whether an idle connection can serve another request.

        One that can be read was closed, or holds bytes that answer nothing,
        and must not be taken for the next reply.
        """
        if not self.is_ours() or not self._waiter.belongs_here():
            return False
        return not self._is_readable() or self._holds_only_records()

    def is_ours(self) -> bool:
        """Whether this process opened it: a forked child shares it, unasked."""
        return self._owner == os.getpid()

    def _holds_only_records(self) -> bool:
        """A TLS server may send tickets at any time; they are no reply."""
        if not self.is_tls:
            return False
        try:
            self._sock.recv(1)
        except ssl.SSLWantReadError:
            return True
        except OSError:
            return False
        return False

    async def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """
        Receive what there is, at least a byte, and return how much; 0 at the end.

        Raises:
            httpx.ReadTimeout: Nothing came for *timeout* seconds.

            httpx.ReadError: The connection broke.
        """
        while (count := self.try_receive_into(buffer)) is None:
            await self.until_readable(timeout)
        return count

    async def receive_reply_into(
        self, buffer: memoryview, timeout: float | None
    ) -> int:
        """Like `receive_into`, right after a request: nothing can be there yet."""
        # Looking nevertheless would cost a tenth of a small exchange.
        if self._records is None or not self._records.pending:
            await self.until_readable(timeout)
        return await self.receive_into(buffer, timeout)

    def try_receive_into(self, buffer: memoryview) -> int | None:
        """Like `receive_into`, but None where that would wait."""
        try:
            count = self._recv_into(buffer)
        except _BLOCKED:
            return None
        except ssl.SSLEOFError:
            self.orderly = False
            count = 0
        except OSError as error:
            self._fail(error, httpx.ReadError)
        if count:
            self.received = True
            return count
        if self._aborted:
            # Not the end of a body, where that ends with the connection.
            raise httpx.ReadError(_CLOSED)
        self.lost = True
        return 0

    async def until_readable(self, timeout: float | None) -> None:
        """
        Wait for bytes to receive.

        Raises:
            httpx.ReadTimeout: There were none for *timeout* seconds.

            httpx.ReadError: Another task has closed the connection.
        """
        try:
            await self._waiter.readable(timeout)
        except TimeoutError:
            raise httpx.ReadTimeout("no bytes were received in time") from None
        except anyio.ClosedResourceError:
            raise httpx.ReadError(_CLOSED) from None
        await self.breathe()

    def try_send(self, data: bytes | memoryview, flags: int = 0) -> int:
        """
        Send what there is room for, and return how much; 0: there is none.

        Raises:
            httpx.WriteError: The connection broke.
        """
        try:
            # A TLS socket refuses flags.
            return self._sock.send(data, flags) if flags else self._sock.send(data)
        except _BLOCKED:
            return 0
        except OSError as error:
            self._fail(error, httpx.WriteError)

    def try_send_file(self, fd: int, offset: int, size: int) -> int | None:
        """
        Send bytes of a file without touching them, and return how many.

        0 is the end of the file, and None where there is no room.

        Raises:
            httpx.WriteError: The connection broke.

            OSError: This file cannot be sent in this way.
        """
        try:
            return os.sendfile(self._sock.fileno(), fd, offset, size)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in _NOT_THE_SOCKET:
                raise
            self._fail(error, httpx.WriteError)

    async def until_writable(self, timeout: float | None) -> None:
        """
        Wait for room to send.

        Raises:
            httpx.WriteTimeout: There was none for *timeout* seconds.

            httpx.WriteError: Another task has closed the connection.
        """
        await self._until(self._waiter.writable(timeout))

    async def until_ready(self, timeout: float | None) -> bool:
        """Like `until_writable`, or, True, for bytes to receive."""
        return await self._until(self._waiter.either(timeout))

    async def _until(self, ready: Awaitable[T]) -> T:
        try:
            result = await ready
        except TimeoutError:
            raise httpx.WriteTimeout("there was no room to send in time") from None
        except anyio.ClosedResourceError:
            raise httpx.WriteError(_CLOSED) from None
        await self.breathe()
        return result

    async def breathe(self) -> None:
        """Let others run, where transfers have held the loop for long enough."""
        if time.monotonic() >= self._turn_ends:
            self._turn_ends = await self._turns.take()

    def abort(self) -> None:
        """End both directions. Whoever uses the connection wakes up to fail."""
        self._aborted = True
        # What an SSLSocket has made of this method forgets the encryption, and
        # would send what follows in the clear.
        if self.is_ours():
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the socket; no farewell is sent, so nothing can block."""
        # Whoever waits for a turn finds a socket that is none any more.
        self._aborted = True
        # A forked child shares what its parent's loop watches, and the loop too.
        if self.is_ours():
            self._waiter.close()
        self._sock.close()

    def _fail(
        self, error: OSError, kind: type[httpx.ReadError | httpx.WriteError]
    ) -> NoReturn:
        if is_lack(error):
            raise error
        if self._aborted:
            # The other side may answer that with a reset, sooner than this one looks.
            raise kind(_CLOSED) from error
        self.lost = True
        raise kind(str(error)) from error


@attrs.define(eq=False)
class _Records:
    """
    Receives as many TLS records as have come; a TLS socket gives one at a time.

    An error behind some bytes is told after them.
    """

    _sock: socket.socket
    _deferred: OSError | None = attrs.field(default=None, init=False)

    @property
    def pending(self) -> bool:
        """Whether there is something to tell that no event loop can know of."""
        if self._deferred is not None:
            return True
        return isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0

    def recv_into(self, buffer: memoryview) -> int:
        if self._deferred is not None:
            raise self._deferred
        total = count = self._sock.recv_into(buffer)
        # A shorter record is most likely the last one that there is.
        while count >= _FULL_RECORD and total < len(buffer):
            count = self._another(buffer[total:])
            total += count
        return total

    def _another(self, buffer: memoryview) -> int:
        try:
            return self._sock.recv_into(buffer)
        except _BLOCKED:
            return 0
        except OSError as error:
            self._deferred = error
            return 0


_FULL_RECORD = 16 * 1024
