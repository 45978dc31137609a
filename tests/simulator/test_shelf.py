"""Where the simulator keeps its media, and for how long."""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wxmedia_async.simulator import Simulator

LARGE = bytes(range(256)) * 2000
DAY = 86_400.0


class Clock:
    """A time that tests move."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder in which temporary files are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def simulator(clock: Clock, folder: Path) -> Iterator[Simulator]:
    simulator = Simulator(clock=clock)
    yield simulator
    simulator.close()


@pytest.fixture
def few_files() -> Iterator[int]:
    """Let this process open only a few files more than it has open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = len(list(Path("/proc/self/fd").iterdir())) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_more_media_than_files(simulator: Simulator, few_files: int) -> None:
    """There may be more large media than files that a process may have open."""
    media_ids = [simulator.put(LARGE) for _ in range(few_files + 1)]

    assert all(simulator.media[media_id].content == LARGE for media_id in media_ids)


def test_small_media_are_not_on_the_disk(simulator: Simulator, folder: Path) -> None:
    """A media that is small is kept in memory."""
    media_id = simulator.put(b"small")

    assert simulator.media[media_id].content == b"small"
    assert list(folder.iterdir()) == []


async def test_a_download_outlives_its_media(
    simulator: Simulator, clock: Clock
) -> None:
    """A download that has begun comes to its end, though its media expires."""
    media_id = simulator.put(LARGE)

    async with simulator.client() as client:
        async with client.stream(media_id) as media:
            chunks = aiter(media)
            received = await anext(chunks)
            clock.now += 4 * DAY
            simulator._shelf.find(media_id)
            received += b"".join([chunk async for chunk in chunks])

    assert media_id not in simulator.media
    assert received == LARGE


def test_an_expired_media_leaves_the_disk(
    simulator: Simulator, clock: Clock, folder: Path
) -> None:
    """The file of a media goes when its three days are over."""
    media_id = simulator.put(LARGE)
    clock.now += 3 * DAY

    found = simulator._shelf.find(media_id)

    assert found is None
    assert [path for path in folder.rglob("*") if path.is_file()] == []


def test_closing_leaves_nothing(simulator: Simulator, folder: Path) -> None:
    """Nothing is left on the disk by a simulator that was closed, even twice."""
    simulator.put(LARGE)
    simulator.close()
    simulator.close()

    assert list(folder.iterdir()) == []


def test_a_simulator_that_is_not_closed(folder: Path) -> None:
    """Nothing is left on the disk by a simulator that was only forgotten."""
    Simulator().put(LARGE)
    gc.collect()

    assert list(folder.iterdir()) == []
