from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

from wxmedia_async import ClientClosed
from wxmedia_async._session.lifetime import Lifetime


@contextmanager
def running(lifetime: Lifetime, scope: anyio.CancelScope) -> Iterator[None]:
    lifetime.enter(scope)
    try:
        yield
    finally:
        lifetime.leave(scope)


async def test_open_to_begin_with() -> None:
    """A client may be used any number of times in its loop."""
    lifetime = Lifetime()

    lifetime.check()
    lifetime.check()

    assert not lifetime.closed


async def test_closed() -> None:
    """Fault 33: after close() no call may begin."""
    lifetime = Lifetime()

    await lifetime.close()

    with pytest.raises(ClientClosed):
        lifetime.check()


def test_another_loop(anyio_backend: tuple[str, dict[str, object]]) -> None:
    """Fault 33: the loop of the first call is the only one."""
    backend, options = anyio_backend
    lifetime = Lifetime()

    async def check() -> None:
        lifetime.check()

    anyio.run(check, backend=backend, backend_options=options)
    with pytest.raises(RuntimeError, match="another event loop or process"):
        anyio.run(check, backend=backend, backend_options=options)


async def test_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 33: a forked process has the same loop, but not the same client."""
    lifetime = Lifetime()
    lifetime.check()

    monkeypatch.setattr(os, "getpid", lambda: -1)

    with pytest.raises(RuntimeError, match="another event loop or process"):
        lifetime.check()


async def test_close_cancels_and_waits() -> None:
    """close() cancels what runs, and returns when its clean-up is done."""
    lifetime = Lifetime()
    begun, cleaned = anyio.Event(), anyio.Event()

    async def call() -> None:
        with anyio.CancelScope() as scope, running(lifetime, scope):
            try:
                begun.set()
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.lowlevel.checkpoint()
                cleaned.set()

    async with anyio.create_task_group() as calls:
        calls.start_soon(call)
        calls.start_soon(call)
        await begun.wait()
        await anyio.wait_all_tasks_blocked()

        await lifetime.close()

        assert cleaned.is_set()


async def test_closed_twice_at_once() -> None:
    """All who close wait for the same end."""
    lifetime = Lifetime()

    async def call() -> None:
        with anyio.CancelScope() as scope, running(lifetime, scope):
            await anyio.sleep_forever()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(lifetime.close)
        tasks.start_soon(lifetime.close)

    assert lifetime.closed


async def test_call_that_ends_by_itself() -> None:
    """What has ended is not cancelled, nor waited for."""
    lifetime = Lifetime()
    with anyio.CancelScope() as scope, running(lifetime, scope):
        await anyio.lowlevel.checkpoint()

    await lifetime.close()

    assert not scope.cancel_called
