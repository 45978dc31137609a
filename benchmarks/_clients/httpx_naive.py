"""
httpx as its first page shows it, with gather: bodies in memory.

Its pool is what bounds it: 100 connections, whatever the job says.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
from _job import TOKEN, Job


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    # Its pool queues what it has no connection for; that must not fail it.
    timeout = httpx.Timeout(30, pool=None)
    verify = job.trust() or True
    async with httpx.AsyncClient(verify=verify, timeout=timeout) as client:
        yield partial(transfer, client)


async def transfer(client: httpx.AsyncClient, job: Job) -> None:
    one = {"down": download, "up": upload}[job.direction]
    await asyncio.gather(*[one(client, job, number) for number in range(job.count)])


async def download(client: httpx.AsyncClient, job: Job, number: int) -> None:
    params = {"access_token": TOKEN, "media_id": job.media_id(number)}
    reply = await client.get(f"{job.url}/cgi-bin/media/get", params=params)
    reply.raise_for_status()
    job.target(number).write_bytes(reply.content)


async def upload(client: httpx.AsyncClient, job: Job, number: int) -> None:
    params = {"access_token": TOKEN, "type": "image"}
    url = f"{job.url}/cgi-bin/media/upload"
    with job.source.open("rb") as file:
        reply = await client.post(url, params=params, files={"media": file})
    reply.raise_for_status().json()
