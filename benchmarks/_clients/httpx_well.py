"""httpx on its own transport, used with care."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
from _job import Job

from ._streaming import transfer


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    limits = httpx.Limits(
        max_connections=job.at_a_time, max_keepalive_connections=job.at_a_time
    )
    verify = job.trust() or True
    async with httpx.AsyncClient(verify=verify, limits=limits, timeout=30) as client:
        yield partial(transfer, client)
