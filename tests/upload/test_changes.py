"""An upload is known by the bytes that were sent, whatever they were before."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of
from tests.sockets.server import Server, always, client_to, said
from wxmedia_async import MemoryUploadCache, SourceChanged, UploadCache, UploadedMedia
from wxmedia_async._sources.plain_file import pread
from wxmedia_async.transport._waiting import supported

PREAD = "wxmedia_async._upload.reuse.pread"


class Meddling(MemoryUploadCache):
    """Something happens after the hashing, and before the sending."""

    def __init__(self, happens: Callable[[], object]) -> None:
        super().__init__()
        self.happens = happens

    async def load(self, key: str) -> UploadedMedia | None:
        self.happens()
        return await super().load(key)


OTHER = JPEG[::-1]


def memory(_: Path) -> tuple[Any, Callable[[], object]]:
    source = bytearray(JPEG)

    def change() -> None:
        source[:] = OTHER

    return source, change


def open_file(_: Path) -> tuple[Any, Callable[[], object]]:
    source = io.BytesIO(JPEG)

    def change() -> None:
        source.seek(0)
        source.write(OTHER)
        source.seek(0)

    return source, change


def file(tmp_path: Path) -> tuple[Any, Callable[[], object]]:
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    before = path.stat()

    def change() -> None:
        path.write_bytes(OTHER)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return path, change


def flow(_: Path) -> tuple[Any, Callable[[], object]]:
    class Flow:
        size = len(JPEG)
        replayable = True
        content = JPEG

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield self.content

    source = Flow()

    def change() -> None:
        source.content = OTHER

    return source, change


@pytest.mark.parametrize("make", [memory, open_file, file, flow])
async def test_bytes_that_change_are_not_remembered(
    service: FakeWeChat,
    tmp_path: Path,
    make: Callable[[Path], tuple[Any, Callable[[], object]]],
) -> None:
    """What was sent is never known by the hash of what was there before it."""
    source, change = make(tmp_path)
    cache = Meddling(change)
    async with client_of(service, upload_cache=cache, account="a") as client:
        first = await client.upload(source)
        cache.happens = lambda: None
        second = await client.upload(JPEG)

    assert service.stored == {first.media_id: OTHER, second.media_id: JPEG}


async def test_a_file_that_was_sent_by_its_descriptor_is_looked_at(
    tmp_path: Path,
) -> None:
    """The same where the transport reads the file by itself, on a real socket."""
    path, change = file(tmp_path)
    cache = Meddling(change)
    now = int(datetime.now(UTC).timestamp())
    fresh = said(f'{{"type":"image","media_id":"m1","created_at":{now}}}')
    with Server(always(fresh)) as server:
        async with client_to(server, upload_cache=cache, account="a") as client:
            await client.upload(path)
            cache.happens = lambda: None
            for _ in range(2):
                await client.upload(JPEG)

    assert [JPEG in request.body for request in server.requests] == [False, True]


async def test_a_file_that_cannot_be_looked_at_again_is_not_remembered(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was sent by its descriptor: then it is done, and nobody knows with what."""
    if request.config.getoption("--httpx-stack") or not supported():
        pytest.skip("httpx's transport is given what was read")
    path, _ = file(tmp_path)

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    now = int(datetime.now(UTC).timestamp())
    fresh = said(f'{{"type":"image","media_id":"m1","created_at":{now}}}')
    with monkeypatch.context() as broken, Server(always(fresh)) as server:
        cache = Meddling(lambda: broken.setattr(PREAD, fail))
        async with client_to(server, upload_cache=cache, account="a") as client:
            first = await client.upload(path)
            broken.undo()
            cache.happens = lambda: None
            await client.upload(path)

    assert first.media_id == "m1"
    assert [JPEG in request.body for request in server.requests] == [True, True]


async def test_bytes_that_nobody_read_are_not_remembered(cache: UploadCache) -> None:
    """A service that answers before it has read them may have taken any."""

    class Hasty(httpx.AsyncBaseTransport):
        answered = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.answered += 1
            now = int(datetime.now(UTC).timestamp())
            told = {"type": "image", "media_id": "m", "created_at": now}
            return httpx.Response(200, json=told)

    hasty = Hasty()
    async with client_of(hasty, upload_cache=cache, account="a") as client:
        for _ in range(2):
            await client.upload(JPEG)

    assert hasty.answered == 2


async def test_a_file_that_shrinks_while_it_is_looked_at(
    service: FakeWeChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a source that changed, with a cache as well as without one."""
    path, _ = file(tmp_path)
    cache = MemoryUploadCache()

    def shrinking(fd: int, size: int, offset: int) -> bytes:
        os.truncate(path, len(JPEG) - 1)
        return pread(fd, size, offset)

    monkeypatch.setattr(PREAD, shrinking)
    async with client_of(service, upload_cache=cache, account="a") as client:
        with pytest.raises(SourceChanged):
            await client.upload(path)

    assert service.stored == {}
    assert not cache._kept
