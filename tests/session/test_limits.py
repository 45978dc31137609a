"""What ends a transfer from outside, by a scope or by one timer for all."""

from __future__ import annotations

import asyncio
import math

import anyio
import pytest

from wxmedia_async._session.limits import Ending, Limits

KINDS = pytest.mark.parametrize("only_ours", [True, False], ids=["timer", "scope"])


async def stay(limit: Ending, done: list[str]) -> None:
    with limit:
        await anyio.sleep_forever()
    done.append("ended")


@KINDS
async def test_deadline(only_ours: bool) -> None:
    """The block ends at its deadline, and raises nothing."""
    limits, done = Limits(), list[str]()

    with anyio.fail_after(5):
        await stay(limits.limit(0.01, only_ours=only_ours), done)

    assert done == ["ended"]


@KINDS
async def test_many_deadlines(only_ours: bool) -> None:
    """Each ends at its own, whichever was set first."""
    limits = Limits()
    order: list[float] = []

    async def end_after(seconds: float) -> None:
        with limits.limit(seconds, only_ours=only_ours):
            await anyio.sleep_forever()
        order.append(seconds)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for seconds in (0.06, 0.02, 0.04):
                tasks.start_soon(end_after, seconds)

    assert order == [0.02, 0.04, 0.06]


@KINDS
async def test_no_deadline(only_ours: bool) -> None:
    """Without one it ends when it is told to."""
    limits, done = Limits(), list[str]()
    limit = limits.limit(None, only_ours=only_ours)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stay, limit, done)
            await anyio.wait_all_tasks_blocked()
            limit.cancel()

    assert limit.deadline == math.inf
    assert done == ["ended"]


@KINDS
async def test_deadline_that_is_moved(only_ours: bool) -> None:
    """A deadline may stand still, and be nearer afterwards."""
    limits, done = Limits(), list[str]()
    limit = limits.limit(60.0, only_ours=only_ours)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stay, limit, done)
            await anyio.wait_all_tasks_blocked()
            limit.deadline = math.inf
            await anyio.wait_all_tasks_blocked()
            limit.deadline = anyio.current_time() + 0.01

    assert done == ["ended"]


@KINDS
async def test_errors_pass(only_ours: bool) -> None:
    """What the block raises is raised."""
    with pytest.raises(LookupError):
        with Limits().limit(60.0, only_ours=only_ours):
            raise LookupError


@KINDS
async def test_scopes_outside(only_ours: bool) -> None:
    """Who is cancelled from further outside is cancelled there."""
    limit = Limits().limit(60.0, only_ours=only_ours)
    passed: list[str] = []

    with anyio.move_on_after(0.01) as outer:
        with limit:
            await anyio.sleep_forever()
        passed.append("the block was left as if it had ended")

    assert outer.cancelled_caught
    assert passed == []


@KINDS
async def test_scopes_inside(only_ours: bool) -> None:
    """A scope inside ends by itself, and the block goes on."""
    with Limits().limit(60.0, only_ours=only_ours):
        with anyio.move_on_after(0.01) as inner:
            await anyio.sleep_forever()
        await anyio.lowlevel.checkpoint()

    assert inner.cancelled_caught


@KINDS
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancelled_twice(only_ours: bool) -> None:
    """A task that its owner cancels as well is cancelled."""
    limit = Limits().limit(60.0, only_ours=only_ours)
    done: list[str] = []
    task = asyncio.ensure_future(stay(limit, done))
    await asyncio.sleep(0)

    limit.cancel()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == []


@KINDS
async def test_ended_twice(only_ours: bool) -> None:
    """A client may be closed right when a deadline has passed: that is one end."""
    limit, done = Limits().limit(60.0, only_ours=only_ours), list[str]()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stay, limit, done)
            await anyio.wait_all_tasks_blocked()
            limit.cancel()
            limit.cancel()

    assert done == ["ended"]


@KINDS
async def test_deadline_that_is_moved_before(only_ours: bool) -> None:
    """A deadline may be moved before the block begins, too."""
    limit, done = Limits().limit(60.0, only_ours=only_ours), list[str]()
    limit.deadline = anyio.current_time() + 0.01

    with anyio.fail_after(5):
        await stay(limit, done)

    assert done == ["ended"]


@KINDS
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_the_task_goes_on(only_ours: bool) -> None:
    """After its limit a task is as if it had never been cancelled."""
    done: list[str] = []

    await stay(Limits().limit(0.0, only_ours=only_ours), done)
    task = asyncio.current_task()
    await asyncio.sleep(0)

    assert task is not None
    assert task.cancelling() == 0


async def test_closed() -> None:
    """A client that is closed leaves no timer behind."""
    limits = Limits()
    with limits.limit(60.0, only_ours=True):
        await anyio.lowlevel.checkpoint()

    limits.close()
    limits.close()
