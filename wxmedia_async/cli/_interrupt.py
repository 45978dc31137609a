"""Ctrl-C, and what a supervisor sends, end a command in good order."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskStatus

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def interruptible(work: Callable[[], Awaitable[int]]) -> int:
    """
    Return the exit code of *work*, or 128 and the signal that cancelled it.

    The second signal is not caught: it ends the process at once.
    """
    if sys.platform == "win32":
        # Signals cannot be received there; Ctrl-C arrives as KeyboardInterrupt.
        return await work()
    ends: list[int] = []
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(_cancel_on_signal, tasks.cancel_scope, ends)
            ends.append(await work())
            tasks.cancel_scope.cancel()
    except ExceptionGroup as failed:
        # It is the only one: waiting for a signal does not fail.
        raise failed.exceptions[0] from None
    return ends[0]


async def _cancel_on_signal(
    scope: anyio.CancelScope,
    ends: list[int],
    *,
    task_status: TaskStatus[None],
) -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        task_status.started()
        ends.append(128 + await anext(signals))
        scope.cancel()
