"""Pipes, sockets and slow reads hold nobody up, and lose nothing."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread
import pytest

from tests.descriptors import none_left_open
from tests.sourcing import CONTENT, opened, read, read_from

posix = pytest.mark.skipif(os.name != "posix", reason="elsewhere only sockets tell")


@pytest.fixture
def pipe() -> Iterator[tuple[Any, Any]]:
    reading, writing = os.pipe()
    with open(reading, "rb") as mine, open(writing, "wb", buffering=0) as theirs:
        yield mine, theirs


class Slow(io.RawIOBase):
    """A file of somebody's, whose reads wait until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()
        self.free = threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        self.asked.set()
        self.free.wait()
        return b""


class SlowOfItsOwn:
    """The same, and no file of the standard library's."""

    def __init__(self) -> None:
        self._slow = Slow()
        self.asked, self.free = self._slow.asked, self._slow.free
        self.read = self._slow.read


async def cancelled_while_it_waits(source: Any, size: int | None) -> None:
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def upload() -> None:
                await read_from(source, size=size)

            tasks.start_soon(upload)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught


@posix
@pytest.mark.parametrize("size", [None, 9])
@pytest.mark.parametrize("buffering", [-1, 0])
async def test_a_pipe_without_bytes_can_be_cancelled(
    size: int | None, buffering: int
) -> None:
    """Nothing waits for its writer: not the upload, and not its owner who closes it."""
    reading, writing = os.pipe()
    with none_left_open():
        with open(reading, "rb", buffering=buffering, closefd=False) as pipe:
            await cancelled_while_it_waits(pipe, size)
    os.close(reading)
    os.close(writing)


@posix
async def test_what_comes_after_a_cancelled_upload_is_not_lost(
    pipe: tuple[Any, Any],
) -> None:
    """An upload that was cancelled while it waited has taken nothing."""
    mine, theirs = pipe

    await cancelled_while_it_waits(mine, None)
    theirs.write(b"cat")
    theirs.close()

    assert await read_from(mine) == b"cat"


@posix
async def test_a_socket_is_waited_for_like_a_pipe() -> None:
    """The same for a file made of a socket, with a timeout of its own or without."""
    for timeout in (None, 60):
        ours, theirs = socket.socketpair()
        ours.settimeout(timeout)
        with theirs, ours, ours.makefile("rb") as file:
            await cancelled_while_it_waits(file, None)
            theirs.sendall(b"cat")
            theirs.close()

            assert await read_from(file) == b"cat"


@posix
async def test_bytes_come_as_they_are_written(pipe: tuple[Any, Any]) -> None:
    """A chunk is given as soon as there is one, not when there are 64 KiB."""
    mine, theirs = pipe
    theirs.write(b"x" * 64)

    async with opened(mine, size=67) as source:
        chunks = source.chunks()
        first = await anext(chunks)
        theirs.write(b"cat")
        theirs.close()
        second = await anext(chunks)

    assert (first, second) == (b"x" * 64, b"cat")


@posix
async def test_what_the_file_read_ahead_is_sent(pipe: tuple[Any, Any]) -> None:
    """Whoever looked at a pipe's first line has more of it in the file's buffer."""
    mine, theirs = pipe
    theirs.write(b"a line\n" + b"x" * 64 + b"cat")
    mine.readline()

    # The writer keeps the pipe open, and writes no more.
    with anyio.fail_after(10):
        async with opened(mine, size=67) as source:
            chunks = source.chunks()
            theirs.close()
            content = [chunk async for chunk in chunks]

    assert b"".join(content) == b"x" * 64 + b"cat"


@posix
async def test_the_file_reads_as_before_afterwards(pipe: tuple[Any, Any]) -> None:
    """Its descriptor waits for its owner's reads, as it did."""
    mine, theirs = pipe
    theirs.write(b"cat")

    with anyio.move_on_after(0):
        await read_from(mine)

    assert os.get_blocking(mine.fileno())


@posix
async def test_much_comes_through_a_pipe(pipe: tuple[Any, Any]) -> None:
    """More than a pipe holds, from a thread that writes it."""
    mine, theirs = pipe

    def write() -> None:
        with theirs, open(theirs.fileno(), "wb", closefd=False) as whole:
            whole.write(CONTENT * 4)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.to_thread.run_sync, write)
        content = await read_from(mine)

    assert content == CONTENT * 4


@pytest.mark.parametrize("size", [None, 9])
@pytest.mark.parametrize("make", [Slow, SlowOfItsOwn])
async def test_a_read_that_nobody_can_end_is_left_alone(
    make: Callable[[], Any], size: int | None
) -> None:
    """The upload ends at once, and takes none of the threads that others need."""
    slow = make()
    limiter = anyio.to_thread.current_default_thread_limiter()

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:

            async def upload() -> None:
                await read_from(slow, size=size)

            tasks.start_soon(upload)
            await anyio.to_thread.run_sync(slow.asked.wait)
            scope.cancel()
    borrowed = limiter.borrowed_tokens
    slow.free.set()

    assert scope.cancelled_caught
    assert borrowed == 0


PROGRAM = """
import io, threading
import anyio
from tests.sourcing import read_from

class Slow(io.RawIOBase):
    def read(self, size=-1):
        threading.Event().wait()

async def main():
    with anyio.move_on_after(0.01):
        await read_from(Slow())

anyio.run(main)
"""


def test_a_forgotten_read_does_not_keep_the_program() -> None:
    """Its thread ends with the program, and minds no loop that is closed by then."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], timeout=60, capture_output=True, check=True
    )

    assert ended.stderr == b""


async def test_reads_that_fail_fail() -> None:
    """What a slow read raises in its thread comes out of the upload."""

    class Broken(io.RawIOBase):
        def read(self, size: int = -1, /) -> bytes:
            raise ZeroDivisionError("of its own")

    with pytest.raises(ZeroDivisionError, match="of its own"):
        await read_from(Broken())


class OfItsOwn:
    """A file that is none of the standard library's, and does not say how it reads."""

    def __init__(self, *answers: bytes | Exception) -> None:
        self._answers = list(answers)

    def read(self, size: int) -> bytes:
        """Give what there is, even if nothing was asked for."""
        answer = self._answers.pop(0) if self._answers else b""
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("size", [None, 9])
@pytest.mark.parametrize("kind", [RuntimeError, ZeroDivisionError])
async def test_the_first_read_may_fail(kind: type[Exception], size: int | None) -> None:
    """What it raises comes out, be it of the type that event loops raise as well."""
    with pytest.raises(kind, match="of its own"):
        await read_from(OfItsOwn(kind("of its own")), size=size)


@pytest.mark.parametrize("size", [None, 3])
async def test_reads_may_give_more_than_they_are_asked_for(size: int | None) -> None:
    """Bytes that come where none were asked for are sent as all others."""
    assert await read_from(OfItsOwn(b"ca", b"t"), size=size) == b"cat"


@posix
async def test_a_nonblocking_pipe_is_waited_for(pipe: tuple[Any, Any]) -> None:
    """A pipe that says "not yet" is asked again when there is something."""
    mine, theirs = pipe
    os.set_blocking(mine.fileno(), False)

    await cancelled_while_it_waits(mine, None)
    theirs.write(b"cat")
    theirs.close()

    assert await read_from(mine) == b"cat"
    assert not os.get_blocking(mine.fileno())


async def test_reading_again_after_it_was_peeked_at(pipe: tuple[Any, Any]) -> None:
    """What tells the kind is sent as well."""
    mine, theirs = pipe
    theirs.write(CONTENT[:100])
    theirs.close()

    async with opened(mine, size=100) as source:
        assert source.first == CONTENT[:64]
        assert await read(source) == CONTENT[:100]
