"""Bytes to and from one peer, in the clear or within TLS, for httpcore's sake."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

import attrs
import httpx

from ._connection import Connection
from ._tls import Encryption, check_name

T = TypeVar("T")

_RECORDS = 64 * 1024
"""Bytes received at a time: four TLS records."""


class Channel(Protocol):
    """A stream of bytes in both directions."""

    async def receive(self, count: int, timeout: float | None) -> bytes:
        """Return at most *count* bytes, at least one; none at the end."""
        ...

    async def send(self, data: bytes, timeout: float | None) -> None:
        """Send all of *data*."""
        ...


@attrs.frozen(eq=False)
class Clear:
    """A connection as it is."""

    _connection: Connection

    async def receive(self, count: int, timeout: float | None) -> bytes:
        await self._connection.breathe()
        buffer = memoryview(bytearray(count))
        received = await self._connection.receive_into(buffer, timeout)
        return bytes(buffer[:received])

    async def send(self, data: bytes, timeout: float | None) -> None:
        await self._connection.breathe()
        rest = memoryview(data)
        while rest:
            if sent := self._connection.try_send(rest):
                rest = rest[sent:]
            else:
                await self._connection.until_writable(timeout)


@attrs.frozen(eq=False)
class Encrypted:
    """
    TLS upon another channel, which may be within TLS itself.

    A socket can do only one of them: behind an https proxy there are two.
    """

    _below: Channel
    _incoming: ssl.MemoryBIO
    _outgoing: ssl.MemoryBIO
    tls: ssl.SSLObject

    async def shake_hands(self) -> None:
        """
        Agree with the peer on everything, however long that takes.

        Raises:
            httpx.ConnectError: That failed; the certificate is wrong, perhaps.
        """
        try:
            await self._until_done(self.tls.do_handshake, None)
        except (ssl.SSLError, httpx.NetworkError) as error:
            raise httpx.ConnectError(str(error)) from error

    async def receive(self, count: int, timeout: float | None) -> bytes:
        try:
            return await self._until_done(lambda: self.tls.read(count), timeout)
        except ssl.SSLError as error:
            # Among them a stream that was cut, and must not look as if it had ended.
            raise httpx.ReadError(str(error)) from error

    async def send(self, data: bytes, timeout: float | None) -> None:
        rest = memoryview(data)
        try:
            while rest:
                part = rest
                sent = await self._until_done(lambda: self.tls.write(part), timeout)  # noqa: B023
                rest = rest[sent:]
        except ssl.SSLError as error:
            raise httpx.WriteError(str(error)) from error

    async def _until_done(self, step: Callable[[], T], timeout: float | None) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._flush(timeout)
                await self._fill(timeout)
            except ssl.SSLError:
                # What is wrong is for the peer to know as well, if it still listens.
                with suppress(httpx.TransportError):
                    await self._flush(timeout)
                raise
            else:
                await self._flush(timeout)
                return result

    async def _flush(self, timeout: float | None) -> None:
        if data := self._outgoing.read():
            await self._below.send(data, timeout)

    async def _fill(self, timeout: float | None) -> None:
        if data := await self._below.receive(_RECORDS, timeout):
            self._incoming.write(data)
        else:
            self._incoming.write_eof()


def encrypted(below: Channel, encryption: Encryption, name: str) -> Encrypted:
    """
    Put TLS on *below*; the handshake is to follow.

    Raises:
        httpx.ConnectError: The name of the server is none.

        ValueError: The context cannot be made.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = encryption.context
    try:
        # The dot that ends a full name is no part of it in a certificate.
        host = name.rstrip(".")
        check_name(host)
        with encryption.offering(context):
            tls = context.wrap_bio(incoming, outgoing, server_hostname=host)
    except ValueError as error:
        raise httpx.ConnectError(f"no name of a server: {error}") from error
    return Encrypted(below, incoming, outgoing, tls)
