"""Cancellation at each point where it can strike."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio
import attrs


@attrs.define(eq=False)
class Rhythm:
    """
    Lets a server move when the client waits for it.

    Or a little later, where what the client waits for is something else.
    """

    _suspended: threading.Event = attrs.field(factory=threading.Event, init=False)
    _over: bool = attrs.field(default=False, init=False)

    def beat(self) -> None:
        self._suspended.set()

    def begin(self) -> None:
        """Forget what the client has waited for so far."""
        self._suspended.clear()

    def end(self) -> None:
        self._over = True
        self.beat()

    def wait(self) -> None:
        if not self._over:
            self._suspended.wait(0.01)
            self._suspended.clear()


@attrs.define(eq=False)
class Stepped:
    """A coroutine that cancels its scope at its *last* suspension."""

    coroutine: Coroutine[Any, Any, object]
    last: int
    scope: anyio.CancelScope
    rhythm: Rhythm

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self.coroutine.__await__()
        resume, value, count = steps.send, None, 0
        while True:
            try:
                trap = resume(value)
            except StopIteration:
                return
            count += 1
            if count == self.last:
                # It strikes a moment later, and the server must not be first.
                self.scope.cancel()
            else:
                self.rhythm.beat()
            try:
                resume, value = steps.send, (yield trap)
            except BaseException as error:  # noqa: BLE001
                resume, value = steps.throw, error


async def cancelled_everywhere(
    make: Callable[[Rhythm], Coroutine[Any, Any, object]],
) -> int:
    """
    Run what *make* makes, cancelled at its first suspension, its second, …

    Returns at how many of them it was cancelled. The network decides how many
    there are in each run, so a few have to end before their turn.
    """
    last = cancelled = ended = 0
    while ended < 3:
        last += 1
        rhythm = Rhythm()
        with anyio.CancelScope() as scope:
            await Stepped(make(rhythm), last, scope, rhythm)
        rhythm.end()
        if scope.cancelled_caught:
            cancelled += 1
        else:
            ended += 1
    return cancelled
