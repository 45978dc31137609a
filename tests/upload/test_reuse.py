"""The same bytes need not be uploaded twice."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, error
from wxmedia_async import (
    AppToken,
    CorpToken,
    FileUploadCache,
    MemoryUploadCache,
    RetryPolicy,
    ServerBusy,
    UploadCache,
    UploadedMedia,
)
from wxmedia_async._upload.reuse import account_of

MakeCache = Callable[[], UploadCache]


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
