"""Whenever a file is given up while disk calls run in threads, nothing is left."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.descriptors import none_left_open
from tests.interrupting import cancelled_at, torn_at
from wxmedia_async._files.part import open_part

CONTENT = b"x" * (1024 * 1024)

on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)


async def save(final: Path) -> None:
    async with open_part(str(final), file_io="thread") as part:
        await part.write(CONTENT)
        await part.write_at(0, CONTENT)
        await part.restart()
        await part.write(CONTENT)
        await part.publish(overwrite=False)


async def sweep(
    folder: Path,
    interrupted_at: Callable[[Callable[[], Awaitable[object]], int], Awaitable[bool]],
) -> set[bool]:
    """Interrupt a download at each of its suspensions, and tell what was there."""
    published: set[bool] = set()
    nth, reached = 0, True
    while reached:
        nth += 1
        final = folder / str(nth)
        with none_left_open():
            reached = await interrupted_at(partial(save, final), nth)
        there = final.exists()
        assert os.listdir(folder) == [final.name] * there
        assert not there or final.read_bytes() == CONTENT
        published |= {there} if reached else set()
        final.unlink(missing_ok=True)
    return published


async def test_a_cancelled_download_leaves_nothing_or_all(tmp_path: Path) -> None:
    """Fault 25: cancelled by a scope at any await, it is whole or not there."""
    await save(tmp_path / "warm")
    (tmp_path / "warm").unlink()

    assert await sweep(tmp_path, cancelled_at) == {False, True}


@on_asyncio
async def test_a_torn_download_leaves_nothing_or_all(tmp_path: Path) -> None:
    """Fault 25: the same for Task.cancel(), which reaches shielded waits too."""
    await save(tmp_path / "warm")
    (tmp_path / "warm").unlink()

    assert await sweep(tmp_path, torn_at) == {False, True}


class SlowDisk:
    """Holds every write until it is told to go on, or has waited long enough."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.writing = threading.Event()
        self._go_on = threading.Event()
        self._write, self._close = os.write, os.close
        monkeypatch.setattr("os.write", self.write)
        monkeypatch.setattr("os.close", self.close)

    def write(self, fd: int, data: bytes) -> int:
        self.writing.set()
        # Closing too early ends the wait; closing in turn waits for its end.
        self._go_on.wait(0.05)
        self.events.append("written")
        return self._write(fd, data)

    def close(self, fd: int) -> None:
        self.events.append("closed")
        self._go_on.set()
        self._close(fd)


@on_asyncio
@pytest.mark.parametrize("times", [1, 2])
async def test_a_descriptor_outlives_a_forgotten_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """A thread that still writes never writes to another file's descriptor."""
    disk = SlowDisk(monkeypatch)

    with none_left_open():
        saving = asyncio.create_task(save(tmp_path / "cat"))
        await anyio.to_thread.run_sync(disk.writing.wait)
        for _ in range(times):
            saving.cancel()
            await asyncio.sleep(0)
        await asyncio.wait([saving])

    assert saving.cancelled()
    assert disk.events == ["written", "closed"]
    assert os.listdir(tmp_path) == []
