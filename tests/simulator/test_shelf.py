"""Where the simulator keeps its media, and for how long."""

from __future__ import annotations

import gc
import resource
import subprocess
import sys
import threading
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
            simulator.media.get(media_id)
            received += b"".join([chunk async for chunk in chunks])

    assert media_id not in simulator.media
    assert received == LARGE


def test_an_expired_media_leaves_the_disk(
    simulator: Simulator, clock: Clock, folder: Path
) -> None:
    """The file of a media goes when its three days are over."""
    media_id = simulator.put(LARGE)
    clock.now += 3 * DAY

    found = simulator.media.get(media_id)

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


FILL = """
import sys
from pathlib import Path
from wxmedia_async.simulator import Simulator

def memory():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 >> 20

simulator, sizes = Simulator(), []
for _ in range(4):
    for number in range(int(sys.argv[1])):
        simulator.put(bytes(int(sys.argv[2])), filename=f"{number}.jpg")
    sizes.append(memory())
print(len(simulator.media), sizes[-1] - sizes[-2])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("count", "size"), [(160, 250_000), (4_000, 10_000)])
def test_memory_is_bounded(count: int, size: int) -> None:
    """However many small media there are, memory stops growing at a total."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(count), str(size)],
        capture_output=True,
        text=True,
        check=True,
    )

    kept, grown = map(int, done.stdout.split())
    assert kept == 4 * count
    assert grown < 10


def test_expired_media_are_not_there(
    simulator: Simulator, clock: Clock, folder: Path
) -> None:
    """What is too old is gone, small and large, before anybody asks for it."""
    old = [simulator.put(b"small"), simulator.put(LARGE)]
    clock.now += 2 * DAY
    young = [simulator.put(b"young"), simulator.put(LARGE)]
    clock.now += DAY

    assert list(simulator.media) == young
    assert len(simulator.media) == 2
    assert not any(media_id in simulator.media for media_id in old)
    assert sum(path.is_file() for path in folder.rglob("*")) == 1


def test_media_are_seen_while_they_come(simulator: Simulator) -> None:
    """What `media` gave shows what is stored later as well, in its order."""
    media = simulator.media
    media_ids = [simulator.put(b"%d" % number) for number in range(3)]

    assert list(media) == media_ids
    assert [one.content for one in media.values()] == [b"0", b"1", b"2"]
    assert media.get("wrong") is None
    with pytest.raises(KeyError):
        media["wrong"]


def test_it_can_be_filled_again(simulator: Simulator) -> None:
    """A simulator that was closed is an empty one."""
    simulator.put(LARGE)
    simulator.close()

    media_id = simulator.put(b"new")

    assert list(simulator.media) == [media_id]


def test_it_is_filled_from_several_threads(simulator: Simulator) -> None:
    """A test may fill it while a server's thread answers from it."""

    def fill() -> None:
        for _ in range(50):
            simulator.put(b"x")
            _ = list(simulator.media.values())

    threads = [threading.Thread(target=fill) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(simulator.media) == 200


def test_a_file_that_somebody_removed(
    simulator: Simulator, clock: Clock, folder: Path
) -> None:
    """A file that a cleaner of temporary files took does not hinder forgetting it."""
    simulator.put(LARGE)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    clock.now += 4 * DAY

    assert not simulator.media
