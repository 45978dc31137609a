"""What the workers of a farm run; settings come from the environment."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from taskiq import AsyncBroker
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from wxmedia_async import AppToken, MediaClient, Rate, RedisRateLimiter, RedisTokenStore
from wxmedia_async.contrib.shards import RedisRecord
from wxmedia_async.contrib.taskiq import Account, Archive, archive_task

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:1/")
IDLE = int(os.environ.get("IDLE_TIMEOUT", "600000"))
RETRY = Retry(ExponentialBackoff(cap=1.0), 6)


@asynccontextmanager
async def open_archive() -> AsyncGenerator[Archive]:
    async with Redis.from_url(REDIS, retry=RETRY) as redis:
        store = RedisTokenStore(redis)
        async with MediaClient(
            AppToken("wx", "secret", store=store),
            base_url=os.environ["WXMEDIA_BASE_URL"],
            rate=RedisRateLimiter(redis, Rate(1_000_000, per=60.0)),
        ) as client:
            account = Account(client, os.environ["ARCHIVE_TO"])
            yield Archive(lambda _: account, partial(RedisRecord, redis))


def new_broker(url: str, idle_timeout: int) -> AsyncBroker:
    queue = RedisStreamBroker(
        url,
        queue_name="archive",
        consumer_id="0",
        xread_count=1,
        idle_timeout=idle_timeout,
        unacknowledged_batch_size=4,
        unacknowledged_lock_timeout=10.0,
        maxlen=10_000,
        retry=RETRY,
    )
    results = RedisAsyncResultBackend(
        url, result_ex_time=600, serializer=JSONSerializer(), retry=RETRY
    )
    return queue.with_result_backend(results)


broker = new_broker(REDIS, IDLE)
archive = archive_task(broker, open_archive)
