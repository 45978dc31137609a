"""How many exchanges may be in flight, and whose turn the next one is."""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import AbstractContextManager
from typing import Protocol

import anyio
import attrs

from .._errors import MediaError, RateLimited, ServerBusy, TransferTimeout
from .._models import Adaptive
from . import nesting
from .transfer import Transfer

# What is left of the bound after a cut. Half, as in TCP, would leave a service
# that refuses at a fixed number of calls idle for much of the time.
_CUT = 0.75


class Width(Protocol):
    """
    A number of slots, which may change with what becomes of the exchanges.

    Attributes:
        slots: How many there are now.

        highest: The most that there will ever be.
    """

    @property
    def slots(self) -> int: ...
    @property
    def highest(self) -> int: ...

    def succeeded(self, used: int) -> None:
        """Take note of an exchange that the service coped with, *used* at a time."""
        ...

    def failed(self, failure: MediaError, began: float) -> None:
        """Take note of one that failed, and of when it began, by `time.monotonic`."""
        ...


@attrs.frozen
class Fixed:
    """Always the same number."""

    slots: int

    @property
    def highest(self) -> int:
        return self.slots

    def succeeded(self, used: int) -> None:
        """Nothing follows from it."""

    def failed(self, failure: MediaError, began: float) -> None:
        """Nothing follows from it."""


class Adapting:
    """
    Finds the number that the service copes with.

    One slot more for each round of exchanges that went well; a cut when the
    service pushes back. A round that goes badly brings many failures, but they
    tell one thing: what began before the last cut does not count again.
    """

    def __init__(self, range: Adaptive) -> None:
        self._low = range.low
        self.highest = range.high
        self._share = float(range.low)
        self._last_cut = -math.inf

    @property
    def slots(self) -> int:
        return int(self._share)

    def succeeded(self, used: int) -> None:
        # An idle client learns nothing of what the service would bear.
        if used >= self.slots:
            self._share = min(self._share + 1 / self._share, self.highest)

    def failed(self, failure: MediaError, began: float) -> None:
        if not _says_too_much(failure):
            return
        if began > self._last_cut:
            self._last_cut = time.monotonic()
            self._share = max(self._share * _CUT, self._low)


def _says_too_much(failure: MediaError) -> bool:
    if isinstance(failure, TransferTimeout):
        return failure.phase.service_at_fault
    return isinstance(failure, (ServerBusy, RateLimited))


def width_for(concurrency: int | Adaptive) -> Width:
    """Make what the user asked for."""
    if isinstance(concurrency, Adaptive):
        return Adapting(concurrency)
    if isinstance(concurrency, bool) or not isinstance(concurrency, int):
        raise ValueError("max_concurrency must be a whole number, 1 or more")  # noqa: TRY004
    if concurrency < 1:
        raise ValueError("max_concurrency must be a whole number, 1 or more")
    return Fixed(concurrency)


@attrs.define(eq=False)
class Queue:
    """
    Those of one account who wait for a slot.

    Attributes:
        held_up: Whether one of them has a slot and waits for a permit of the rate.
            The others would have to wait for that as well, and so need no slot.
    """

    tickets: deque[_Ticket] = attrs.field(factory=lambda: deque[_Ticket](), init=False)
    held_up: bool = attrs.field(default=False, init=False)


@attrs.define(eq=False)
class _Ticket:
    """One who waits. The deadline stands still while it is for a slot."""

    transfer: Transfer
    granted: anyio.Event = attrs.field(factory=anyio.Event, init=False)


@attrs.define(eq=False)
class Bound:
    """
    So many slots, which accounts take in turn.

    Every decision is made in one go, so nothing can interrupt it. Whoever waits
    is handed a slot; nobody who comes later can take it away.
    """

    width: Width
    used: int = attrs.field(default=0, init=False)
    _turns: dict[Queue, None] = attrs.field(factory=dict[Queue, None], init=False)
    _nested: nesting.Nested = attrs.field(factory=nesting.Nested, init=False)

    def take_at_once(self, queue: Queue) -> bool:
        """Take a slot if one is free; nobody can be waiting for it then."""
        if self.used >= self.width.slots or queue.held_up:
            return False
        self.used += 1
        return True

    async def take(self, queue: Queue, transfer: Transfer) -> None:
        """
        Take a slot as soon as it is the account's turn.

        Raises:
            RuntimeError: None can ever come free: see `nesting`.
        """
        if self.take_at_once(queue):
            return
        ticket = _Ticket(transfer)
        with self._nested.waiting(transfer, self.used):
            self._join(queue, ticket)
            try:
                await ticket.granted.wait()
            except BaseException:
                self._leave(queue, ticket)
                raise
            finally:
                transfer.run_on()

    def give_back(self) -> None:
        """Give a slot back; any task may, once for each that was taken."""
        self.used -= 1
        self._hand_out()

    def hold_up(self, queue: Queue) -> None:
        """Let nobody else of an account have a slot, as they would wait for a permit."""
        queue.held_up = True
        self._turns.pop(queue, None)
        for ticket in queue.tickets:
            ticket.transfer.run_on()

    def let_go(self, queue: Queue) -> None:
        """Let the account take part again."""
        queue.held_up = False
        for ticket in queue.tickets:
            ticket.transfer.stand_still()
        if queue.tickets:
            self._turns[queue] = None
        self._hand_out()

    def succeeded(self) -> None:
        """Take note that the service kept up."""
        self.width.succeeded(self.used + 1)
        self._hand_out()

    def failed(self, failure: MediaError, began: float) -> None:
        """Take note of why an exchange that *began* then has failed."""
        self.width.failed(failure, began)

    def inside(self, transfer: Transfer) -> nesting.Inside:
        """Run code of the user's as a part of *transfer*."""
        return self._nested.inside(transfer)

    def kept_open(self, transfer: Transfer) -> AbstractContextManager[None]:
        """Surround the time in which *transfer* keeps its slot for a reader."""
        return self._nested.kept_open(transfer)

    def _join(self, queue: Queue, ticket: _Ticket) -> None:
        queue.tickets.append(ticket)
        if not queue.held_up:
            ticket.transfer.stand_still()
            self._turns.setdefault(queue)

    def _leave(self, queue: Queue, ticket: _Ticket) -> None:
        if ticket.granted.is_set():
            self.give_back()
            return
        queue.tickets.remove(ticket)
        if not queue.tickets:
            self._turns.pop(queue, None)

    def _hand_out(self) -> None:
        while self._turns and self.used < self.width.slots:
            queue = next(iter(self._turns))
            del self._turns[queue]
            ticket = queue.tickets.popleft()
            if queue.tickets:  # behind the others, for another turn
                self._turns[queue] = None
            self.used += 1
            ticket.granted.set()
