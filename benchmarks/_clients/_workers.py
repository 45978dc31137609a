"""As many tasks as there may be transfers, which take the next number each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from _job import Job


async def work_through(job: Job, one: Callable[[int], Awaitable[None]]) -> None:
    numbers = iter(range(job.count))

    async def worker() -> None:
        for number in numbers:
            await one(number)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(job.at_a_time):
            tasks.create_task(worker())
