"""
An archive of the media of many accounts, by workers of which any may die.

Without any server, in this process, from a simulated service:

    python archive.py

With a Redis server, and as many workers on as many hosts as you like:

    export REDIS_URL=redis://redis/ SECRETS=secrets.json ARCHIVE=/mnt/archive
    taskiq worker archive:broker --workers 1 --max-async-tasks 4 \
        --wait-tasks-timeout 20 --shutdown-timeout 5
    python archive.py november < list.txt

where secrets.json has the secret of each appid, and list.txt lines of an appid and a
media_id, those of an account together.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import groupby
from pathlib import Path

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from taskiq import AsyncBroker, InMemoryBroker
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from wxmedia_async import AppToken, MediaClient, Rate, RedisRateLimiter, RedisTokenStore
from wxmedia_async.contrib.shards import RedisRecord, shards
from wxmedia_async.contrib.taskiq import (
    Account,
    Archive,
    Shard,
    archive_task,
    progress_bar,
    submit,
)
from wxmedia_async.simulator import Simulator

REDIS_URL = os.environ.get("REDIS_URL", "")
ARCHIVE = Path(os.environ.get("ARCHIVE") or tempfile.mkdtemp(prefix="archive-"))
RATE = Rate(600, per=60.0)
# A lost connection is made again, not an error of what went over it.
RETRY = Retry(ExponentialBackoff(cap=2.0), 6)

simulator = Simulator()


def secrets_by_appid() -> dict[str, str]:
    secrets: dict[str, str] = json.loads(Path(os.environ["SECRETS"]).read_text())
    return secrets


@asynccontextmanager
async def open_archive() -> AsyncIterator[Archive]:
    """Of each worker: tokens, rates and the record are shared, by way of Redis."""
    secrets = secrets_by_appid()
    base_url = os.environ.get("WXMEDIA_BASE_URL")
    async with (
        Redis.from_url(REDIS_URL, retry=RETRY) as redis,
        MediaClient(None, base_url=base_url, deadline=120.0) as client,
    ):
        store = RedisTokenStore(redis)

        def account(appid: str) -> Account:
            child = client.with_options(
                token=AppToken(appid, secrets[appid], store=store),
                rate=RedisRateLimiter(redis, RATE, key=f"wxmedia:rate:{appid}"),
            )
            return Account(child, ARCHIVE / appid)

        yield Archive(account, partial(RedisRecord, redis))


@asynccontextmanager
async def open_archive_alone() -> AsyncIterator[Archive]:
    """Without a server: a simulated service, and a manifest as the record."""
    async with simulator.client(token=None) as client:

        def account(appid: str) -> Account:
            child = client.with_options(token=AppToken(appid, "secret"))
            return Account(child, ARCHIVE / appid)

        yield Archive(account, lambda batch: ARCHIVE / f"{batch}.jsonl")


def broker_of(url: str) -> AsyncBroker:
    """A queue that delivers again what a dead worker left."""
    queue = RedisStreamBroker(
        url,
        queue_name="archive",
        consumer_id="0",
        xread_count=1,
        idle_timeout=1_800_000,  # ms; above the longest shard
        unacknowledged_batch_size=4,
        unacknowledged_lock_timeout=10.0,
        maxlen=10_000,
        retry=RETRY,
    )
    results = RedisAsyncResultBackend[object](
        url, result_ex_time=86_400, serializer=JSONSerializer(), retry=RETRY
    )
    return queue.with_result_backend(results)


broker = broker_of(REDIS_URL) if REDIS_URL else InMemoryBroker()
archive = archive_task(broker, open_archive if REDIS_URL else open_archive_alone)


def work(lines: Iterable[str]) -> Iterator[Shard]:
    """Cut a list of any length, a line at a time."""
    pairs = (line.split() for line in lines if line.strip())
    for appid, own in groupby(pairs, key=lambda pair: pair[0]):
        for ids in shards(media_id for _, media_id in own):
            yield Shard(ids, appid)


def simulated_lines() -> list[str]:
    """A hundred media of each of three accounts."""
    photo = b"\xff\xd8\xff" + bytes(20_000)
    return [f"wx-{name} {simulator.put(photo)}" for name in "abc" for _ in range(100)]


async def main(
    batch: str, lines: Iterable[str], total: int | None, redis: Redis | None
) -> None:
    record = RedisRecord(redis, batch) if redis else None
    await broker.startup()
    try:
        with progress_bar(total) as progress:
            counts = await submit(
                archive, batch, work(lines), record=record, progress=progress
            )
    finally:
        await broker.shutdown()
    print(f"{batch}: {dict(counts)} in {ARCHIVE}")


async def shared() -> None:
    async with Redis.from_url(REDIS_URL, retry=RETRY) as redis:
        await main(sys.argv[1], sys.stdin, None, redis)


async def alone() -> None:
    lines = simulated_lines()
    await main("simulated", lines, len(lines), None)


if __name__ == "__main__":
    asyncio.run(shared() if REDIS_URL else alone())
