"""Disk calls run on the loop or in threads, one at a time."""

from __future__ import annotations

import threading

import anyio
import pytest

from wxmedia_async._local.disk import disk_for


async def test_inline_calls_run_on_the_loop() -> None:
    """Whatever a call gives or raises comes out at once, without a thread."""
    disk = disk_for("inline")

    thread = await disk.run(threading.get_ident)

    assert thread == threading.get_ident()
    assert await disk.run(int, "12") == 12
    with pytest.raises(ValueError, match="invalid literal"):
        await disk.run(int, "twelve")


async def test_threaded_calls_leave_the_loop_free() -> None:
    """Calls run in another thread, and give the same."""
    disk = disk_for("thread")

    thread = await disk.run(threading.get_ident)

    assert thread != threading.get_ident()
    assert await disk.run(int, "12") == 12
    with pytest.raises(ValueError, match="invalid literal"):
        await disk.run(int, "twelve")


async def test_calls_for_one_file_take_turns() -> None:
    """Two calls at once for one file never overlap."""
    disk = disk_for("thread")
    inside = threading.Lock()

    def call() -> bool:
        alone = inside.acquire(blocking=False)
        threading.Event().wait(0.005)
        if alone:
            inside.release()
        return alone

    results: list[bool] = []

    async def collect() -> None:
        results.append(await disk.run(call))

    async with anyio.create_task_group() as calls:
        for _ in range(4):
            calls.start_soon(collect)

    assert results == [True] * 4


async def test_the_clean_up_is_the_last_call() -> None:
    """A call that comes after it is refused like one on a closed file."""
    disk = disk_for("thread")
    calls: list[str] = []

    await disk.finish(lambda: calls.append("clean-up"))

    with pytest.raises(OSError, match="Bad file descriptor"):
        await disk.run(calls.append, "late")
    assert calls == ["clean-up"]


async def test_the_clean_up_runs_under_cancellation() -> None:
    """In a scope that is cancelled already it runs all the same, once, off the loop."""
    disk = disk_for("thread")
    threads: list[int] = []

    with anyio.CancelScope() as scope:
        scope.cancel()
        await disk.finish(lambda: threads.append(threading.get_ident()))

    assert len(threads) == 1
    assert threads != [threading.get_ident()]


async def test_an_error_of_the_clean_up_comes_out() -> None:
    """What the clean-up raises is not lost in its thread."""
    disk = disk_for("thread")

    with pytest.raises(ZeroDivisionError):
        await disk.finish(lambda: 1 // 0)
