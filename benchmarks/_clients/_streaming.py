"""httpx with care: no body in memory, and no more requests than connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import BinaryIO

import httpx
from _job import TOKEN, Job

from . import _multipart
from ._workers import work_through

CHUNK = 64 * 1024


async def transfer(client: httpx.AsyncClient, job: Job) -> None:
    one = {"down": download, "up": upload}[job.direction]
    await work_through(job, partial(one, client, job))


async def download(client: httpx.AsyncClient, job: Job, number: int) -> None:
    params = {"access_token": TOKEN, "media_id": job.media_id(number)}
    url = f"{job.url}/cgi-bin/media/get"
    async with client.stream("GET", url, params=params) as reply:
        reply.raise_for_status()
        with job.target(number).open("wb") as file:
            async for chunk in reply.aiter_raw():
                file.write(chunk)


async def upload(client: httpx.AsyncClient, job: Job, number: int) -> None:
    params = {"access_token": TOKEN, "type": "image"}
    head = _multipart.head(f"{number}.jpg")
    length = len(head) + job.size + len(_multipart.TAIL)
    headers = {
        "Content-Type": _multipart.CONTENT_TYPE,
        "Content-Length": str(length),
    }
    with job.source.open("rb") as file:
        reply = await client.post(
            f"{job.url}/cgi-bin/media/upload",
            params=params,
            headers=headers,
            content=form(head, file),
        )
    reply.raise_for_status().json()


async def form(head: bytes, file: BinaryIO) -> AsyncIterator[bytes]:
    yield head
    while chunk := file.read(CHUNK):
        yield chunk
    yield _multipart.TAIL
