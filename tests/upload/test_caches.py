"""The caches of uploads: those of ours, and those that fail and are passed over."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of
from wxmedia_async import FileUploadCache, MemoryUploadCache, ServerBusy, UploadedMedia


class Failing:
    """A cache that fails in a chosen one of its methods."""

    def __init__(self, error: BaseException | None, method: str) -> None:
        self._inside = MemoryUploadCache()
        self._error = error
        self._method = method

    async def _step(self, method: str) -> None:
        if method != self._method:
            return
        if self._error is None:
            await anyio.sleep_forever()
        else:
            raise self._error

    async def load(self, key: str) -> UploadedMedia | None:
        await self._step("load")
        return await self._inside.load(key)

    async def save(self, key: str, media: UploadedMedia) -> None:
        await self._step("save")
        await self._inside.save(key, media)


@pytest.mark.parametrize("method", ["load", "save"])
@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("database or disk is full"),
        OSError(28, "No space left on device"),
        ServerBusy("another client's", code=-1),
        httpx.ReadTimeout(""),
        asyncio.CancelledError(),
        StopAsyncIteration(),
        None,
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_cache_that_fails_costs_nothing(
    service: FakeWeChat,
    error: BaseException | None,
    method: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it raises, or if it hangs: each upload is done, and it is told once."""
    monkeypatch.setattr("wxmedia_async._upload.reuse._PATIENCE", 0.01)
    async with client_of(
        service, upload_cache=Failing(error, method), account="a"
    ) as client:
        await client.upload(JPEG)
        async with client.upload_many([b"1" * 9, b"2" * 9]) as outcomes:
            found = [outcome async for outcome in outcomes]

    assert all(outcome.ok for outcome in found)
    assert len(service.requests) == len(service.stored) == 3
    [record] = caplog.records
    assert record.name == "wxmedia_async"
    assert record.levelno == logging.WARNING
    assert record.getMessage().startswith("the upload cache failed and is passed over")


@pytest.mark.parametrize("given", ["m1", b"m2", object(), {}, 0])
async def test_a_cache_that_gives_something_else_is_passed_over(
    service: FakeWeChat, given: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Only what is an UploadedMedia is given for one."""

    class Odd(MemoryUploadCache):
        async def load(self, key: str) -> Any:
            return given

    async with client_of(service, upload_cache=Odd(), account="a") as client:
        uploaded = await client.upload(JPEG)

    assert uploaded.media_id == "m0"
    assert "TypeError" in caplog.text


def damaged(path: Path) -> None:
    path.write_bytes(b"garbage that is no database" * 200)


def anothers(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


def with_other_columns(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE uploads (url TEXT)")


def of_a_later_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA application_id = 0x77786D61")
        database.execute("PRAGMA user_version = 99")


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    "made", [damaged, anothers, with_other_columns, of_a_later_version, folder]
)
async def test_a_file_that_is_something_else_is_passed_over(
    service: FakeWeChat,
    tmp_path: Path,
    made: Callable[[Path], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It costs what was remembered in it; by itself the cache raises OSError."""
    path = tmp_path / "uploads.sqlite"
    made(path)
    cache = FileUploadCache(path)

    async with client_of(service, upload_cache=cache, account="a") as client:
        uploaded = await client.upload(JPEG)

    assert uploaded.media_id == "m0"
    assert "OSError" in caplog.text
    with pytest.raises(OSError, match=r"uploads\.sqlite"):
        await cache.load("key")
    with pytest.raises(OSError, match=r"uploads\.sqlite"):
        await cache.save("key", uploaded)
    with pytest.raises(OSError, match=r"uploads\.sqlite"):
        await cache.forget("m0")


async def test_a_file_that_is_locked_is_passed_over(
    service: FakeWeChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever holds it for long holds up no upload for long."""
    monkeypatch.setattr("wxmedia_async._upload.caches._PATIENCE", 0.01)
    cache = FileUploadCache(tmp_path / "uploads.sqlite")
    await cache.forget("m")
    with closing(sqlite3.connect(cache.path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")

        async with client_of(service, upload_cache=cache, account="a") as client:
            uploaded = await client.upload(JPEG)
        with pytest.raises(BlockingIOError):
            await cache.load("key")

    assert uploaded.media_id == "m0"


async def test_the_deadline_takes_nothing_away_that_is_done(
    service: FakeWeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that saves slowly does not cost the media_id that WeChat gave."""
    monkeypatch.setattr("wxmedia_async._upload.reuse._PATIENCE", 0.2)
    async with client_of(
        service, upload_cache=Failing(None, "save"), account="a", deadline=0.1
    ) as client:
        uploaded = await client.upload(JPEG)

    assert uploaded.media_id == "m0"


async def test_the_memory_cache_is_bounded(service: FakeWeChat) -> None:
    """The oldest upload is forgotten first."""
    cache = MemoryUploadCache(max_items=2)
    async with client_of(service, upload_cache=cache, account="a") as client:
        for content in (b"1" * 9, b"2" * 9, b"3" * 9, b"1" * 9):
            await client.upload(content)

    assert len(service.stored) == 4


async def test_a_file_cache_is_shared(service: FakeWeChat, tmp_path: Path) -> None:
    """Another process, here another client, knows what this one uploaded."""
    path = tmp_path / "uploads.sqlite"
    for _ in range(2):
        async with client_of(
            service, upload_cache=FileUploadCache(path), account="a"
        ) as client:
            await client.upload(JPEG)

    assert len(service.stored) == 1
