"""One of many processes that need a token; prints those it got."""

from __future__ import annotations

import sys
from functools import partial

import anyio
from redis.asyncio import Redis

from wxmedia_async import AppToken, FileTokenStore, MediaClient, RedisTokenStore


async def main(url: str, place: str, calls: str) -> None:
    if place.startswith("redis://"):
        async with Redis.from_url(place) as redis:
            await ask(
                url,
                AppToken(
                    "app", "secret", store=RedisTokenStore(redis), endpoint="token"
                ),
                int(calls),
            )
    else:
        token = AppToken("app", "secret", store=FileTokenStore(place), endpoint="token")
        await ask(url, token, int(calls))


async def ask(url: str, token: AppToken, calls: int) -> None:
    async with MediaClient(token, base_url=url) as client:
        assert client.token is not None
        for _ in range(calls):
            sys.stdout.write(await client.token.get() + "\n")


anyio.run(partial(main, *sys.argv[1:]))
