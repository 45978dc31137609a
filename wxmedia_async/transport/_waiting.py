"""Waiting until a socket can be read or written, on each event loop its own way."""

from __future__ import annotations

import asyncio
import math
import os
import select
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import anyio
import attrs

from ._readable import breakage

T = TypeVar("T")


class Waiter(Protocol):
    """
    Waits for one socket, one wait at a time.

    Every wait raises `TimeoutError` after *timeout* seconds; None: never. It raises
    `anyio.ClosedResourceError` as soon as somebody calls `close`, and
    `anyio.BusyResourceError` where somebody waits already.
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
        """Forget the socket, and wake who waits; called before it is closed."""
        ...


def supported() -> bool:
    """Whether this platform, and the event loop if one runs, can do it."""
    needed = (os, "sendfile"), (os, "preadv"), (select, "poll")
    if not all(hasattr(module, name) for module, name in needed):
        return False
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return True
    return _watches(loop)


def _watches(loop: asyncio.AbstractEventLoop) -> bool:
    # A loop that waits for completion, not readiness, leaves it abstract.
    return type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader


def waiter_for(sock: socket.socket) -> Waiter:
    """Return what waits for *sock* in the running event loop."""
    loop = running_loop()
    if isinstance(loop, asyncio.AbstractEventLoop) and _watches(loop):
        return LoopWaiter(loop, sock)
    return AnyioWaiter(loop, sock)


def running_loop() -> Any:
    """Return asyncio's loop, or what trio has in its place."""
    try:
        # anyio finds it as well, but takes ten times as long.
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token().native_token


@attrs.define(eq=False)
class LoopWaiter:
    """
    Waits by the reader and writer callbacks of an asyncio loop.

    A cancel scope and a timer for each wait would cost more than the rest of a
    small exchange. So there is one timer, left running, which looks at the
    current deadline when it fires; and the reader stays registered until the
    socket has something to say that nobody waits for. The socket is held for
    as long, since a descriptor that is closed first would confuse the loop.
    """

    _loop: asyncio.AbstractEventLoop
    _sock: socket.socket
    _future: asyncio.Future[bool] | None = attrs.field(default=None, init=False)
    _timer: asyncio.Handle | None = attrs.field(default=None, init=False)
    # uvloop's handles do not tell, where the time is almost over.
    _fires: float = attrs.field(default=math.inf, init=False)
    _deadline: float = attrs.field(default=math.inf, init=False)
    _registered: bool = attrs.field(default=False, init=False)
    _writing: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)
    _fd: int = attrs.field(init=False)
    _has_echoes: bool = attrs.field(init=False)
    _echo: bool = attrs.field(default=False, init=False)
    _is_broken: Callable[[], bool] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        # asyncio puts the repr of a socket into an error that it then ignores.
        self._fd = self._sock.fileno()
        # asyncio's own loop looks at the socket once more before whoever was
        # woken gets to read it, and then again if there really is more.
        self._has_echoes = isinstance(self._loop, asyncio.SelectorEventLoop)
        # uvloop tells of a broken connection once, and then watches it no more.
        self._is_broken = _never if self._has_echoes else breakage(self._sock)

    def belongs_here(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    async def readable(self, timeout: float | None) -> None:
        future = self._begin(timeout)
        if not self._registered:
            self._register()
        try:
            await future
        finally:
            self._future = None

    async def writable(self, timeout: float | None) -> None:
        await self._writable(self._begin(timeout))

    async def either(self, timeout: float | None) -> bool:
        future = self._begin(timeout)
        if not self._registered:
            self._register()
        return await self._writable(future)

    def close(self) -> None:
        self._closed = True
        self._unset_timer()
        if self._loop.is_closed():
            return
        if self._registered:
            self._unregister()
        if self._writing:
            self._unset_writer()
        if self._future is not None and not self._future.done():
            self._future.set_exception(anyio.ClosedResourceError())

    async def _writable(self, future: asyncio.Future[bool]) -> bool:
        # Most of the time there is room to send, so this one cannot stay.
        self._loop.add_writer(self._fd, _settle, future, False)
        self._writing = True
        try:
            return await future
        finally:
            self._future = None
            # Closed meanwhile, the descriptor may be another's by now.
            if self._writing:
                self._unset_writer()

    def _unset_writer(self) -> None:
        self._loop.remove_writer(self._fd)
        self._writing = False

    def _register(self) -> None:
        self._loop.add_reader(self._fd, self._on_readable)
        self._registered = True

    def _unregister(self) -> None:
        self._loop.remove_reader(self._fd)
        self._registered = False

    def _on_readable(self) -> None:
        if self._echo:
            self._echo = False
        elif self._future is None or self._future.done():
            self._unregister()
        else:
            self._future.set_result(True)
            self._echo = self._has_echoes
            if self._is_broken():
                self._unregister()

    def _begin(self, timeout: float | None) -> asyncio.Future[bool]:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._future is not None:
            raise anyio.BusyResourceError("waiting for")
        future = self._future = self._loop.create_future()
        if timeout is None:
            self._deadline = math.inf
        else:
            self._deadline = self._loop.time() + timeout
            if self._fires > self._deadline:
                self._set_timer()
        return future

    def _set_timer(self) -> None:
        self._unset_timer()
        self._fires = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._tick)

    def _unset_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._fires = None, math.inf

    def _tick(self) -> None:
        self._timer, self._fires = None, math.inf
        if self._future is None or self._deadline == math.inf:
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        elif not self._future.done():
            self._future.set_exception(TimeoutError())


def _never() -> bool:
    return False


def _settle(future: asyncio.Future[bool], readable: bool) -> None:
    # It may have been cancelled in the same turn of the loop.
    if not future.done():
        future.set_result(readable)


@attrs.define(eq=False)
class AnyioWaiter:
    """Waits through anyio, which is trio's own way on trio."""

    _token: object
    _sock: socket.socket
    _waits: bool = attrs.field(default=False, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    def belongs_here(self) -> bool:
        return running_loop() is self._token

    async def readable(self, timeout: float | None) -> None:
        await self._wait(anyio.wait_readable, timeout)

    async def writable(self, timeout: float | None) -> None:
        await self._wait(anyio.wait_writable, timeout)

    async def either(self, timeout: float | None) -> bool:
        return await self._wait(_either, timeout)

    def close(self) -> None:
        self._closed = True
        if self._waits:
            anyio.notify_closing(self._sock)

    async def _wait(
        self, until: Callable[[socket.socket], Awaitable[T]], timeout: float | None
    ) -> T:
        if self._closed:
            raise anyio.ClosedResourceError
        if self._waits:
            raise anyio.BusyResourceError("waiting for")
        self._waits = True
        try:
            with anyio.fail_after(timeout):
                return await until(self._sock)
        finally:
            self._waits = False


async def _either(sock: socket.socket) -> bool:
    fired: list[bool] = []

    async def until(
        wait: Callable[[socket.socket], Awaitable[None]], readable: bool
    ) -> None:
        # Closed: nothing fires, and this ends as the other one does.
        with suppress(anyio.ClosedResourceError):
            await wait(sock)
            fired.append(readable)
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(until, anyio.wait_readable, True)
        tasks.start_soon(until, anyio.wait_writable, False)
    if not fired:
        raise anyio.ClosedResourceError
    return any(fired)
