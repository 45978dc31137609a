from __future__ import annotations

import anyio
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of, error
from wxmedia_async import (
    Adaptive,
    MediaClient,
    RateLimited,
    RateLimiter,
    ServerBusy,
    TransferTimeout,
)
from wxmedia_async._session.bounds import bound_for
from wxmedia_async._session.slots import Slots


def slots_of(width: int | Adaptive, rate: RateLimiter | None = None) -> Slots:
    return Slots(bound_for(width), rate)


class Counter:
    """A rate limiter that lets everybody start, and counts them."""

    starts = 0

    async def acquire(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.starts += 1


async def test_bound() -> None:
    """No more are inside at a time than there are slots."""
    slots = slots_of(3)
    inside: list[int] = []
    peak = 0

    async def exchange(number: int) -> None:
        nonlocal peak
        await slots.acquire(None)
        inside.append(number)
        peak = max(peak, len(inside))
        await anyio.lowlevel.checkpoint()
        inside.remove(number)
        slots.release()

    async with anyio.create_task_group() as exchanges:
        for number in range(20):
            exchanges.start_soon(exchange, number)

    assert peak == 3
    assert inside == []


async def test_slot_is_given_back_by_another_task() -> None:
    """Whoever has the function may give the slot back, in any task."""
    slots = slots_of(1)
    await slots.acquire(None)

    async def give_back() -> None:
        slots.release()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give_back)
        with anyio.fail_after(5):
            await slots.acquire(None)


async def test_one_task_may_hold_two() -> None:
    """A task that holds a slot may take another one."""
    slots = slots_of(2)

    await slots.acquire(None)
    await slots.acquire(None)

    slots.release()
    slots.release()


async def test_no_slot_in_time() -> None:
    """The wait for a slot is bounded where the caller says so."""
    slots = slots_of(1)
    await slots.acquire(None)

    with pytest.raises(TransferTimeout) as info:
        await slots.acquire(0.01)
    slots.release()
    await slots.acquire(0.01)

    assert info.value.phase == "slot"
    slots.release()


async def test_cancelled_waiter_takes_no_slot() -> None:
    """Fault 25: who is cancelled while waiting for a slot holds none."""
    slots = slots_of(1)
    await slots.acquire(None)

    async with anyio.create_task_group() as waiters:
        waiters.start_soon(slots.acquire, None)
        await anyio.wait_all_tasks_blocked()
        waiters.cancel_scope.cancel()
    slots.release()

    with anyio.fail_after(5):
        await slots.acquire(None)


async def test_rate_comes_before_the_slot() -> None:
    """Who waits for the rate holds no slot meanwhile."""
    rate = Counter()
    slots = slots_of(1, rate)
    await slots.acquire(None)

    with pytest.raises(TransferTimeout):
        await slots.acquire(0.01)

    assert rate.starts == 2
    slots.release()


async def test_pause() -> None:
    """RateLimited pauses all exchanges; who cannot wait that long fails at once."""
    slots = slots_of(4)
    error = RateLimited("slow down")
    error.retry_after = 60.0

    slots.failed(error, began=anyio.current_time())

    with pytest.raises(RateLimited) as info:
        await slots.end_of_pause(30.0)
    assert info.value.retry_after == pytest.approx(60.0, abs=10)


async def test_pause_ends() -> None:
    """Who can wait goes on after the pause."""
    slots = slots_of(4)
    slots.pause(0.02)
    until = anyio.current_time() + 0.02

    await slots.end_of_pause(10.0)

    # uvloop's clock ticks once a millisecond.
    assert anyio.current_time() >= until - 0.001


async def test_pause_is_never_shortened() -> None:
    """A shorter pause does not end a longer one."""
    slots = slots_of(4)

    slots.pause(60.0)
    slots.pause(1.0)

    with pytest.raises(RateLimited):
        await slots.end_of_pause(30.0)


async def test_no_pause() -> None:
    """Other failures pause nothing."""
    slots = slots_of(4)

    slots.failed(ServerBusy("busy", code=-1), began=anyio.current_time())

    with anyio.fail_after(5):
        await slots.end_of_pause(0.0)


async def test_free_slot_at_once() -> None:
    """A slot that is free is taken without waiting; none is taken beyond."""
    slots = slots_of(1)

    taken = slots.acquire_at_once()

    assert taken
    assert not slots.acquire_at_once()
    slots.release()
    assert slots.acquire_at_once()


async def test_nobody_is_overtaken() -> None:
    """A slot that somebody waits for is not taken at once by another."""
    slots = slots_of(1)
    await slots.acquire(None)

    async with anyio.create_task_group() as waiters:
        waiters.start_soon(slots.acquire, None)
        await anyio.wait_all_tasks_blocked()
        slots.release()

        assert not slots.acquire_at_once()


async def test_not_at_once() -> None:
    """Where a pause or a rate is to be waited for, no slot is taken at once."""
    paused, limited = slots_of(1), slots_of(1, Counter())
    paused.pause(60.0)

    assert not paused.acquire_at_once()
    assert not limited.acquire_at_once()


def test_width() -> None:
    """The width is the most that will ever be in flight."""
    assert slots_of(7).width == 7
    assert slots_of(Adaptive(2, 32)).width == 32


async def test_success_widens_an_adaptive_bound() -> None:
    """What goes well is told to the bound."""
    slots = slots_of(Adaptive(1, 2))

    for _ in range(3):
        await slots.acquire(None)
        slots.succeeded()
        slots.release()

    await slots.acquire(0.01)
    await slots.acquire(0.01)
    slots.release()
    slots.release()


async def test_pause_holds_those_that_wait_for_a_slot() -> None:
    """A transfer that gets its slot during a pause gives it back, and sends nothing."""
    gate = anyio.Event()
    service = FakeWeChat({"ID": JPEG}, answers=[error(45011)], gate=gate)
    failures: list[RateLimited] = []

    async def read(client: MediaClient) -> None:
        with pytest.raises(RateLimited) as info:
            await client.read("ID")
        failures.append(info.value)

    async with client_of(service, max_concurrency=1, deadline=5.0) as client:
        async with anyio.create_task_group() as reads:
            for _ in range(5):
                reads.start_soon(read, client)
            await anyio.wait_all_tasks_blocked()
            gate.set()

    assert len(failures) == 5
    assert len(service.requests) == 1
