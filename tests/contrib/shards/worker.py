"""What the workers of these tests run; settings come from the environment."""

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

REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:1/")
TO = os.environ.get("ARCHIVE_TO", ".")
RETRY = Retry(ExponentialBackoff(cap=1.0), 6)
IDLE = int(os.environ.get("IDLE_TIMEOUT", "600000"))


@asynccontextmanager
async def open_archive() -> AsyncGenerator[Archive]:
    async with Redis.from_url(REDIS, retry=RETRY) as redis:
        store = RedisTokenStore(redis)
        async with MediaClient(
            AppToken("wx-of-all", "secret", store=store),
            base_url=os.environ["WXMEDIA_BASE_URL"],
            rate=RedisRateLimiter(redis, Rate(1_000_000, per=60.0)),
            max_concurrency=8,
        ) as client:

            def account(name: str) -> Account:
                return Account(client, TO)

            yield Archive(account, partial(RedisRecord, redis))


def new_broker(url: str = REDIS, idle_timeout: int = IDLE) -> RedisStreamBroker:
    broker = RedisStreamBroker(
        url,
        queue_name="archive",
        consumer_id="0",
        xread_block=200,
        xread_count=1,
        idle_timeout=idle_timeout,
        unacknowledged_batch_size=4,
        unacknowledged_lock_timeout=10.0,
        maxlen=10_000,
        retry=RETRY,
    )
    results = RedisAsyncResultBackend[object](
        url, result_ex_time=600, serializer=JSONSerializer(), retry=RETRY
    )
    return broker.with_result_backend(results)


broker = new_broker()
archive = archive_task(broker, open_archive)
