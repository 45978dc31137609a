"""wxmedia_async, by its public calls."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import repeat
from typing import Any

import attrs
from _job import TOKEN, Job

from wxmedia_async import MINI_PROGRAM, MediaClient

UNLIMITED = attrs.evolve(MINI_PROGRAM, limits={})


@asynccontextmanager
async def opened(
    job: Job, **options: Any
) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    if job.ca is not None:
        # As services do it that have an authority of their own; a context of the
        # user's is looked at before each handshake.
        os.environ["SSL_CERT_FILE"] = job.ca
    async with MediaClient(
        TOKEN,
        base_url=job.url,
        platform=UNLIMITED,
        max_concurrency=job.at_a_time,
        **options,
    ) as client:
        work = {"down": download, "up": upload}[job.direction]
        yield partial(work, client)


async def download(client: MediaClient, job: Job) -> None:
    media_ids = map(job.media_id, range(job.count))
    async with client.download_many(media_ids, job.folder) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


async def upload(client: MediaClient, job: Job) -> None:
    async with client.upload_many(repeat(job.source, job.count)) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()
