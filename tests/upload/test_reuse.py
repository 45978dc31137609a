"""The same bytes need not be uploaded twice."""

from __future__ import annotations

import asyncio
import errno
import io
import logging
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, error
from tests.sockets.server import Server, always, client_to, said
from wxmedia_async import (
    OFFICIAL_ACCOUNT,
    WECOM,
    AppToken,
    CorpToken,
    FileUploadCache,
    MediaClient,
    MemoryUploadCache,
    RetryPolicy,
    ServerBusy,
    SourceChanged,
    TransferTimeout,
    UploadCache,
    UploadedMedia,
)
from wxmedia_async._sources.plain_file import pread
from wxmedia_async._upload.reuse import account_of
from wxmedia_async.transport._waiting import supported

MakeCache = Callable[[], UploadCache]

PREAD = "wxmedia_async._upload.reuse.pread"


@pytest.fixture(params=["memory", "file"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> UploadCache:
    if request.param == "memory":
        return MemoryUploadCache()
    return FileUploadCache(tmp_path / "uploads.sqlite")


@pytest.fixture
def service() -> FakeWeChat:
    return FakeWeChat(created_at=int(datetime.now(UTC).timestamp()))


def sources(tmp_path: Path) -> list[Any]:
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    return [path, JPEG, bytearray(JPEG), io.BytesIO(JPEG)]


async def test_equal_bytes_are_uploaded_once(
    service: FakeWeChat, cache: UploadCache, tmp_path: Path
) -> None:
    """Whatever kind of source they come from, equal bytes give the known id."""
    async with client_of(service, upload_cache=cache, account="a") as client:
        ids = {(await client.upload(source)).media_id for source in sources(tmp_path)}

    assert ids == {"m0"}
    assert len(service.stored) == 1


async def test_bytes_are_hashed_a_piece_at_a_time(
    service: FakeWeChat,
    cache: UploadCache,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Sources that are longer than a piece are known again as well."""
    monkeypatch.setattr("wxmedia_async._upload.reuse._BATCH", 100)

    async with client_of(service, upload_cache=cache, account="a") as client:
        for source in [*sources(tmp_path), JPEG[:-1], JPEG[:-1]]:
            await client.upload(source)

    assert [*service.stored.values()] == [JPEG, JPEG[:-1]]


async def test_equal_sources_at_once_cost_one_upload(
    service: FakeWeChat, cache: UploadCache
) -> None:
    """Of many equal sources at once one is sent, and the others are skipped."""
    async with client_of(service, upload_cache=cache, account="a") as client:
        async with client.upload_many([JPEG] * 30) as outcomes:
            found = [outcome async for outcome in outcomes]

    assert len(service.stored) == 1
    assert sorted(outcome.skipped for outcome in found) == [False] + [True] * 29
    assert {outcome.unwrap().media_id for outcome in found} == {"m0"}


async def test_other_types_and_accounts_are_others(
    service: FakeWeChat, cache: UploadCache
) -> None:
    """A media_id belongs to one account and one type."""
    for account in ("a", "b"):
        async with client_of(service, upload_cache=cache, account=account) as client:
            await client.upload(JPEG)

    assert len(service.stored) == 2


@pytest.mark.parametrize(
    ("left", "uploads"),
    [
        pytest.param(timedelta(minutes=59), 1, id="too-short"),
        pytest.param(timedelta(minutes=61), 0, id="long-enough"),
    ],
)
async def test_an_id_that_ends_soon_is_not_handed_out(
    service: FakeWeChat, left: timedelta, uploads: int
) -> None:
    """Within an hour of its end a known media_id is replaced."""
    cache = MemoryUploadCache()
    async with client_of(service, upload_cache=cache, account="a") as client:
        known = await client.upload(JPEG)
        key = next(iter(cache._kept))
        ends = datetime.now(UTC) + left
        await cache.save(
            key, UploadedMedia(known.media_id, "image", known.created_at, ends)
        )
        await client.upload(JPEG)

    assert len(service.stored) == 1 + uploads


async def test_a_failed_upload_is_not_remembered(
    service: FakeWeChat, cache: UploadCache
) -> None:
    """A failure is nobody's media_id: the next one is sent."""
    service.answers = [error(-1)]
    async with client_of(
        service, upload_cache=cache, account="a", retry=RetryPolicy(attempts=1)
    ) as client:
        with pytest.raises(ServerBusy):
            await client.upload(JPEG)
        await client.upload(JPEG)

    assert len(service.stored) == 1


async def test_other_types_are_others(service: FakeWeChat, cache: UploadCache) -> None:
    """The same bytes as another type are another media."""
    async with client_of(
        service, upload_cache=cache, account="a", platform=OFFICIAL_ACCOUNT
    ) as client:
        for type in ("image", "thumb", "image"):
            await client.upload(JPEG, type)

    assert len(service.stored) == 2


async def test_another_service_is_another(cache: UploadCache) -> None:
    """What one service made is not known to the next, and is never given there."""
    found = []
    for base_url in ("http://one.test", "http://two.test", "http://one.test"):
        service = FakeWeChat(created_at=int(datetime.now(UTC).timestamp()))
        service.stored = {base_url: b""}
        async with MediaClient(
            TOKEN,
            base_url=base_url,
            http=httpx.AsyncClient(transport=service),
            upload_cache=cache,
            account="a",
        ) as client:
            await client.upload(JPEG)
        found.append(len(service.stored) - 1)

    assert found == [1, 1, 0]


async def test_another_name_is_another_where_people_see_it(
    service: FakeWeChat, cache: UploadCache
) -> None:
    """In WeCom a media bears the name that was asked for; elsewhere nobody sees it."""
    for platform in (WECOM, OFFICIAL_ACCOUNT):
        async with client_of(
            service, upload_cache=cache, account=platform.name, platform=platform
        ) as client:
            for name in ("for Anna.jpg", "for Bert.jpg", "for Anna.jpg"):
                await client.upload(JPEG, filename=name)

    assert list(service.names.values()) == [
        *("for Anna.jpg", "for Bert.jpg"),
        "for Anna.jpg",
    ]


async def test_a_child_of_another_account_is_another(
    service: FakeWeChat, cache: UploadCache
) -> None:
    """Parent and child share the cache, and never a media_id of another account."""
    async with client_of(
        service, upload_cache=cache, token=AppToken("one", "s")
    ) as client:
        child = client.with_options(token=AppToken("two", "s"))
        for one in (client, child, child, client):
            await one.upload(JPEG)

    assert len(service.stored) == 2


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


async def test_what_is_forgotten_is_uploaded_again(
    service: FakeWeChat, cache: MemoryUploadCache | FileUploadCache
) -> None:
    """An id that WeChat refuses later can be dropped, whatever its keys."""
    async with client_of(service, upload_cache=cache, account="a") as client:
        first = await client.upload(JPEG)
        other = await client.upload(b"other")
        await cache.forget(first.media_id)
        await cache.forget("never seen")
        again = await client.upload(JPEG)
        same = await client.upload(b"other")

    assert again.media_id != first.media_id
    assert same == other


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


async def test_what_is_read_again_for_the_cache_is_read_once(
    service: FakeWeChat,
) -> None:
    """It is hashed before it is sent and while it is sent, and not once more."""

    class Counted:
        size = len(JPEG)
        replayable = True
        readings = 0

        async def __aiter__(self) -> AsyncIterator[bytes]:
            self.readings += 1
            yield JPEG

    source = Counted()
    async with client_of(
        service, upload_cache=MemoryUploadCache(), account="a"
    ) as client:
        first = await client.upload(source)
        again = await client.upload(source)

    assert again == first
    assert source.readings == 3


async def test_what_cannot_be_read_twice_is_sent(
    service: FakeWeChat, cache: UploadCache
) -> None:
    """A one-shot source would be used up by hashing, so it is not looked up."""

    async def once() -> AsyncIterator[bytes]:
        yield JPEG

    async with client_of(service, upload_cache=cache, account="a") as client:
        for _ in range(2):
            await client.upload(once(), size=len(JPEG))

    assert list(service.stored.values()) == [JPEG, JPEG]


async def test_a_cancelled_leader_lets_another_one_upload(
    service: FakeWeChat, cache: UploadCache
) -> None:
    """Whoever waits for a cancelled upload of the same bytes sends them."""
    service.gate = anyio.Event()
    done: list[UploadedMedia] = []
    async with client_of(service, upload_cache=cache, account="a") as client:

        async def upload(scope: anyio.CancelScope) -> None:
            with scope:
                done.append(await client.upload(JPEG))

        leader = anyio.CancelScope()
        async with anyio.create_task_group() as uploads:
            uploads.start_soon(upload, leader)
            while not service.requests:
                await anyio.wait_all_tasks_blocked()
            uploads.start_soon(upload, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            leader.cancel()
            service.gate.set()

    assert [media.media_id for media in done] == ["m0"]


async def test_a_failed_leader_harms_nobody(service: FakeWeChat) -> None:
    """Whoever waited for an upload that failed goes on alone, all at the same time."""
    service.gate = anyio.Event()
    service.answers = [error(-1)]
    cache = MemoryUploadCache()
    done: list[str] = []
    async with client_of(
        service, upload_cache=cache, account="a", retry=RetryPolicy(attempts=1)
    ) as client:

        async def lead() -> None:
            with pytest.raises(ServerBusy):
                await client.upload(JPEG)
            service.gate = anyio.Event()

        async def follow() -> None:
            done.append((await client.upload(JPEG)).media_id)

        async with anyio.create_task_group() as uploads:
            uploads.start_soon(lead)
            while not service.requests:
                await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                uploads.start_soon(follow)
            await anyio.wait_all_tasks_blocked()
            assert len(service.requests) == 1
            service.gate.set()
            with anyio.fail_after(10):
                while len(service.requests) < 4:
                    await anyio.wait_all_tasks_blocked()
            service.gate.set()

    assert service.in_flight == 0
    assert sorted(done) == ["m0", "m1", "m2"]


async def test_of_many_that_waited_for_a_cancelled_leader_one_leads(
    service: FakeWeChat,
) -> None:
    """The others wait on, for the one that took its place."""
    service.gate = anyio.Event()
    leader = anyio.CancelScope()
    done: list[str] = []
    async with client_of(
        service, upload_cache=MemoryUploadCache(), account="a"
    ) as client:

        async def upload(scope: anyio.CancelScope) -> None:
            with scope:
                done.append((await client.upload(JPEG)).media_id)

        async with anyio.create_task_group() as uploads:
            uploads.start_soon(upload, leader)
            while not service.requests:
                await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                uploads.start_soon(upload, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            leader.cancel()
            await anyio.wait_all_tasks_blocked()
            service.gate.set()

    assert done == ["m0"] * 3
    assert len(service.requests) == 2


async def test_the_wait_for_an_equal_upload_is_under_the_deadline(
    service: FakeWeChat,
) -> None:
    """Somebody else's slow upload holds nobody up for longer than they allow."""
    service.gate = anyio.Event()
    async with client_of(
        service, upload_cache=MemoryUploadCache(), account="a", deadline=None
    ) as client:
        hurried = client.with_options(deadline=0.05)
        async with anyio.create_task_group() as uploads:
            uploads.start_soon(client.upload, JPEG)
            while not service.requests:
                await anyio.wait_all_tasks_blocked()
            with pytest.raises(TransferTimeout):
                await hurried.upload(JPEG)
            service.gate.set()

    assert service.stored == {"m0": JPEG}


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


def test_the_account_is_named_by_the_token() -> None:
    """AppToken and CorpToken name the account; for others it must be given."""
    assert account_of(AppToken("app", "s"), None) == "app"
    assert account_of(CorpToken("corp", "s"), None) == "corp"
    assert account_of(TOKEN, "mine") == "mine"
    with pytest.raises(ValueError, match="account="):
        client_of(FakeWeChat(), upload_cache=MemoryUploadCache())


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
