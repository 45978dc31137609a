from __future__ import annotations

import math

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
from wxmedia_async._errors import Phase
from wxmedia_async._foreign import Raised
from wxmedia_async._session.accounts import Accounts
from wxmedia_async._session.bound import Bound, width_for
from wxmedia_async._session.pace import AccountPace, Pace
from wxmedia_async._session.transfer import Transfer


def pace_of(width: int | Adaptive, rate: RateLimiter | None = None) -> Pace:
    return Pace(Bound(width_for(width)), AccountPace(), rate)


def transfer(seconds: float = math.inf) -> Transfer:
    return Transfer(anyio.CancelScope(deadline=anyio.current_time() + seconds))


async def enter(pace: Pace, patience: float | None = None) -> Transfer:
    one = transfer()
    await pace.enter(one, patience)
    return one


def fits(pace: Pace) -> bool:
    """Whether a slot is free now."""
    free = pace.bound.take_at_once(pace.account.queue)
    if free:
        pace.bound.give_back()
    return free


class Counter:
    """A rate limiter that lets everybody start, and counts them."""

    starts = 0

    async def acquire(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.starts += 1


class Gate:
    """A rate limiter that lets everybody start when it is told to."""

    def __init__(self, gate: anyio.Event) -> None:
        self._gate = gate

    async def acquire(self) -> None:
        await self._gate.wait()


class Broken:
    """A rate limiter that fails."""

    async def acquire(self) -> None:
        raise LookupError


async def test_bound() -> None:
    """No more are inside at a time than there are slots."""
    pace = pace_of(3)
    inside: list[int] = []
    peak = 0

    async def exchange(number: int) -> None:
        nonlocal peak
        await enter(pace)
        inside.append(number)
        peak = max(peak, len(inside))
        await anyio.lowlevel.checkpoint()
        inside.remove(number)
        pace.bound.give_back()

    async with anyio.create_task_group() as exchanges:
        for number in range(20):
            exchanges.start_soon(exchange, number)

    assert peak == 3
    assert inside == []


async def test_slot_is_given_back_by_another_task() -> None:
    """Whoever has the function may give the slot back, in any task."""
    pace = pace_of(1)
    await enter(pace)

    async def give_back() -> None:
        pace.bound.give_back()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(give_back)
        with anyio.fail_after(5):
            await enter(pace)


async def test_one_task_may_hold_two() -> None:
    """A task that holds a slot may take another one."""
    pace = pace_of(2)

    await enter(pace)
    await enter(pace)

    pace.bound.give_back()
    pace.bound.give_back()


async def test_no_slot_in_time() -> None:
    """The wait for a slot is bounded where the caller says so."""
    pace = pace_of(1)
    await enter(pace)

    with pytest.raises(TransferTimeout) as info:
        await enter(pace, 0.01)
    pace.bound.give_back()
    await enter(pace, 0.01)

    assert info.value.phase is Phase.LEAVE
    pace.bound.give_back()


async def test_cancelled_waiter_takes_no_slot() -> None:
    """Fault 25: who is cancelled while waiting for a slot holds none."""
    pace = pace_of(1)
    await enter(pace)

    async with anyio.create_task_group() as waiters:
        waiters.start_soon(enter, pace)
        await anyio.wait_all_tasks_blocked()
        waiters.cancel_scope.cancel()
    pace.bound.give_back()

    with anyio.fail_after(5):
        await enter(pace)


async def test_permit_comes_last() -> None:
    """A permit is taken when there is a slot, so that permits do not pile up."""
    rate = Counter()
    pace = pace_of(1, rate)
    first = await enter(pace)

    with pytest.raises(TransferTimeout):
        await enter(pace, 0.01)

    assert rate.starts == 1
    pace.leave(first)


async def test_one_slot_for_all_who_wait_for_a_permit() -> None:
    """While an account waits for its rate, its other transfers leave the slots free."""
    gate = anyio.Event()
    bound = Bound(width_for(3))
    limited = Pace(bound, AccountPace(), Gate(gate))
    other = Pace(bound, AccountPace(), None)

    async with anyio.create_task_group() as waiters:
        for _ in range(5):
            waiters.start_soon(enter, limited)
        await anyio.wait_all_tasks_blocked()
        used = bound.used
        with anyio.fail_after(5):
            await enter(other)
            await enter(other)
        waiters.cancel_scope.cancel()

    assert used == 1


async def test_turns_while_a_crowd_waits() -> None:
    """The slot that comes free next goes to the account that had none yet."""
    bound = Bound(width_for(1))
    crowd, single = Pace(bound, AccountPace(), None), Pace(bound, AccountPace(), None)
    first = await enter(crowd)
    entered: list[str] = []

    async def wait(pace: Pace, name: str) -> None:
        await enter(pace)
        entered.append(name)

    async with anyio.create_task_group() as waiters:
        for _ in range(10):
            waiters.start_soon(wait, crowd, "crowd")
        await anyio.wait_all_tasks_blocked()
        waiters.start_soon(wait, single, "single")
        await anyio.wait_all_tasks_blocked()
        crowd.leave(first)
        bound.give_back()
        await anyio.wait_all_tasks_blocked()
        waiters.cancel_scope.cancel()

    assert "single" in entered[:2]


async def test_deadline_stands_still_for_a_slot() -> None:
    """The wait for a slot is none of the transfer's time."""
    pace = pace_of(1)
    first = await enter(pace)
    one = transfer(5.0)

    async with anyio.create_task_group() as waiters:
        waiters.start_soon(pace.enter, one, None)
        await anyio.wait_all_tasks_blocked()
        waiting = one.scope.deadline
        pace.leave(first)

    assert waiting == math.inf
    assert one.scope.deadline < math.inf


async def test_deadline_goes_on_for_a_permit() -> None:
    """The wait for the rate is, also of those who wait behind another one."""
    pace = pace_of(3, Gate(anyio.Event()))
    ones = [transfer(5.0) for _ in range(3)]

    async with anyio.create_task_group() as waiters:
        for one in ones:
            waiters.start_soon(pace.enter, one, None)
        await anyio.wait_all_tasks_blocked()
        deadlines = [one.scope.deadline for one in ones]
        waiters.cancel_scope.cancel()

    assert all(deadline < math.inf for deadline in deadlines)


async def test_deadline_goes_on_behind_one_who_waits_for_a_permit() -> None:
    """Who waited for a slot waits for the rate as soon as one of the account does."""
    bound = Bound(width_for(1))
    other = Pace(bound, AccountPace(), None)
    limited = Pace(bound, AccountPace(), Gate(anyio.Event()))
    first, ones = await enter(other), [transfer(5.0) for _ in range(3)]

    async with anyio.create_task_group() as waiters:
        for one in ones:
            waiters.start_soon(limited.enter, one, None)
        await anyio.wait_all_tasks_blocked()
        for_a_slot = [one.scope.deadline for one in ones]
        other.leave(first)
        await anyio.wait_all_tasks_blocked()
        for_a_permit = [one.scope.deadline for one in ones]
        waiters.cancel_scope.cancel()

    assert for_a_slot == [math.inf] * 3
    assert all(deadline < math.inf for deadline in for_a_permit)


async def test_cancelled_at_the_rate() -> None:
    """Who is cancelled while waiting for a permit gives the slot back."""
    pace = pace_of(1, Gate(anyio.Event()))

    async with anyio.create_task_group() as waiters:
        waiters.start_soon(enter, pace)
        await anyio.wait_all_tasks_blocked()
        waiters.cancel_scope.cancel()

    assert pace.bound.used == 0
    assert not pace.account.queue.held_up


async def test_limiter_that_fails() -> None:
    """What a limiter of the user's raises is theirs, and costs no slot."""
    pace = pace_of(1, Broken())

    with pytest.raises(Raised) as info:
        await enter(pace)

    assert isinstance(info.value.error, LookupError)
    assert fits(pace)


async def test_patience_covers_the_rate() -> None:
    """httpx.Timeout.pool is over the whole wait for leave, a limiter's too."""
    pace = pace_of(1, Gate(anyio.Event()))

    with pytest.raises(TransferTimeout, match="permit") as info:
        await enter(pace, 0.01)

    assert info.value.phase is Phase.LEAVE
    assert pace.bound.used == 0


def test_accounts_of_equal_identity_are_one() -> None:
    """The pause of an account is found by whoever has the same identity."""
    accounts = Accounts()
    one = accounts.of("a")

    assert accounts.of("a") is one
    assert accounts.of("b") is not one


async def test_pause() -> None:
    """RateLimited pauses all exchanges; who cannot wait that long fails at once."""
    pace = pace_of(4)
    error = RateLimited("slow down")
    error.retry_after = 60.0

    pace.failed(error, began=anyio.current_time())

    with pytest.raises(RateLimited) as info:
        await pace.account.end_of_pause(transfer(30.0))
    assert info.value.retry_after == pytest.approx(60.0, abs=10)


async def test_pause_ends() -> None:
    """Who can wait goes on after the pause."""
    pace = pace_of(4)
    pace.account.pause(0.02)
    until = anyio.current_time() + 0.02

    await pace.account.end_of_pause(transfer(10.0))

    # uvloop's clock ticks once a millisecond.
    assert anyio.current_time() >= until - 0.001


async def test_pause_is_never_shortened() -> None:
    """A shorter pause does not end a longer one."""
    pace = pace_of(4)

    pace.account.pause(60.0)
    pace.account.pause(1.0)

    with pytest.raises(RateLimited):
        await pace.account.end_of_pause(transfer(30.0))


async def test_no_pause() -> None:
    """Other failures pause nothing."""
    pace = pace_of(4)

    pace.failed(ServerBusy("busy", code=-1), began=anyio.current_time())

    with anyio.fail_after(5):
        await pace.account.end_of_pause(transfer(0.0))


async def test_nobody_is_overtaken() -> None:
    """A slot that somebody waits for is not taken at once by another."""
    pace = pace_of(1)
    await enter(pace)

    async with anyio.create_task_group() as waiters:
        waiters.start_soon(enter, pace)
        await anyio.wait_all_tasks_blocked()
        pace.bound.give_back()

        assert not fits(pace)


def test_width() -> None:
    """The width is the most that will ever be in flight."""
    assert pace_of(7).width == 7
    assert pace_of(Adaptive(2, 32)).width == 32


async def test_success_widens_an_adaptive_bound() -> None:
    """What goes well is told to the bound."""
    pace = pace_of(Adaptive(1, 2))

    for _ in range(3):
        await enter(pace)
        pace.succeeded()
        pace.bound.give_back()

    await enter(pace, 0.01)
    await enter(pace, 0.01)
    pace.bound.give_back()
    pace.bound.give_back()


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
