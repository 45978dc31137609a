"""What the workers of a farm run; settings come from the environment."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from taskiq.serializers import JSONSerializer
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from wxmedia_async import AppToken, MediaClient, Rate, RedisRateLimiter, RedisTokenStore
from wxmedia_async.contrib.shards import RedisRecord
from wxmedia_async.contrib.taskiq import Account, Archive, archive_task

REDIS = os.environ["REDIS_URL"]
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


broker = RedisStreamBroker(
    REDIS,
    queue_name="archive",
    consumer_id="0",
    xread_count=1,
    idle_timeout=IDLE,
    unacknowledged_batch_size=4,
    unacknowledged_lock_timeout=10.0,
    maxlen=10_000,
    retry=RETRY,
).with_result_backend(
    RedisAsyncResultBackend(
        REDIS, result_ex_time=600, serializer=JSONSerializer(), retry=RETRY
    )
)
archive = archive_task(broker, open_archive)
