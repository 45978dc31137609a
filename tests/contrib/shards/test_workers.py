"""Real worker processes, a real server, and what kills them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from tests.contrib.shards import worker
from wxmedia_async.contrib.shards import RedisRecord, shards
from wxmedia_async.contrib.taskiq import Shard, archive_task, submit
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

ROOT = Path(__file__).parents[3]
WORKER = [
    *("-m", "taskiq", "worker", "tests.contrib.shards.worker:broker"),
    *("--workers", "1", "--max-async-tasks", "1", "--log-level", "WARNING"),
    *("--wait-tasks-timeout", "0.2", "--shutdown-timeout", "5"),
]
SUBMITTER = """
import asyncio, sys
from redis.asyncio import Redis
from tests.contrib.shards import worker
from wxmedia_async.contrib.shards import RedisRecord, shards
from wxmedia_async.contrib.taskiq import Shard, submit

async def main() -> None:
    ids = sys.stdin.read().split()
    await worker.broker.startup()
    async with Redis.from_url(worker.REDIS) as redis:
        work = map(Shard, shards(ids, 20))
        record = RedisRecord(redis, "b")
        await submit(worker.archive, "b", work, record=record, most=4, poll=0.05)

asyncio.run(main())
"""


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"use_uvloop": False}  # the workers are what they are


@attrs.define(eq=False)
class Farm:
    """A simulated service, a queue, and the processes of a test."""

    simulator: Simulator
    url: str
    server: str
    redis: Any
    to: Path
    ids: dict[str, bytes]
    idle: int = 600_000
    _running: ExitStack = attrs.Factory(ExitStack)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a process; its group is killed at the end of the test."""
        environment = os.environ | {
            "REDIS_URL": self.server,
            "WXMEDIA_BASE_URL": self.url,
            "ARCHIVE_TO": str(self.to),
            "IDLE_TIMEOUT": str(self.idle),
        }
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **options,
        )
        self._running.callback(kill, process)
        return process

    def close(self) -> None:
        self._running.close()

    @property
    def record(self) -> RedisRecord:
        return RedisRecord(self.redis, "b")

    def work(self, size: int) -> Iterator[Shard]:
        return map(Shard, shards(self.ids, size))

    async def submit(self, size: int) -> Counter[str]:
        broker = worker.new_broker(self.server, self.idle)
        task = archive_task(broker, worker.open_archive)
        await broker.startup()
        try:
            with anyio.fail_after(30):
                return await submit(
                    task,
                    "b",
                    self.work(size),
                    record=self.record,
                    poll=0.05,
                    nudge=0.05,
                )
        finally:
            await broker.shutdown()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for what other processes do."""
        with anyio.fail_after(20):
            while not true():  # noqa: ASYNC110  # other processes tell nobody
                await anyio.sleep(0.01)

    def fetched(self) -> Counter[str]:
        return Counter(
            request.query["media_id"]
            for request in self.simulator.requests
            if request.path == "/cgi-bin/media/get"
        )

    async def check(self) -> None:
        """Every item has exactly one noted outcome, and every file is whole."""
        assert await self.record.counts() == Counter(done=len(self.ids), failed=0)
        assert await self.record.missing(list(self.ids)) == []
        whole = {path for path in self.to.iterdir() if path.suffix != ".part"}
        assert Counter(path.stem for path in whole) == Counter(self.ids.keys())
        assert all(path.read_bytes() == self.ids[path.stem] for path in whole)
        assert self.simulator.token_fetches == 1


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a process and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


@pytest.fixture
async def farm(redis: Any, server: str, tmp_path: Path) -> AsyncIterator[Farm]:
    async with opened(redis, server, tmp_path, items=160) as made:
        yield made


@asynccontextmanager
async def opened(
    redis: Any, server: str, to: Path, *, items: int
) -> AsyncGenerator[Farm]:
    simulator = Simulator()
    simulator.latency = 0.03
    contents = [b"\xff\xd8\xff" + os.urandom(20_000) for _ in range(items)]
    ids = {simulator.put(content): content for content in contents}
    async with serve(simulator) as url:
        farm = Farm(simulator, url, server, redis, to / "in", ids)
        try:
            yield farm
        finally:
            farm.close()


async def test_a_worker_that_is_killed(farm: Farm) -> None:
    """Another one does what it left, in the order of its idle time."""
    farm.idle = 1500
    workers = [farm.start(*WORKER) for _ in range(2)]

    async def kill_one() -> None:
        await farm.until(lambda: len(farm.fetched()) > 50)
        kill(workers[0])

    async with anyio.create_task_group() as group:
        group.start_soon(kill_one)
        counts = await farm.submit(40)

    assert counts.total() == 160
    assert counts["failed"] == 0
    await farm.check()
    assert farm.fetched().total() - 160 < 40  # less than its whole shard


async def test_connections_that_are_killed(farm: Farm) -> None:
    """Workers and submitter go on over new connections to Redis."""
    farm.idle = 1500  # a message may be lost on its way to a worker
    farm.start(*WORKER)

    async def kill_connections() -> None:
        for done in (20, 60, 100):
            await farm.until(lambda done=done: len(farm.fetched()) > done)  # type: ignore[misc]
            await farm.redis.client_kill_filter(_type="normal", skipme=True)

    async with anyio.create_task_group() as group:
        group.start_soon(kill_connections)
        counts = await farm.submit(40)

    assert counts.total() == 160
    await farm.check()


async def test_a_submitter_that_is_killed(farm: Farm) -> None:
    """Workers go on with what is queued, and another run queues the rest."""
    farm.start(*WORKER)
    submitter = farm.start("-c", SUBMITTER, stdin=subprocess.PIPE)
    assert submitter.stdin is not None
    submitter.stdin.write("\n".join(farm.ids))
    submitter.stdin.close()
    await farm.until(lambda: len(farm.fetched()) > 30)
    kill(submitter)

    counts = await farm.submit(20)

    assert counts.total() == 160
    assert counts["skipped"] >= 20
    await farm.check()


async def test_a_worker_that_is_stopped(farm: Farm) -> None:
    """SIGTERM ends it within seconds, and its shard is taken over at once."""
    farm.simulator.latency = 0.1
    first = farm.start(*WORKER)
    second: list[subprocess.Popen[str]] = []
    took = 0.0

    async def stop() -> None:
        nonlocal took
        await farm.until(lambda: len(farm.fetched()) > 20)
        second.append(farm.start(*WORKER))
        began = time.monotonic()
        first.terminate()
        await farm.until(lambda: first.poll() is not None)
        took = time.monotonic() - began

    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        counts = await farm.submit(160)

    assert first.returncode == 0
    assert took < 5
    assert counts.total() == 160
    assert counts["skipped"] > 0
    await farm.check()


async def test_an_idle_timeout_that_is_too_short(farm: Farm) -> None:
    """Shards are done twice at a time; each item is noted once, each file whole."""
    farm.idle, farm.simulator.latency = 50, 0.07
    for _ in range(2):
        farm.start(*WORKER)

    counts = await farm.submit(160)

    assert counts.total() == 160
    assert farm.fetched().total() > 160
    await farm.check()
