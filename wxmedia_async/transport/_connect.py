"""From a host name to a connected socket."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import anyio
import attrs

from ._lack import is_lack
from ._waiting import waiter_for

ATTEMPT_DELAY = 0.25
"""Seconds before the next address is tried as well (RFC 8305, section 5)."""

Guard = Callable[[str], None]
"""Called with an IP address; raises if it must not be connected to."""


@attrs.frozen
class Address:
    """An IP address and port, as the socket functions want it."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def ip(self) -> str:
        return str(self.sockaddr[0])


async def resolve(host: str, port: int) -> list[Address]:
    """
    Return the addresses of *host*, the two families taking turns.

    Raises:
        OSError: It has none, or nobody knows; or this machine lacks what it
            takes to ask, see `is_lack`.

        ValueError: It is no name at all.
    """
    found = _literal(host, port)
    if found is None:
        found = await _asked_for(host, port)
    return _interleaved([Address(family, name) for family, *_, name in found])


_Found = Sequence[tuple[int, int, int, str, tuple[Any, ...]]]


def _literal(host: str, port: int) -> _Found | None:
    """Look nothing up, for a host that is an address already."""
    try:
        return socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except socket.gaierror:
        return None


async def _asked_for(host: str, port: int) -> _Found:
    try:
        return await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_MEMORY:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        # A resolver that can open nothing just says that it does not know.
        socket.socket().close()
        raise


Connected = tuple[Address, socket.socket]


async def connected(addresses: Sequence[Address]) -> Connected:
    """
    Return the first of *addresses* that answers, with a socket connected to it.

    Each gets a head start before the next (RFC 8305); one that fails passes
    its turn on at once.

    Raises:
        OSError: None of them did; the error of the first, or what this machine
            lacks to try them all, see `is_lack`.
    """
    if len(addresses) == 1:
        return addresses[0], await _connect(addresses[0])
    race = _Race()
    try:
        await race.run(addresses)
    except BaseException:
        race.forfeit()
        raise
    return race.won()


@attrs.define(eq=False)
class _Race:
    """Several attempts to connect, of which the first to succeed counts."""

    _winner: Connected | None = attrs.field(default=None, init=False)
    _errors: list[OSError] = attrs.field(factory=list[OSError], init=False)

    async def run(self, addresses: Sequence[Address]) -> None:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                ended = anyio.Event()
                tasks.start_soon(self._attempt, address, ended, tasks.cancel_scope)
                with anyio.move_on_after(ATTEMPT_DELAY):
                    await ended.wait()

    async def _attempt(
        self, address: Address, ended: anyio.Event, race: anyio.CancelScope
    ) -> None:
        try:
            sock = await _connect(address)
        except OSError as error:
            self._errors.append(error)
            ended.set()
            return
        if self._winner is None:
            self._winner = address, sock
            race.cancel()
        else:
            sock.close()

    def won(self) -> Connected:
        if self._winner is None:
            raise next(filter(is_lack, self._errors), self._errors[0])
        return self._winner

    def forfeit(self) -> None:
        if self._winner is not None:
            self._winner[1].close()


async def _connect(address: Address) -> socket.socket:
    sock = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await _await_connection(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _await_connection(sock: socket.socket, address: Address) -> None:
    code = sock.connect_ex(address.sockaddr)
    if code in (errno.EINPROGRESS, errno.EINTR):
        await waiter_for(sock).writable(None)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, f"{os.strerror(code)}: {address.ip}")


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Sort so that no broken family is tried all through before the other."""
    unique = list(dict.fromkeys(addresses))
    first = [a for a in unique if a.family == unique[0].family]
    other = [a for a in unique if a.family != unique[0].family]
    turns = [*enumerate(first), *enumerate(other)]
    return [address for _, address in sorted(turns, key=lambda turn: turn[0])]
