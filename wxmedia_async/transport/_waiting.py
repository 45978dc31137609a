"""Waiting until a socket can be read or written, on each event loop its own way."""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Protocol

import anyio
import attrs


class Waiter(Protocol):
    """
    Waits for one socket.

    Every wait raises `TimeoutError` after *timeout* seconds; None: never.
    """

    def belongs_here(self) -> bool:
        """Whether the running event loop is the one that this was made for."""
        ...

    async def readable(self, timeout: float | None) -> None: ...

    async def writable(self, timeout: float | None) -> None: ...

    async def either(self, timeout: float | None) -> bool:
        """Wait until the socket is readable (True) or writable (False)."""
        ...

    def close(self) -> None:
        """Forget the socket; to be called before it is closed."""
        ...


def supported() -> bool:
    """Whether this platform, and the event loop if one runs, can do it."""
    if not (hasattr(os, "sendfile") and hasattr(os, "preadv")):
        return False
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return True
    # A loop that waits for completion, not readiness, leaves it abstract.
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


def waiter_for(sock: socket.socket) -> Waiter:
    """Return what waits for *sock* in the running event loop."""
    native = anyio.lowlevel.current_token().native_token
    if isinstance(native, asyncio.AbstractEventLoop):
        return LoopWaiter(native, sock.fileno())
    return AnyioWaiter(native, sock)


@attrs.define(eq=False)
class LoopWaiter:
    """
    Waits by the reader and writer callbacks of an asyncio loop.

    A cancel scope and a timer for each wait would cost more than the rest of a
    small exchange. So there is one timer, which is left running and looks at
    the current deadline when it fires. The callbacks are taken away after each
    wait: an idle socket that nobody reads would keep the loop spinning, and a
    forked child would share the registration with its parent.
    """

    _loop: asyncio.AbstractEventLoop
    _fd: int
    _future: asyncio.Future[bool] | None = attrs.field(default=None, init=False)
    _timer: asyncio.TimerHandle | None = attrs.field(default=None, init=False)
    _deadline: float = attrs.field(default=math.inf, init=False)

    def belongs_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def readable(self, timeout: float | None) -> None:
        future = self._begin(timeout)
        self._loop.add_reader(self._fd, _settle, future, True)
        try:
            await future
        finally:
            self._future = None
            self._loop.remove_reader(self._fd)

    async def writable(self, timeout: float | None) -> None:
        future = self._begin(timeout)
        self._loop.add_writer(self._fd, _settle, future, False)
        try:
            await future
        finally:
            self._future = None
            self._loop.remove_writer(self._fd)

    async def either(self, timeout: float | None) -> bool:
        future = self._begin(timeout)
        self._loop.add_reader(self._fd, _settle, future, True)
        self._loop.add_writer(self._fd, _settle, future, False)
        try:
            return await future
        finally:
            self._future = None
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, timeout: float | None) -> asyncio.Future[bool]:
        self._future = self._loop.create_future()
        if timeout is None:
            self._deadline = math.inf
        else:
            self._deadline = self._loop.time() + timeout
            if self._timer is None or self._timer.when() > self._deadline:
                self._set_timer()
        return self._future

    def _set_timer(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._deadline, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._future is None or self._deadline == math.inf:
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        elif not self._future.done():
            self._future.set_exception(TimeoutError())


def _settle(future: asyncio.Future[bool], readable: bool) -> None:
    # Both callbacks may come in one turn of the loop, and after a cancellation.
    if not future.done():
        future.set_result(readable)


@attrs.frozen(eq=False)
class AnyioWaiter:
    """Waits through anyio, which is trio's own way on trio."""

    _token: object
    _sock: socket.socket

    def belongs_here(self) -> bool:
        return anyio.lowlevel.current_token().native_token is self._token

    async def readable(self, timeout: float | None) -> None:
        with anyio.fail_after(timeout):
            await anyio.wait_readable(self._sock)

    async def writable(self, timeout: float | None) -> None:
        with anyio.fail_after(timeout):
            await anyio.wait_writable(self._sock)

    async def either(self, timeout: float | None) -> bool:
        fired: list[bool] = []

        async def until(
            wait: Callable[[socket.socket], Awaitable[None]], readable: bool
        ) -> None:
            await wait(self._sock)
            fired.append(readable)
            tasks.cancel_scope.cancel()

        with anyio.fail_after(timeout):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(until, anyio.wait_readable, True)
                tasks.start_soon(until, anyio.wait_writable, False)
        return any(fired)

    def close(self) -> None:
        """Nothing is kept between waits."""
