"""A task of the library's own: what becomes of its user's task does not reach it."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable

import anyio
import attrs


@attrs.define(eq=False)
class OwnTask:
    """
    Work that goes on until it ends or is stopped, by whatever task.

    No scope of ours is open in the task of the user's, so that may leave the
    block that began the work from another task, or not at all.
    """

    _work: Callable[[], Awaitable[object]]
    _scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _ended: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    _task: object = attrs.field(default=None, init=False)

    def start(self) -> None:
        """Begin, with the context variables of the caller."""
        if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
            task = asyncio.create_task(self._run())
            # Cancelled before its first step, it would not tell by itself.
            task.add_done_callback(lambda _: self._ended.set())
            self._task = task  # the event loop alone would let go of it
            return
        import trio

        trio.lowlevel.spawn_system_task(
            self._run, context=contextvars.copy_context(), name="wxmedia_async batch"
        )

    async def stop(self) -> None:
        """Cancel the work and wait for its end, whoever cancels the caller."""
        self._scope.cancel()
        interrupted: BaseException | None = None
        while not self._ended.is_set():
            try:
                with anyio.CancelScope(shield=True):
                    await self._ended.wait()
            # Task.cancel() of asyncio, which no shield holds off.
            except anyio.get_cancelled_exc_class() as error:
                interrupted = error
        if interrupted is not None:
            raise interrupted

    async def _run(self) -> None:
        try:
            with self._scope:
                await self._work()
        finally:
            self._ended.set()
