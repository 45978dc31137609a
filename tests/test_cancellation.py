"""Whenever a transfer is cancelled, all that it held is given back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import attrs
import httpx
import pytest

from tests.descriptors import none_left_open
from tests.fakes import JPEG, SECRET, FakeWeChat, client_of, error
from tests.interrupting import cancelled_at, torn_at
from wxmedia_async import AppToken, MediaClient

Work = Callable[[MediaClient, Path], Awaitable[object]]
Interrupted = Callable[[Callable[[], Awaitable[object]], int], Awaitable[bool]]

on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)


async def upload(client: MediaClient, folder: Path) -> None:
    await client.upload(JPEG)


async def upload_file(client: MediaClient, folder: Path) -> None:
    path = folder.with_suffix(".jpg")
    path.write_bytes(JPEG)
    await client.upload(path)


async def upload_flow(client: MediaClient, folder: Path) -> None:
    async def flow() -> AsyncIterator[bytes]:
        for start in range(0, len(JPEG), 700):
            await anyio.lowlevel.checkpoint()
            yield JPEG[start : start + 700]

    await client.upload(flow())


async def download(client: MediaClient, folder: Path) -> None:
    await client.download("ID", folder)


async def read(client: MediaClient, folder: Path) -> None:
    await client.read("ID")


async def stream(client: MediaClient, folder: Path) -> None:
    async with client.stream("ID") as media:
        async for _ in media:
            await anyio.lowlevel.checkpoint()


async def call(client: MediaClient, folder: Path) -> None:
    await client.call("GET", "/cgi-bin/getcallbackip")


async def upload_many(client: MediaClient, folder: Path) -> None:
    async with client.upload_many([JPEG] * 3) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


async def download_many(client: MediaClient, folder: Path) -> None:
    async with client.download_many(["ID", "ID2"], folder) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


ALL = [
    upload,
    upload_file,
    upload_flow,
    download,
    read,
    stream,
    call,
    upload_many,
    download_many,
]


@attrs.define(eq=False)
class Bumpy(FakeWeChat):
    """Is busy when first asked for something, and then dislikes the token."""

    refusals: dict[str, list[httpx.Response]] = attrs.Factory(dict)
    on_step: Callable[[], None] = lambda: None

    async def _response(self, request: httpx.Request) -> httpx.Response:
        self.on_step()
        await anyio.lowlevel.checkpoint()
        response = await super()._response(request)
        self.on_step()
        await anyio.lowlevel.checkpoint()
        return response

    def _answer(
        self, request: httpx.Request, params: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        path = request.url.path
        both = [error(-1)] if path.endswith("token") else [error(-1), error(40001)]
        if refusals := self.refusals.setdefault(path, both):
            return refusals.pop(0)
        if path == "/cgi-bin/getcallbackip":
            return httpx.Response(200, json={"ip_list": []})
        return super()._answer(request, params, body)


async def sweep(
    work: Work, interrupted_at: Interrupted, folder: Path, **options: object
) -> None:
    """Interrupt *work* at each of its suspensions, and look at what remains."""
    for nth in count(1):
        inbox = folder / str(nth)
        inbox.mkdir()
        service = Bumpy({"ID": JPEG, "ID2": JPEG})
        with none_left_open():
            async with usable_after(service, max_concurrency=1, **options) as client:
                reached = await interrupted_at(partial(work, client, inbox), nth)
        assert parts(inbox) == []
        if not reached:
            return


@asynccontextmanager
async def usable_after(
    service: Bumpy, **options: object
) -> AsyncGenerator[MediaClient]:
    """A client that must be as good as new when the block is left."""
    tasks = len(anyio.get_running_tasks())
    token = AppToken("wx", SECRET)
    async with client_of(service, token=token, **options) as client:
        yield client

        assert service.in_flight == 0
        assert len(anyio.get_running_tasks()) == tasks
        with anyio.fail_after(10):
            assert (await client.read("ID")).content == JPEG


def parts(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix == ".part"]


@pytest.mark.parametrize("work", ALL)
async def test_cancelled_anywhere(work: Work, tmp_path: Path) -> None:
    """Fault 25: cancelled at any await, a transfer gives all back, and harms none."""
    await sweep(work, cancelled_at, tmp_path)


@pytest.mark.parametrize("work", [upload_file, download, download_many])
async def test_cancelled_anywhere_with_threads(work: Work, tmp_path: Path) -> None:
    """Fault 25: the same where disk calls run in threads."""
    await sweep(work, cancelled_at, tmp_path, file_io="thread")


@on_asyncio
@pytest.mark.parametrize("work", ALL)
async def test_torn_anywhere(work: Work, tmp_path: Path) -> None:
    """Fault 25: the same for asyncio's Task.cancel(), which knows no shields."""
    await sweep(work, torn_at, tmp_path)


@on_asyncio
@pytest.mark.parametrize("work", [upload_file, download, download_many])
async def test_torn_anywhere_with_threads(work: Work, tmp_path: Path) -> None:
    """Fault 25: the same for Task.cancel() where disk calls run in threads."""
    await sweep(work, torn_at, tmp_path, file_io="thread")


@pytest.mark.parametrize("work", [upload_many, download_many])
async def test_batch_cancelled_at_any_exchange(work: Work, tmp_path: Path) -> None:
    """Fault 25: a batch is cancelled whatever its transfers are doing."""
    for nth in count(1):
        inbox = tmp_path / str(nth)
        inbox.mkdir()
        service = Bumpy({"ID": JPEG, "ID2": JPEG})
        with none_left_open():
            async with usable_after(service, max_concurrency=2) as client:
                with anyio.CancelScope() as scope:
                    service.on_step = Countdown(nth, scope.cancel)
                    await work(client, inbox)
        assert parts(inbox) == []
        if not scope.cancelled_caught:
            return


class Countdown:
    """Acts when it is called for the *nth* time."""

    def __init__(self, nth: int, act: Callable[[], None]) -> None:
        self._left = nth
        self._act = act

    def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            self._act()
