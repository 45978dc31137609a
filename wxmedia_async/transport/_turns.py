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

import anyio
import attrs

BUDGET = 0.004
"""Seconds that all transfers together may hold one pass of the loop."""

# After so many seconds the loop that was to end the pass is gone.
_FORGOTTEN = 1.0


@attrs.define(eq=False)
class Turns:
    """
    The passes of one event loop, and who works in them.

    A pass is begun by the first who works in it, and ended by a callback that the loop
    calls in the next one.
    """

    _begun: bool = attrs.field(default=False, init=False)
    _ends: float = attrs.field(default=0.0, init=False)
    _served: int = attrs.field(default=0, init=False)
    _home: tuple[int, object] | None = attrs.field(default=None, init=False)
    _waiting: deque[anyio.Event] = attrs.field(
        factory=lambda: deque[anyio.Event](), init=False
    )

    def free(self) -> bool:
        """Tell whether one more piece of work fits into this pass."""
        # Those who wait come first.
        if self._waiting:
            return False
        return self._fits()

    async def take(self) -> None:
        """Return when a piece of work fits into a pass."""
        if self.free():
            return
        ticket = self._queue(self._waiting.append)
        await self._called(ticket)
        while not self._fits():
            # Others were called too, and used it up: they are behind this one now.
            await self._called(self._queue(self._waiting.appendleft))

    def _fits(self) -> bool:
        now = time.monotonic()
        if not self._begun or now > self._ends + _FORGOTTEN:
            self._begin(now)
        if now >= self._ends:
            return False
        self._served += 1
        return True

    def _begin(self, now: float) -> None:
        self._begun, self._served = True, 0
        self._ends = now + BUDGET
        self._home = _in_the_next_pass(self._end)

    def _end(self) -> None:
        self._begun = False
        self._call(self._served)

    def _call(self, count: int) -> None:
        """Wake as many as will have their turn, and at least one."""
        for _ in range(min(max(count, 1), len(self._waiting))):
            self._waiting.popleft().set()

    def _queue(self, join: Callable[[anyio.Event], None]) -> anyio.Event:
        ticket = anyio.Event()
        join(ticket)
        # A loop that is gone, or the parent's of a process that was forked, will
        # not end its pass.
        if not self._begun or self._home != (os.getpid(), _loop()):
            self._begin(time.monotonic())
        return ticket

    async def _called(self, ticket: anyio.Event) -> None:
        try:
            await ticket.wait()
        except BaseException:
            if ticket.is_set():
                self._call(1)
            else:
                self._waiting.remove(ticket)
            raise


def _in_the_next_pass(function: Callable[[], Any]) -> tuple[int, object]:
    """Have the loop call *function* when it has come round; tell which loop it is."""
    loop = _loop()
    if isinstance(loop, asyncio.AbstractEventLoop):
        loop.call_soon(function)
    else:
        loop.run_sync_soon(function)
    return os.getpid(), loop


def _loop() -> Any:
    """Return asyncio's loop, or what trio has in its place."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return anyio.lowlevel.current_token().native_token
