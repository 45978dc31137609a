from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import time
from collections.abc import Iterator
from types import ModuleType

import anyio
import pytest

from wxmedia_async.transport import supported
from wxmedia_async.transport._waiting import LoopWaiter, Waiter, waiter_for


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.fixture
async def waiter(
    anyio_backend: object, pair: tuple[socket.socket, socket.socket]
) -> Waiter:
    return waiter_for(pair[0])


Pair = tuple[socket.socket, socket.socket]


def fill(sock: socket.socket) -> None:
    """Leave no room to send."""
    try:
        while True:
            sock.send(bytes(1 << 16))
    except BlockingIOError:
        pass


async def test_readable(waiter: Waiter, pair: Pair) -> None:
    """A wait ends when there is something to read, each time anew."""
    ours, theirs = pair
    for byte in (b"a", b"b", b"c"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(waiter.readable, 5)
            await anyio.wait_all_tasks_blocked()
            theirs.send(byte)
        assert ours.recv(9) == byte
    waiter.close()


async def test_unread(waiter: Waiter, pair: Pair) -> None:
    """What was not read is still there to be waited for."""
    _, theirs = pair
    theirs.send(b"a")
    for _ in range(5):
        await waiter.readable(5)
        await anyio.lowlevel.checkpoint()
    waiter.close()


@pytest.mark.parametrize("wait", ["readable", "either"])
async def test_reset_behind_bytes(anyio_backend: object, wait: str) -> None:
    """A connection that broke behind its last bytes is told of again after them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)
    theirs.send(b"HTTP/1.1 200")
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()
    with ours:
        waiter = waiter_for(ours)

        await waiter.readable(5)
        assert ours.recv(99) == b"HTTP/1.1 200"
        await getattr(waiter, wait)(5)

        with pytest.raises(ConnectionResetError):
            ours.recv(99)
        waiter.close()


@pytest.mark.parametrize("wait", ["readable", "writable", "either"])
async def test_timeout(waiter: Waiter, pair: Pair, wait: str) -> None:
    """A wait ends with a TimeoutError, a shorter one after a longer one too."""
    fill(pair[0])
    # uvloop treats what is over within its millisecond in another way.
    for seconds in (0.02, 0.01, 0.0001, 0.00005, 0.0):
        with pytest.raises(TimeoutError):
            await getattr(waiter, wait)(seconds)
    waiter.close()


async def test_timer_goes_on(waiter: Waiter, pair: Pair) -> None:
    """A timer that is left from an earlier wait ends no later one."""
    ours, theirs = pair
    theirs.send(b"a")
    await waiter.readable(0.02)
    ours.recv(1)

    async def answer() -> None:
        await anyio.sleep(0.05)
        theirs.send(b"b")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(answer)
        await waiter.readable(5)
    waiter.close()

    assert ours.recv(1) == b"b"


async def test_timer_without_a_wait(waiter: Waiter, pair: Pair) -> None:
    """A timer that fires while nobody waits, or waits for ever, does nothing."""
    ours, theirs = pair
    theirs.send(b"a")
    await waiter.readable(0.01)
    ours.recv(1)
    await anyio.sleep(0.02)
    theirs.send(b"b")
    await waiter.readable(0.01)
    ours.recv(1)
    with anyio.move_on_after(0.03):
        await waiter.readable(None)
    waiter.close()


def test_timer_after_the_answer(pair: Pair) -> None:
    """A timer that fires in the same turn as the answer changes nothing."""
    ours, theirs = pair

    async def wait() -> None:
        loop = asyncio.get_running_loop()
        theirs.send(b"a")
        loop.call_soon(time.sleep, 0.02)
        await waiter_for(ours).readable(0.01)

    asyncio.run(wait())


async def test_either(waiter: Waiter, pair: Pair) -> None:
    """A wait for both tells which came."""
    ours, theirs = pair
    writable = not await waiter.either(5)
    fill(ours)
    theirs.send(b"a")
    readable = await waiter.either(5)
    waiter.close()

    assert writable
    assert readable


async def test_cancelled(waiter: Waiter, pair: Pair) -> None:
    """A cancelled wait leaves nothing that the next one would stumble over."""
    ours, theirs = pair
    for _ in range(3):
        with anyio.move_on_after(0):
            await waiter.readable(5)
        theirs.send(b"a")
        with anyio.CancelScope() as scope:
            scope.cancel()
            await waiter.readable(5)
        ours.recv(1)
    theirs.send(b"b")
    await waiter.readable(5)
    waiter.close()


async def test_nobody_waits(waiter: Waiter, pair: Pair) -> None:
    """A socket that talks to nobody does not keep the event loop busy."""
    ours, theirs = pair
    theirs.send(b"a")
    await waiter.readable(5)
    ours.recv(1)
    theirs.close()
    await anyio.wait_all_tasks_blocked()
    for _ in range(3):
        await anyio.lowlevel.checkpoint()

    if isinstance(waiter, LoopWaiter):
        assert not asyncio.get_running_loop().remove_reader(ours)
    waiter.close()


@pytest.mark.parametrize("wait", ["readable", "writable", "either"])
@pytest.mark.parametrize("timeout", [5, None])
async def test_closed_under_who_waits(
    waiter: Waiter, pair: Pair, wait: str, timeout: float | None
) -> None:
    """Whoever waits is woken by an error when another task closes the socket."""
    ours, _ = pair
    fill(ours)
    woken: list[bool] = []

    async def wait_for_it() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await getattr(waiter, wait)(timeout)
        woken.append(True)

    with anyio.fail_after(2):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_it)
            await anyio.wait_all_tasks_blocked()
            waiter.close()
            ours.close()

    assert woken == [True]


async def test_closed_beside_another_socket(anyio_backend: object) -> None:
    """What is woken leaves alone who waits for a socket with the same descriptor."""
    first, other_end = socket.socketpair()
    first.setblocking(False)
    fill(first)
    waiter = waiter_for(first)

    async def wait() -> None:
        with pytest.raises(anyio.ClosedResourceError):
            await waiter.either(5)

    async def drain() -> None:
        await anyio.wait_all_tasks_blocked()
        reader.recv(1 << 22)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        descriptor = first.fileno()
        waiter.close()
        first.close()
        second, reader = socket.socketpair()
        second.setblocking(False)
        fill(second)
        next_waiter = waiter_for(second)
        tasks.start_soon(drain)
        await next_waiter.writable(2)
        assert second.fileno() == descriptor
    next_waiter.close()
    for sock in (other_end, second, reader):
        sock.close()


@pytest.mark.parametrize("wait", ["readable", "writable", "either"])
async def test_waiting_for_what_is_closed(
    waiter: Waiter, pair: Pair, wait: str
) -> None:
    """Nobody begins to wait for a socket that is closed."""
    waiter.close()

    with pytest.raises(anyio.ClosedResourceError):
        await getattr(waiter, wait)(5)


@pytest.mark.parametrize("second", ["readable", "writable", "either"])
@pytest.mark.parametrize("first", ["readable", "writable", "either"])
async def test_second_who_waits(
    waiter: Waiter, pair: Pair, first: str, second: str
) -> None:
    """A second one who waits is refused, and takes nothing from the first."""
    ours, theirs = pair
    fill(ours)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(getattr(waiter, first), 5)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(anyio.BusyResourceError):
            await getattr(waiter, second)(5)
        theirs.send(b"a")
        theirs.recv(1 << 22)
    waiter.close()


async def test_belongs_here(waiter: Waiter) -> None:
    """A waiter knows the event loop that it was made in."""

    def elsewhere() -> bool:
        return waiter.belongs_here()

    assert waiter.belongs_here()
    if isinstance(waiter, LoopWaiter):
        assert not await anyio.to_thread.run_sync(elsewhere)
    waiter.close()


def test_closed_after_its_loop(pair: Pair) -> None:
    """A waiter may outlive its event loop."""
    ours, theirs = pair

    async def wait() -> Waiter:
        waiter = waiter_for(ours)
        theirs.send(b"a")
        await waiter.readable(5)
        return waiter

    waiter = asyncio.run(wait())

    waiter.close()


async def test_supported(anyio_backend: object) -> None:
    """All loops that the tests run on are supported."""
    assert supported()


@pytest.mark.parametrize(
    ("module", "name"), [(os, "sendfile"), (os, "preadv"), (select, "poll")]
)
def test_supported_without_a_loop(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> None:
    """Without a running loop, the platform decides."""
    everywhere = supported()
    monkeypatch.delattr(module, name)

    assert everywhere
    assert not supported()


def test_unsupported_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that cannot watch sockets, as Windows' Proactor, is not supported."""

    class Proactor(asyncio.AbstractEventLoop):
        """One that has no readers."""

    monkeypatch.setattr(asyncio, "get_running_loop", Proactor)

    assert not supported()
