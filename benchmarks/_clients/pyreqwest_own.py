"""pyreqwest by its own calls: Rust's reqwest on a runtime of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from _job import TOKEN, Job
from pyreqwest.bytes import Bytes
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.multipart import FormBuilder, PartBuilder

from ._workers import work_through

CHUNK = 256 * 1024
IN_MEMORY = 1024 * 1024


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
    # Its reader hands out little at a time; what is small is better had at once.
    if job.size <= IN_MEMORY:
        reply = await request.build().send()
        write(job, number, await reply.bytes())
        return
    async with request.build_streamed() as streamed:
        with job.target(number).open("wb") as file:
            while chunk := await streamed.body_reader.read(CHUNK):
                file.write(chunk)


def write(job: Job, number: int, data: Bytes) -> None:
    job.target(number).write_bytes(data)


async def upload(client: Client, job: Job, number: int) -> None:
    query = {"access_token": TOKEN, "type": "image"}
    request = client.post(f"{job.url}/cgi-bin/media/upload").query(query)
    with job.source.open("rb") as file:
        part = part_of(file, job.size).file_name(f"{number}.jpg")
        form = FormBuilder().part("media", part)
        reply = await request.multipart(form).build().send()
        await reply.json()


def part_of(file: BinaryIO, size: int) -> PartBuilder:
    if size <= IN_MEMORY:
        return PartBuilder.from_bytes(file.read())
    chunks = iter(partial(file.read, CHUNK), b"")
    return PartBuilder.from_stream_with_length(chunks, size)
