"""
How long transfers may hold the event loop, which others share with them.

A socket that is ready is served at once, and so the loop would be late by as many turns
as there are sockets. All transfers of a transport together therefore have one budget for
each pass of the loop; who finds it used up waits, and comes first in a later pass.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

from ._tickets import Ticket, new_ticket
from ._waiting import running_loop

BUDGET = 0.003
"""Seconds that all transfers together may hold one pass of the loop."""

TURN = 0.002
"""Seconds for one of them while others wait: to change costs what is in the caches."""

# After so many seconds the loop that was to end the pass is gone.
_FORGOTTEN = 1.0


@attrs.define(eq=False)
class Turns:
    """
    The passes of one event loop, and who works in them.

    A budget is begun by the first who works, and ended by a callback that the loop
    calls two passes later.
    """

    _begun: bool = attrs.field(default=False, init=False)
    _ends: float = attrs.field(default=0.0, init=False)
    _served: int = attrs.field(default=0, init=False)
    _was_short: bool = attrs.field(default=False, init=False)
    _home: tuple[int, object] | None = attrs.field(default=None, init=False)
    _waiting: deque[Ticket] = attrs.field(factory=lambda: deque[Ticket](), init=False)
    # Those who were called in vain; they come before all others.
    _first: deque[Ticket] = attrs.field(factory=lambda: deque[Ticket](), init=False)

    async def take(self) -> float:
        """
        Return when there is room in a pass for some work.

        Returns:
            Until when the caller may go on without asking again, by `time.monotonic`.
        """
        # Those who wait come first.
        until = None if self._waiting or self._first else self._room()
        if until is None:
            await self._called(self._waiting)
            while (until := self._room()) is None:
                # Others were called too, and used it up.
                await self._called(self._first)
        return until

    def _room(self) -> float | None:
        now = time.monotonic()
        if not self._begun or now > self._ends + _FORGOTTEN:
            self._begin(now)
        if now >= self._ends:
            self._was_short = True
            return None
        self._served += 1
        return min(now + TURN, self._ends)

    def _begin(self, now: float) -> None:
        self._begun, self._served, self._was_short = True, 0, False
        self._ends = now + BUDGET
        self._home = _in_the_next_pass(self._come_round)

    def _come_round(self) -> None:
        # What was ready before this callback was there may have worked in this pass
        # as well; the next budget is for a pass that has had none.
        _in_the_next_pass(self._end)

    def _end(self) -> None:
        self._begun = False
        # As many as had their turn this time, and a few more where there was room: who
        # is called in vain has lost a pass, but a pass left idle is lost to all.
        more = 0 if self._was_short else 1 + self._served // 4
        self._call(self._served + more)

    def _call(self, count: int) -> None:
        """Wake so many of those who wait, and at least one."""
        left = max(count, 1)
        while left > 0 and (queue := self._first or self._waiting):
            ticket = queue.popleft()
            if not ticket.done():
                ticket.set_result(None)
                left -= 1

    async def _called(self, queue: deque[Ticket]) -> None:
        ticket = new_ticket()
        queue.append(ticket)
        # A loop that is gone, or the parent's of a process that was forked, will
        # not end its pass.
        if not self._begun or self._home != (os.getpid(), running_loop()):
            self._begin(time.monotonic())
        try:
            await ticket
        except BaseException:
            if ticket in queue:
                queue.remove(ticket)
            else:
                self._call(1)
            raise


def _in_the_next_pass(function: Callable[[], Any]) -> tuple[int, object]:
    """Have the loop call *function* when it has come round; tell which loop it is."""
    loop = running_loop()
    if isinstance(loop, asyncio.AbstractEventLoop):
        loop.call_soon(function)
    else:
        loop.run_sync_soon(function)
    return os.getpid(), loop
