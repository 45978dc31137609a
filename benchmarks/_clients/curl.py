"""curl, one process for all files; its start and its handshakes are in the time."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

from _job import Job


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    yield transfer


async def transfer(job: Job) -> None:
    run(job)


def run(job: Job) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".curl") as config:
        config.writelines(lines(job))
        config.flush()
        done = subprocess.run(
            ["curl", *options(job), "-K", config.name],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    if done.returncode:
        raise OSError(done.stderr.strip().splitlines()[-1])


def options(job: Job) -> list[str]:
    most = str(job.at_a_time)
    return ["-q", "--parallel", "--parallel-immediate", "--parallel-max", most]


def lines(job: Job) -> Iterator[str]:
    # An upload's options end where the next begins, so each has all of them.
    if job.direction == "down":
        yield common(job)
    for number in range(job.count):
        if job.direction == "down":
            yield f'url = "{job.download_url(number)}"\n'
            yield f'output = "{job.target(number)}"\n'
        else:
            yield upload(job) if number == 0 else f"next\n{upload(job)}"


def upload(job: Job) -> str:
    return (
        f'{common(job)}url = "{job.upload_url}"\n'
        f'output = "{os.devnull}"\nform = "media=@{job.source}"\n'
    )


def common(job: Job) -> str:
    trust = f'cacert = "{job.ca}"\n' if job.ca else ""
    return f"silent\nshow-error\nfail\n{trust}"
