"""The sockets of httpx's stack: opened, watched and closed by the rules of ours."""

from __future__ import annotations

import enum
import ssl
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import anyio
import attrs
import httpcore
import httpx

from ._channel import Channel, Clear, Encrypted, encrypted
from ._connect import Guard
from ._connection import Connection
from ._open import Opener
from ._origin import Origin


class _Unsaid(enum.Enum):
    """Where httpcore gives no timeout: while it speaks with a SOCKS proxy."""

    UNSAID = "unsaid"


_Timeout: TypeAlias = float | Literal[_Unsaid.UNSAID] | None

_ERRORS: dict[type[httpx.TransportError], type[Exception]] = {
    httpx.ConnectTimeout: httpcore.ConnectTimeout,
    httpx.ReadTimeout: httpcore.ReadTimeout,
    httpx.WriteTimeout: httpcore.WriteTimeout,
    httpx.ConnectError: httpcore.ConnectError,
    httpx.ReadError: httpcore.ReadError,
    httpx.WriteError: httpcore.WriteError,
    httpx.NetworkError: httpcore.NetworkError,
}


@contextmanager
def _as_httpcore() -> Generator[None]:
    """httpcore knows its own errors only; httpx turns them back into its own."""
    try:
        yield
    except httpx.TransportError as error:
        raise _ERRORS[type(error)](str(error)) from error


@attrs.define(eq=False, slots=False)
class Network(httpcore.AsyncNetworkBackend):
    """
    The connection of one lane, which has one at a time.

    httpcore forgets what it was about to open when it is cancelled, in a handshake
    with a proxy for one. So the connection is known here, and closed from here, at
    once and without waiting.

    Attributes:
        reused: Whether it was there before the request began.

        lost: Whether it broke or was closed, by the other side, since then.

        received: Whether a byte came since then.
    """

    _opener: Opener
    reused: bool = attrs.field(default=False, init=False)
    lost: bool = attrs.field(default=False, init=False)
    received: bool = attrs.field(default=False, init=False)
    _guard: Guard | None = attrs.field(default=None, init=False)
    _connection: Connection | None = attrs.field(default=None, init=False)
    _leads_to: tuple[str, int] | None = attrs.field(default=None, init=False)

    def begin(self, host: str, port: int, guard: Guard | None) -> None:
        """
        Take note that a request begins.

        Args:
            guard: Is shown the address that a connection leads to, the one that is
                there already as well; what it raises passes unchanged.
        """
        self._guard = guard
        self.reused = self._connection is not None
        self.lost = self.received = False
        if guard and self._connection and self._leads_to == (host, port):
            guard(self._connection.address)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.close()
        self.reused = False
        # TLS comes later, and behind a tunnel to another name.
        origin = Origin(False, host, port, host)
        with _as_httpcore():
            connection = await self._opener.open(origin, self._guard, timeout)
        self._connection, self._leads_to = connection, (host, port)
        return _Stream(self, connection, Clear(connection), timeout)

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    def secured(self, below: Channel, name: str) -> Encrypted:
        """Put TLS on *below*, as on our own sockets."""
        return encrypted(below, self._opener.encryption, name)

    def abort(self) -> None:
        """Make whoever uses the connection fail, to close it."""
        if self._connection is not None:
            self._connection.abort()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self.drop(self._connection)

    def drop(self, connection: Connection) -> None:
        """Close *connection*, which may be an earlier one."""
        connection.close()
        if connection is self._connection:
            self._connection = None


@attrs.frozen(eq=False, slots=False)
class _Stream(httpcore.AsyncNetworkStream):
    """
    A connection, as httpcore wants to have it.

    Attributes:
        patience: Seconds for each step where httpcore has no timeout.
    """

    _network: Network
    _connection: Connection
    _channel: Channel
    _patience: float | None

    async def read(self, max_bytes: int, timeout: _Timeout = _Unsaid.UNSAID) -> bytes:
        with self._watched():
            data = await self._channel.receive(max_bytes, self._seconds(timeout))
        if data:
            self._network.received = True
        else:
            self._network.lost = True
        return data

    async def write(self, buffer: bytes, timeout: _Timeout = _Unsaid.UNSAID) -> None:
        # httpcore writes what is empty, too, within an iteration that nobody would
        # close if this were cancelled.
        if buffer:
            with self._watched():
                await self._channel.send(buffer, self._seconds(timeout))

    async def aclose(self) -> None:
        self._network.drop(self._connection)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        # httpcore's context is none of ours, see `LaneTransport`.
        with _as_httpcore():
            channel = self._network.secured(self._channel, server_hostname or "")
            await self._shaken(channel, timeout)
        return _Stream(self._network, self._connection, channel, self._patience)

    @contextmanager
    def _watched(self) -> Generator[None]:
        with _as_httpcore():
            try:
                yield
            except httpx.NetworkError:
                self._network.lost = True
                raise

    async def _shaken(self, channel: Encrypted, timeout: float | None) -> None:
        # All of it together is one step, of however many messages.
        with anyio.move_on_after(timeout):
            await channel.shake_hands()
            return
        raise httpx.ConnectTimeout(f"no TLS within {timeout} s")

    # Any: httpcore has it so, and each name has a type of its own.
    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # Asked whether it may not serve another request.
            return not self._connection.usable()
        if info == "ssl_object":
            return self._channel.tls if isinstance(self._channel, Encrypted) else None
        return self._connection.stream.get_extra_info(info)

    def _seconds(self, timeout: _Timeout) -> float | None:
        return self._patience if timeout is _Unsaid.UNSAID else timeout
