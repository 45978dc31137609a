"""Cancel a piece of work at a chosen one of its suspensions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import Any

import anyio


async def cancelled_at(work: Callable[[], Awaitable[object]], nth: int) -> bool:
    """Cancel *work* by a scope, and tell whether it got as far as that."""
    with anyio.CancelScope() as scope:
        stepped = _Stepped(work(), nth, scope.cancel)
        await stepped
    return stepped.reached


async def torn_at(work: Callable[[], Awaitable[object]], nth: int) -> bool:
    """Do the same by asyncio's own Task.cancel(), which no shield holds off."""
    task: asyncio.Task[object] | None = None

    def tear() -> None:
        assert task is not None
        task.cancel()

    async def run() -> None:
        await stepped

    stepped = _Stepped(work(), nth, tear)
    task = asyncio.create_task(run())
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
    return stepped.reached


class _Stepped:
    """Awaits *work*, and calls *interrupt* at its suspension number *nth*."""

    def __init__(
        self, work: Awaitable[object], nth: int, interrupt: Callable[[], object]
    ) -> None:
        self._work = work
        self._left = nth
        self._interrupt = interrupt

    @property
    def reached(self) -> bool:
        return self._left <= 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        resume: Callable[[Any], Any] = steps.send
        value: Any = None
        while True:
            try:
                trap = resume(value)
            except StopIteration:
                return
            self._left -= 1
            if self._left == 0:
                self._interrupt()
            try:
                value = yield trap
                resume = steps.send
            except BaseException as error:  # noqa: BLE001 it is thrown in again
                value = error
                resume = steps.throw
