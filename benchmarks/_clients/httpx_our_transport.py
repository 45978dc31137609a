"""httpx, used with care, on our transport: one argument more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import httpx
from _job import Job

from wxmedia_async.transport import SocketTransport

from ._streaming import transfer


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    transport = SocketTransport(
        verify=job.trust() or True, max_connections=job.at_a_time
    )
    async with httpx.AsyncClient(transport=transport, timeout=30) as client:
        yield partial(transfer, client)
