"""A process that takes the lock of a store, says so, and is killed."""

from __future__ import annotations

import sys
from functools import partial

import anyio
from redis.asyncio import Redis

from wxmedia_async import FileTokenStore, RedisTokenStore, TokenStore


async def main(place: str) -> None:
    if place.startswith("redis://"):
        async with Redis.from_url(place) as redis:
            await hold(RedisTokenStore(redis, lock_ttl=0.5))
    else:
        await hold(FileTokenStore(place))


async def hold(store: TokenStore) -> None:
    async with store.lock("key"):
        sys.stdout.write("held\n")
        sys.stdout.flush()
        await anyio.sleep_forever()


anyio.run(partial(main, *sys.argv[1:]))
