"""pyreqwest by its own calls: Rust's reqwest on a runtime of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from _job import TOKEN, Job
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.multipart import FormBuilder

from ._workers import work_through


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    async with builder(job).build() as client:
        yield partial(transfer, client)


def builder(job: Job) -> ClientBuilder:
    plain = ClientBuilder().max_connections(job.at_a_time).error_for_status()
    if job.ca is None:
        return plain
    return plain.add_root_certificate_pem(Path(job.ca).read_bytes())


async def transfer(client: Client, job: Job) -> None:
    one = {"down": download, "up": upload}[job.direction]
    await work_through(job, partial(one, client, job))


async def download(client: Client, job: Job, number: int) -> None:
    query = {"access_token": TOKEN, "media_id": job.media_id(number)}
    request = client.get(f"{job.url}/cgi-bin/media/get").query(query)
    async with request.build_streamed() as reply:
        reader = reply.body_reader
        with job.target(number).open("wb") as file:
            while chunk := await reader.read_chunk():
                file.write(chunk)


async def upload(client: Client, job: Job, number: int) -> None:
    query = {"access_token": TOKEN, "type": "image"}
    form = await FormBuilder().file("media", job.source)
    request = client.post(f"{job.url}/cgi-bin/media/upload").query(query)
    reply = await request.multipart(form).build().send()
    await reply.json()
