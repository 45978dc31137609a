"""Connections between requests, and how many there may be."""

from __future__ import annotations

import time
from collections import deque

import anyio
import attrs
import httpx

from ._connection import Connection
from ._origin import Origin


@attrs.define(eq=False)
class Pool:
    """
    Idle connections, the last one used on top, and places for busy ones.

    Every decision is made in one go, without a point where it could be
    cancelled. Nothing runs in the background: connections that were idle for
    too long are closed when somebody comes or goes.
    """

    _max_connections: int | None
    _keepalive_expiry: float
    closed: bool = attrs.field(default=False, init=False)
    _idle: dict[Origin, deque[Connection]] = attrs.field(
        factory=dict[Origin, deque[Connection]], init=False
    )
    _busy: set[Connection] = attrs.field(factory=set[Connection], init=False)
    _leased: int = attrs.field(default=0, init=False)
    _places: anyio.Semaphore | None = attrs.field(init=False)
    _next_sweep: float = attrs.field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        bound = self._max_connections
        self._places = None if bound is None else anyio.Semaphore(bound)

    async def place(self, origin: Origin, timeout: float | None) -> Place:
        """
        Wait for leave to have one connection more, to *origin*.

        Raises:
            httpx.PoolTimeout: There was none for *timeout* seconds.

            httpx.NetworkError: The pool was closed meanwhile.

            RuntimeError: It was closed before.
        """
        if self.closed:
            raise RuntimeError("the transport is closed")
        if self._places is not None:
            await _acquired(self._places, timeout)
            if self.closed:
                raise _was_closed()
        self._leased += 1
        return Place(self, origin)

    def take(self, origin: Origin) -> Connection | None:
        """Return an idle connection to *origin* that is alive, if there is one."""
        idle = self._idle.get(origin)
        expired = time.monotonic() - self._keepalive_expiry
        while idle:
            connection = idle.pop()
            if connection.idle_since > expired and connection.usable():
                connection.received = connection.lost = False
                self._busy.add(connection)
                return connection
            connection.close()
        return None

    def make_room(self) -> None:
        """Close the idle connection that would be one too many beside a new one."""
        if self._max_connections is None:
            return
        idle = [queue for queue in self._idle.values() if queue]
        if idle and self._leased + sum(map(len, idle)) > self._max_connections:
            oldest = min(idle, key=lambda queue: queue[0].idle_since)
            oldest.popleft().close()

    def add(self, connection: Connection) -> None:
        """Take note of a new connection, which is busy; one too late is closed."""
        if self.closed:
            connection.close()
            raise _was_closed()
        self._busy.add(connection)

    def keep(self, origin: Origin, connection: Connection) -> None:
        """Take back a connection that can serve another request."""
        self._busy.discard(connection)
        if self.closed:
            connection.close()
            return
        now = connection.idle_since = time.monotonic()
        connection.reused = True
        self._idle.setdefault(origin, deque()).append(connection)
        if now >= self._next_sweep:
            self._sweep(now)

    def drop(self, connection: Connection) -> None:
        """Close a connection that cannot."""
        self._busy.discard(connection)
        connection.close()

    def leave(self) -> None:
        """Give a place back."""
        self._leased -= 1
        if self._places is not None:
            self._places.release()

    def close(self) -> None:
        """Close what is idle, and make what is busy or waits for a place fail."""
        self.closed = True
        if self._places is not None:
            for _ in range(self._places.statistics().tasks_waiting):
                self._places.release()
        for queue in self._idle.values():
            for connection in queue:
                connection.close()
        self._idle.clear()
        for connection in self._busy:
            # Its user closes it; a descriptor closed under somebody who waits
            # for it may come back as another file.
            connection.abort()

    def _sweep(self, now: float) -> None:
        self._next_sweep = now + self._keepalive_expiry
        expired = now - self._keepalive_expiry
        for origin, queue in list(self._idle.items()):
            while queue and queue[0].idle_since <= expired:
                queue.popleft().close()
            if not queue:
                del self._idle[origin]


@attrs.define(eq=False)
class Place:
    """Leave for one connection, and the one that uses it; each ends once."""

    _pool: Pool
    _origin: Origin
    connection: Connection | None = attrs.field(default=None, init=False)
    _held: bool = attrs.field(default=True, init=False)

    def take(self) -> Connection | None:
        """Fill the place with an idle connection, if there is one."""
        self.connection = self._pool.take(self._origin)
        return self.connection

    def put(self, connection: Connection) -> None:
        """Fill the place with a new connection."""
        self._pool.add(connection)
        self.connection = connection

    def empty(self) -> None:
        """Close the connection, and keep the place for another."""
        if self.connection is not None:
            self._pool.drop(self.connection)
            self.connection = None

    def keep(self) -> None:
        """Give back the place, and the connection for another request."""
        if self.connection is not None:
            self._pool.keep(self._origin, self.connection)
            self.connection = None
        self._leave()

    def drop(self) -> None:
        """Give back the place, and close the connection."""
        self.empty()
        self._leave()

    def _leave(self) -> None:
        if self._held:
            self._held = False
            self._pool.leave()


def _was_closed() -> httpx.NetworkError:
    return httpx.NetworkError("the transport was closed")


async def _acquired(places: anyio.Semaphore, timeout: float | None) -> None:
    try:
        places.acquire_nowait()
    except anyio.WouldBlock:
        pass
    else:
        return
    try:
        with anyio.fail_after(timeout):
            await places.acquire()
    except TimeoutError:
        raise httpx.PoolTimeout(f"no connection was free for {timeout} s") from None
