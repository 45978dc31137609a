"""
Files that may have nothing to give for long: pipes, sockets, and other waiting reads.

Nobody can end a read that waits in a thread. So a pipe is read when there is
something to read; and where nobody tells when that is, in a thread that is left to
itself if the upload ends before the read does. What such a read gives then is lost.
"""

from __future__ import annotations

import contextvars
import inspect
import io
import os
import socket
import stat
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, TypeAlias, TypeVar, TypeVarTuple

import anyio
import anyio.from_thread
import anyio.lowlevel
import attrs

from .chunks import READ_SIZE, as_bytes
from .seekable import settled

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Some: TypeAlias = Callable[[int], Awaitable[object]]
"""Gives at most so many bytes; none at the end."""


class Reads(AsyncIterator[bytes]):
    """What a file without a position gives, until it gives no more."""

    def __init__(self, some: Some) -> None:
        self._some = some

    async def __anext__(self) -> bytes:
        if chunk := as_bytes(await self._some(READ_SIZE)):
            return chunk
        raise StopAsyncIteration


def reads_of(
    file: Any, read: Callable[[int], Any], stack: AsyncExitStack, *, is_async: bool
) -> Reads:
    """
    Read *file*, which has no position, by its method *read*.

    Args:
        is_async: Whether it is known that the method is to be awaited.
    """
    if is_async:
        return Reads(lambda size: settled(read(size)))
    if not isinstance(file, io.IOBase):
        return Reads(_Undeclared(read).some)
    if (fd := _pollable(file)) is None:
        return Reads(lambda size: left_alone(read, size))
    # Of our own: an event loop knows descriptors by their numbers.
    duplicate = os.dup(fd)
    stack.callback(os.close, duplicate)
    return Reads(_Polled(file, duplicate).some)


async def left_alone(function: Callable[[*Ts], T], *args: *Ts) -> T:
    """
    Call *function* in a thread that nobody waits for, here or at the program's end.

    anyio's own threads are counted, and waited for at the end.
    """
    call = _Call(anyio.lowlevel.current_token(), anyio.Event())
    run = contextvars.copy_context().run
    work = (call.carry_out, lambda: run(function, *args))
    threading.Thread(target=work[0], args=work[1:], daemon=True).start()
    await call.over.wait()
    if call.error is not None:
        raise call.error
    result: T = call.result
    return result


@attrs.define(eq=False)
class _Call:
    """A call, and what came of it."""

    _loop: anyio.lowlevel.EventLoopToken
    over: anyio.Event
    result: Any = None
    error: BaseException | None = None

    def carry_out(self, function: Callable[[], object]) -> None:
        try:
            self.result = function()
        except BaseException as error:  # noqa: BLE001  it is raised where it is awaited
            self.error = error
        with suppress(anyio.RunFinishedError):
            anyio.from_thread.run_sync(self.over.set, token=self._loop)


async def judged(read: Callable[[int], Any]) -> tuple[bool, object]:
    """
    Tell by what it returns whether *read* is to be awaited, and what it gave.

    It is asked for nothing: not on the event loop, because if it is not to be
    awaited it may take its time all the same; and if it cannot do without a loop
    nothing was taken from it.
    """
    try:
        result = await left_alone(read, 0)
    except RuntimeError as error:
        if not _wants_a_loop(error):
            raise
        return True, b""
    return inspect.isawaitable(result), await settled(result)


class _Undeclared:
    """Reads of which only what they return tells whether they are to be awaited."""

    def __init__(self, read: Callable[[int], Any]) -> None:
        self._read = read
        self._is_async: bool | None = None

    async def some(self, size: int) -> object:
        if self._is_async is None:
            self._is_async, given = await judged(self._read)
            if given:
                return given
        if self._is_async:
            return await settled(self._read(size))
        return await left_alone(self._read, size)


def _wants_a_loop(error: RuntimeError) -> bool:
    """As asyncio says "no running event loop", and trio "async context"."""
    return "event loop" in str(error) or "async context" in str(error)


class _Polled:
    """A pipe or a socket, read when there is something to read."""

    def __init__(self, file: Any, fd: int) -> None:
        self._file = file
        self._fd = fd
        self._some = getattr(file, "read1", file.read)
        # Its owner may have read some of it already, and the file more than that.
        # Of a socket with a timeout it could only be asked with a wait.
        self._blocks = os.get_blocking(fd)
        self._is_ahead = type(file) is io.BufferedReader and self._blocks

    async def some(self, size: int) -> object:
        if self._is_ahead:
            if ahead := self._read_ahead(size):
                return ahead
            self._is_ahead = False
        data = None
        while data is None:
            await self._wait()
            data = self._some(size)
        return data

    async def _wait(self) -> None:
        try:
            await anyio.wait_readable(self._fd)
        finally:
            # libuv changes it, and it is the caller's descriptor as well.
            os.set_blocking(self._fd, self._blocks)

    def _read_ahead(self, size: int) -> object:
        """Return what the file holds; for a moment it must not wait for more."""
        os.set_blocking(self._fd, False)
        try:
            return self._some(size)
        finally:
            os.set_blocking(self._fd, True)


def _pollable(file: io.IOBase) -> int | None:
    """Return the descriptor of a pipe, a socket or a terminal that is merely read."""
    raw: Any = file.raw if type(file) is io.BufferedReader else file
    if sys.platform == "win32" or not (type(raw) is io.FileIO or _is_plain(raw)):
        return None
    fd: int = raw.fileno()
    mode = os.fstat(fd).st_mode
    waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)
    return fd if waits else None


def _is_plain(raw: Any) -> bool:
    """TLS may have bytes to give where its socket has none, and the other way."""
    sock = getattr(raw, "_sock", None)
    return type(raw) is socket.SocketIO and type(sock) is socket.socket
