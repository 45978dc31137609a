"""Opening a connection: name, address, socket, encryption."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import anyio
import attrs
import httpx

from ._connect import Address, Guard, connected
from ._connection import Connection
from ._lack import is_lack
from ._names import Names
from ._origin import Origin
from ._tls import Encryption, Sessions, encrypted, handshake
from ._turns import Turns
from ._waiting import waiter_for


@attrs.define(eq=False)
class Opener:
    """Opens connections, and remembers what makes the next one cheaper."""

    encryption: Encryption
    _sessions: Sessions = attrs.field(init=False)
    _names: Names = attrs.field(factory=Names, init=False)
    _turns: Turns = attrs.field(factory=Turns, init=False)
    _opening: set[anyio.CancelScope] = attrs.field(
        factory=set[anyio.CancelScope], init=False
    )
    _closed: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._sessions = Sessions(self.encryption)

    async def open(
        self, origin: Origin, guard: Guard | None, timeout: float | None
    ) -> Connection:
        """
        Connect to *origin*, all steps together within *timeout* seconds.

        Args:
            guard: Is shown every address of the host; what it raises passes
                unchanged. No other address is connected to.

        Raises:
            httpx.ConnectTimeout: It took too long.

            httpx.ConnectError: No address answered, or TLS failed. A wrong
                certificate is the `ssl.SSLCertVerificationError` that caused it.

            httpx.NetworkError: `close` was called.

            ValueError: The context of TLS connections cannot be made.

            OSError: This machine lacks what it takes, see `is_lack`.
        """
        with anyio.move_on_after(timeout) as scope:
            self._opening.add(scope)
            try:
                return await self._open(origin, guard)
            finally:
                self._opening.discard(scope)
        if self._closed:
            raise httpx.NetworkError("the transport was closed")
        self._names.forget(origin.host, origin.port)
        raise httpx.ConnectTimeout(f"not connected within {timeout} s")

    def close(self) -> None:
        """End whatever is being opened."""
        self._closed = True
        for scope in self._opening:
            scope.cancel()

    def remember(self, origin: Origin, connection: Connection) -> None:
        """
        Keep what would resume the encryption of *connection*.

        A session that was resumed is kept as it is: a copy takes as long as a
        quarter of the handshake that it saves, and a server that wants each
        to be used once just does the whole handshake the next time.
        """
        session = connection.new_session
        if session is not None and (session.has_ticket or session.id):
            self._sessions.put(origin, session)

    async def _open(self, origin: Origin, guard: Guard | None) -> Connection:
        if origin.tls:
            # Not later, where what fails is taken for the network's fault.
            _ = self.encryption.context
        addresses = await self._addresses(origin)
        if guard is not None:
            for address in addresses:
                guard(address.ip)
        return await self._connected(origin, addresses)

    async def _addresses(self, origin: Origin) -> Sequence[Address]:
        try:
            return await self._names.addresses(origin.host, origin.port)
        except (OSError, ValueError) as error:
            # A name with a part that is too long is a UnicodeError.
            if is_lack(error):
                raise
            raise httpx.ConnectError(str(error)) from error

    async def _connected(
        self, origin: Origin, addresses: Sequence[Address]
    ) -> Connection:
        try:
            address, sock = await connected(addresses)
            if not origin.tls:
                return Connection(address.ip, sock, waiter_for(sock), self._turns)
            return await self._encrypted(origin, address, sock)
        except (OSError, ValueError) as error:
            if is_lack(error):
                raise
            self._names.forget(origin.host, origin.port)
            raise httpx.ConnectError(str(error)) from error

    async def _encrypted(
        self, origin: Origin, address: Address, sock: socket.socket
    ) -> Connection:
        session = self._sessions.get(origin)
        tls = encrypted(sock, self.encryption, origin.server_name, session)
        waiter = waiter_for(tls)
        connection = Connection(address.ip, tls, waiter, self._turns)
        try:
            await handshake(tls, waiter, self._turns)
        except BaseException:
            # Not a second time, in case that it was the session's fault.
            self._sessions.forget(origin)
            connection.close()
            raise
        return connection
