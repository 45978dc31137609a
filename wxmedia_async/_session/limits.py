"""
What ends a transfer from outside: its deadline, or the end of its client.

A cancel scope does that on every event loop, and goes on cancelling where code of a
user's swallows a cancellation. Where no such code runs, asyncio's tasks are ended by
one timer for all transfers of a client instead: a scope takes as long as a tenth of a
small transfer.
"""

from __future__ import annotations

import asyncio
import math
from types import TracebackType
from typing import Protocol

import anyio
import attrs


class Ending(Protocol):
    """A block that can be ended from outside; leaving it so raises nothing."""

    @property
    def deadline(self) -> float:
        """When it ends by itself, on the event loop's clock."""
        ...

    @deadline.setter
    def deadline(self, value: float, /) -> None: ...

    def cancel(self) -> None:
        """End it now."""
        ...

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> bool | None: ...


@attrs.define(eq=False, repr=False)
class Limits:
    """Makes the limits of one client, and keeps the timer that they share."""

    _running: set[_TaskLimit] = attrs.field(
        factory=lambda: set[_TaskLimit](), init=False
    )
    _timer: asyncio.TimerHandle | None = attrs.field(default=None, init=False)
    _due: float = attrs.field(default=math.inf, init=False)

    def limit(self, seconds: float | None, *, only_ours: bool) -> Ending:
        """
        Make a limit of so many *seconds* from now; None: without an end.

        Args:
            only_ours: Whether no code of a user's runs inside.
        """
        loop = _asyncio_loop() if only_ours else None
        if loop is None:
            now = anyio.current_time()
            return anyio.CancelScope(deadline=_after(now, seconds))
        return _TaskLimit(self, loop, _after(loop.time(), seconds))

    def close(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer, self._due = None, math.inf

    def begin(self, limit: _TaskLimit) -> None:
        """Watch *limit*."""
        self._running.add(limit)
        self.set_timer(limit)

    def end(self, limit: _TaskLimit) -> None:
        """Watch it no longer. The timer stays: the next one will need it."""
        self._running.discard(limit)

    def set_timer(self, limit: _TaskLimit) -> None:
        """Look again when *limit* is over, if not before."""
        if limit.deadline >= self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = limit.deadline
        self._timer = limit.loop.call_at(self._due, self._tick)

    def _tick(self) -> None:
        self._timer, self._due = None, math.inf
        for limit in sorted(self._running, key=lambda limit: limit.deadline):
            if limit.deadline <= limit.loop.time():
                limit.cancel()
            else:
                self.set_timer(limit)


class _TaskLimit:
    """A limit of the current task of asyncio."""

    __slots__ = ("_before", "_deadline", "_fired", "_limits", "_task", "loop")

    def __init__(
        self, limits: Limits, loop: asyncio.AbstractEventLoop, deadline: float
    ) -> None:
        self._limits = limits
        self._deadline = deadline
        self._fired = False
        self._task: asyncio.Task[object] | None = None
        self.loop: asyncio.AbstractEventLoop = loop

    @property
    def deadline(self) -> float:
        return self._deadline

    @deadline.setter
    def deadline(self, deadline: float) -> None:
        self._deadline = deadline
        self._limits.set_timer(self)

    def cancel(self) -> None:
        if self._task is not None and not self._fired:
            self._fired = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = self._task = asyncio.current_task()
        assert task is not None
        self._before = task.cancelling()
        self._limits.begin(self)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        self._limits.end(self)
        task, self._task = self._task, None
        if not self._fired or task is None:
            return False
        # As in asyncio.timeout(): somebody else may have cancelled the task as well.
        is_only_ours = task.uncancel() <= self._before
        return is_only_ours and isinstance(error, asyncio.CancelledError)


def _asyncio_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _after(now: float, seconds: float | None) -> float:
    return math.inf if seconds is None else now + seconds
