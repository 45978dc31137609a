"""wechatpy, one client used by many threads; its bodies are in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from _job import TOKEN, Job
from wechatpy import WeChatClient


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    client = WeChatClient("appid", "secret", access_token=TOKEN, timeout=30)
    client.API_BASE_URL = f"{job.url}/cgi-bin/"
    with ThreadPoolExecutor(job.at_a_time) as threads:
        yield partial(transfer, client, threads)


async def transfer(client: WeChatClient, threads: ThreadPoolExecutor, job: Job) -> None:
    one = {"down": download, "up": upload}[job.direction]
    for _ in threads.map(partial(one, client, job), range(job.count)):
        pass


def download(client: WeChatClient, job: Job, number: int) -> None:
    reply = client.media.download(job.media_id(number))
    job.target(number).write_bytes(reply.content)


def upload(client: WeChatClient, job: Job, number: int) -> None:
    with job.source.open("rb") as file:
        client.media.upload("image", file)
