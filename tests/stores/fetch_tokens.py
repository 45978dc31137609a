"""One of many processes that need a token at once; prints those it got."""

from __future__ import annotations

import sys
from functools import partial

import anyio
from redis.asyncio import Redis

from wxmedia_async import (
    AppToken,
    FileTokenStore,
    MediaClient,
    RedisTokenStore,
    TokenStore,
)


async def main(url: str, place: str, calls: str) -> None:
    if place.startswith("redis://"):
        async with Redis.from_url(place) as redis:
            await ask(url, RedisTokenStore(redis), int(calls))
    else:
        await ask(url, FileTokenStore(place), int(calls))


async def ask(url: str, store: TokenStore, calls: int) -> None:
    credential = AppToken("app", "secret", store=store, endpoint="token")
    async with MediaClient(credential, base_url=url) as client:
        assert client.token is not None
        wait_for_the_others()
        for _ in range(calls):
            sys.stdout.write(await client.token.get() + "\n")


def wait_for_the_others() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()


anyio.run(partial(main, *sys.argv[1:]))
