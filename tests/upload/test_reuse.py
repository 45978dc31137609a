"""The same bytes need not be uploaded twice."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, error
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
    UploadCache,
    UploadedMedia,
)
from wxmedia_async._upload.reuse import account_of


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


def test_the_account_is_named_by_the_token() -> None:
    """AppToken and CorpToken name the account; for others it must be given."""
    assert account_of(AppToken("app", "s"), None) == "app"
    assert account_of(CorpToken("corp", "s"), None) == "corp"
    assert account_of(TOKEN, "mine") == "mine"
    with pytest.raises(ValueError, match="account="):
        client_of(FakeWeChat(), upload_cache=MemoryUploadCache())
