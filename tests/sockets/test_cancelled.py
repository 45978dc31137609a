"""Whenever a transfer over real sockets is cancelled, its connection is closed."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import pytest

from tests.descriptors import none_left_open
from tests.fakes import JPEG
from tests.interrupting import cancelled_at, torn_at
from tests.sockets.server import (
    UPLOADED,
    Server,
    client_to,
    link,
    resets_after,
    routes,
    whole,
)
from wxmedia_async import MediaClient

pytestmark = pytest.mark.usefixtures("way")

Work = Callable[[MediaClient, Path], Awaitable[object]]
Interrupted = Callable[[Callable[[], Awaitable[object]], int], Awaitable[bool]]

on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)


NEVER = 10**9


async def upload(client: MediaClient, folder: Path) -> None:
    await client.upload(JPEG * 100, filename="x.jpg")


async def download(client: MediaClient, folder: Path) -> None:
    await client.download("ID", folder)


async def stream(client: MediaClient, folder: Path) -> None:
    async with client.stream("ID") as media:
        async for _ in media:
            await anyio.lowlevel.checkpoint()


async def download_many(client: MediaClient, folder: Path) -> None:
    async with client.download_many(["ID", "ID2"], folder) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


ALL = [upload, download, stream, download_many]


async def sweep(work: Work, interrupted_at: Interrupted, folder: Path) -> None:
    """Interrupt *work* at each of its suspensions, and look at what remains."""
    # uvloop opens descriptors of its own when it first needs them.
    await step(work, interrupted_at, NEVER, folder)
    # What earlier tests left to the collector must not go in the meantime.
    gc.collect()
    for nth in count(1):
        inbox = folder / str(nth)
        inbox.mkdir()
        with none_left_open():
            reached = await step(work, interrupted_at, nth, inbox)
        assert [path for path in inbox.iterdir() if path.suffix == ".part"] == []
        if not reached:
            return


async def step(work: Work, interrupted_at: Interrupted, nth: int, inbox: Path) -> bool:
    tasks = len(anyio.get_running_tasks())
    with Server() as server:
        media, video = whole(JPEG * 100), link(f"{server.url}/video")
        replies = {
            "/cgi-bin/media/get": video,
            "/cgi-bin/media/upload": UPLOADED,
            "/video": media,
        }
        server.scripts = [resets_after(b""), routes(replies)]
        async with client_to(server, max_concurrency=1) as client:
            reached = await interrupted_at(partial(work, client, inbox), nth)

            assert len(anyio.get_running_tasks()) == tasks
            with anyio.fail_after(10):
                assert (await client.read("ID")).content == JPEG * 100
    return reached


@pytest.mark.parametrize("work", ALL)
async def test_cancelled_anywhere(work: Work, tmp_path: Path) -> None:
    """Fault 25: cancelled at any await, nothing stays open and the next one works."""
    await sweep(work, cancelled_at, tmp_path)


@on_asyncio
@pytest.mark.parametrize("work", ALL)
async def test_torn_anywhere(work: Work, tmp_path: Path) -> None:
    """Fault 25: the same for asyncio's Task.cancel(), which knows no shields."""
    await sweep(work, torn_at, tmp_path)
