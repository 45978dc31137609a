"""How long transfers may hold the event loop."""

from __future__ import annotations

import asyncio
import socket
import time
from itertools import pairwise

import anyio
import httpx
import pytest

from wxmedia_async.transport import _turns
from wxmedia_async.transport._connection import Connection
from wxmedia_async.transport._turns import Turns
from wxmedia_async.transport._waiting import waiter_for


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that stands still unless it is told otherwise."""
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    return clock


async def next_pass() -> None:
    for _ in range(2):
        await anyio.wait_all_tasks_blocked()


def at_once(turns: Turns) -> bool:
    """Whether there is room without a wait."""
    taking = turns.take()
    try:
        taking.send(None)
    except StopIteration:
        return True
    taking.close()
    return False


async def test_a_pass_has_room(now: list[float]) -> None:
    """Within the budget nobody waits, and nobody is told to go on for longer."""
    turns = Turns()

    until = [await turns.take() for _ in range(1000)]

    assert max(until) <= now[0] + _turns.TURN


async def test_a_pass_that_is_used_up(now: list[float]) -> None:
    """Beyond it nobody works any more, until the loop has come round."""
    turns = Turns()
    await turns.take()
    now[0] += _turns.BUDGET

    used_up = not at_once(turns)
    await next_pass()

    assert used_up
    assert at_once(turns)


async def test_first_come_first_served(
    now: list[float], anyio_backend_name: str
) -> None:
    """Who waits works before those who come later, and before who has just worked."""
    turns = Turns()
    order: list[int] = []

    async def work(number: int) -> None:
        for _ in range(3):
            await turns.take()
            order.append(number)
            now[0] += _turns.BUDGET  # a piece of work that fills a pass

    async with anyio.create_task_group() as workers:
        for number in range(4):
            workers.start_soon(work, number)

    # The first has worked before the others came.
    rounds = [order[1:5], order[5:9]]
    if anyio_backend_name == "trio":
        # Two may be called at a time, and there these come in any order.
        rounds = [order[1:6]]
    assert all({0, 1, 2, 3} == set(one) for one in rounds)


async def test_room_is_used(now: list[float]) -> None:
    """Where one large piece was followed by small ones, more are called each time."""
    turns = Turns()
    await turns.take()
    now[0] += _turns.BUDGET
    left = 100
    passes = 0

    async def work() -> None:
        nonlocal left
        await turns.take()
        now[0] += _turns.BUDGET / 100
        left -= 1

    async def watch() -> None:
        nonlocal passes
        while left:
            passes += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(left):
            tasks.start_soon(work)
        tasks.start_soon(watch)

    assert passes < 100


async def test_others_run_in_between(now: list[float]) -> None:
    """However many are ready, the rest of the loop gets a turn after each budget."""
    turns = Turns()
    worked = 0
    seen: list[int] = []

    async def work() -> None:
        nonlocal worked
        for _ in range(5):
            await turns.take()
            worked += 1
            now[0] += _turns.BUDGET / 4

    async def watch() -> None:
        while worked < 160:
            seen.append(worked)
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as tasks:
        for _ in range(32):
            tasks.start_soon(work)
        tasks.start_soon(watch)

    steps = [after - before for before, after in pairwise(seen)]
    assert max(steps) <= 5


async def test_cancelled_waiters_harm_nobody(now: list[float]) -> None:
    """A turn that was given to somebody who is cancelled goes to the next."""
    turns = Turns()
    await turns.take()
    now[0] += _turns.BUDGET
    done: list[int] = []

    async def work(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            await turns.take()
            done.append(number)

    scopes = [anyio.CancelScope() for _ in range(6)]
    async with anyio.create_task_group() as workers:
        for number, scope in enumerate(scopes):
            workers.start_soon(work, number, scope)
        for _ in range(2):
            await anyio.lowlevel.checkpoint()
        for scope in scopes[::2]:
            scope.cancel()

    assert set(done) >= {1, 3, 5}
    now[0] += _turns.BUDGET
    with anyio.fail_after(5):
        await turns.take()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelled_as_it_is_called(now: list[float]) -> None:
    """A turn that has just been given goes to the next, where its owner cancels it."""
    turns = Turns()
    called, following = [asyncio.ensure_future(turns.take()) for _ in range(2)]
    begun = at_once(turns)
    now[0] += _turns.BUDGET
    # The loop runs both first, then what ends the pass, and this after it.
    asyncio.get_running_loop().call_soon(called.cancel)
    for _ in range(9):
        await asyncio.sleep(0)
    done = following.done()
    following.cancel()

    assert begun
    assert called.cancelled()
    assert done


def test_a_loop_that_is_gone(now: list[float]) -> None:
    """What one loop has left unfinished does not hold up the next one."""
    turns = Turns()

    async def begin() -> None:
        assert at_once(turns)

    async def take() -> None:
        with anyio.fail_after(5):
            await turns.take()

    anyio.run(begin)
    now[0] += _turns.BUDGET

    anyio.run(take)


def test_a_loop_that_was_stopped(now: list[float]) -> None:
    """Nor does one that has not come round to the end of its last pass."""
    turns = Turns()
    stopped = asyncio.new_event_loop()

    def begin() -> None:
        assert at_once(turns)
        stopped.stop()

    stopped.call_soon(begin)
    stopped.run_forever()
    stopped.close()
    now[0] += _turns.BUDGET
    taken: list[float] = []

    async def take() -> None:
        taken.append(await turns.take())

    async def take_within_some_passes() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            for _ in range(9):
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()

    anyio.run(take_within_some_passes)

    assert taken


async def test_closed_before_its_turn() -> None:
    """Who waits for a turn, and not for bytes, is told as well who closed it."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        connection = Connection("127.0.0.1", ours, waiter_for(ours))
        theirs.send(b"x")
        connection.close()

        with pytest.raises(httpx.ReadError, match="another task"):
            connection.try_receive_into(memoryview(bytearray(1)))
