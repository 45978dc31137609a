"""aiohttp as most would write it: one session, a semaphore, and gather."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from _job import TOKEN, Job


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    connector = aiohttp.TCPConnector(limit=job.at_a_time, ssl=job.trust() or True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield partial(transfer, session)


async def transfer(session: aiohttp.ClientSession, job: Job) -> None:
    one = {"down": download, "up": upload}[job.direction]
    slots = asyncio.Semaphore(job.at_a_time)

    async def limited(number: int) -> None:
        async with slots:
            await one(session, job, number)

    await asyncio.gather(*[limited(number) for number in range(job.count)])


async def download(session: aiohttp.ClientSession, job: Job, number: int) -> None:
    params = {"access_token": TOKEN, "media_id": job.media_id(number)}
    url = f"{job.url}/cgi-bin/media/get"
    async with session.get(url, params=params, raise_for_status=True) as reply:
        with job.target(number).open("wb") as file:
            async for chunk in reply.content.iter_chunked(64 * 1024):
                file.write(chunk)


async def upload(session: aiohttp.ClientSession, job: Job, number: int) -> None:
    params = {"access_token": TOKEN, "type": "image"}
    url = f"{job.url}/cgi-bin/media/upload"
    with job.source.open("rb") as file:
        form = aiohttp.FormData()
        form.add_field("media", file, filename=f"{number}.jpg")
        async with session.post(
            url, params=params, data=form, raise_for_status=True
        ) as reply:
            await reply.json(content_type=None)
