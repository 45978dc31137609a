"""aiohttp as fast as its public calls go: workers, bodies made by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import BinaryIO

import aiohttp
from _job import Job
from yarl import URL

from . import _multipart
from ._workers import work_through

CHUNK = 64 * 1024


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    connector = aiohttp.TCPConnector(limit=job.at_a_time, ssl=job.trust() or True)
    async with aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_read=30),
    ) as session:
        yield partial(transfer, session)


async def transfer(session: aiohttp.ClientSession, job: Job) -> None:
    one = {"down": download, "up": upload}[job.direction]
    await work_through(job, partial(one, session, job))


async def download(session: aiohttp.ClientSession, job: Job, number: int) -> None:
    url = URL(job.download_url(number), encoded=True)
    async with session.get(url, raise_for_status=True) as reply:
        with job.target(number).open("wb", buffering=0) as file:
            async for chunk in reply.content.iter_any():
                file.write(chunk)


async def upload(session: aiohttp.ClientSession, job: Job, number: int) -> None:
    head = _multipart.head(f"{number}.jpg")
    headers = {
        "Content-Type": _multipart.CONTENT_TYPE,
        "Content-Length": str(len(head) + job.size + len(_multipart.TAIL)),
    }
    url = URL(job.upload_url, encoded=True)
    with job.source.open("rb", buffering=0) as file:
        body = (small if job.size <= CHUNK else large)(head, file)
        async with session.post(
            url, data=body, headers=headers, raise_for_status=True
        ) as reply:
            await reply.json(content_type=None)


def small(head: bytes, file: BinaryIO) -> bytes:
    return head + file.read() + _multipart.TAIL


async def large(head: bytes, file: BinaryIO) -> AsyncIterator[bytes]:
    yield head
    while chunk := file.read(4 * CHUNK):
        yield chunk
    yield _multipart.TAIL
