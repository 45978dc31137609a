"""Downloads to object storage: what a Destination is given, and must do."""

from __future__ import annotations

from collections.abc import AsyncIterable

import pytest

from tests.destinations import Bucket, Failing
from tests.download.replies import cut
from tests.fakes import JPEG, FakeWeChat, client_of
from wxmedia_async import MediaNotFound, Progress, SavedMedia


async def test_destination() -> None:
    """A Destination gets a safe name, the bytes, and what WeChat says of them."""
    service, bucket = FakeWeChat({"ID": JPEG}), Bucket()

    async with client_of(service) as client:
        saved = await client.download("ID", bucket)

    assert saved == SavedMedia(
        "ID",
        None,
        "s3://bucket/ID.jpg",
        len(JPEG),
        "image/jpeg",
        "ID.jpg",
        True,
    )
    assert bucket.stored == {"ID.jpg": JPEG}
    assert bucket.told == [("image/jpeg", len(JPEG))]


async def test_destination_of_a_cut_body() -> None:
    """A Destination sees the failure of a body, and is given the next try whole."""
    service, bucket = FakeWeChat({"ID": JPEG}, answers=[cut()]), Bucket()
    told = list[Progress]()

    async with client_of(service) as client:
        await client.download("ID", bucket, progress=told.append)

    assert bucket.stored == {"ID.jpg": JPEG}
    assert [each.done for each in told] == [1000, 0, 1000, 2000, len(JPEG)]


async def test_destination_is_given_no_error() -> None:
    """Fault 14: an error that WeChat sends never reaches a Destination."""
    service, bucket = FakeWeChat(), Bucket()

    async with client_of(service) as client:
        with pytest.raises(MediaNotFound):
            await client.download("ID", bucket)

    assert bucket.stored == {}


class Lazy(Bucket):
    """Says that it stored what it did not read."""

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        async for _ in body:
            break
        return "nowhere"


async def test_destination_that_fails() -> None:
    """What a Destination raises comes out as it is, once, and frees the slot."""
    service = FakeWeChat({"ID": JPEG})
    broken = Failing(LookupError("no such bucket"), after=False)

    async with client_of(service, max_concurrency=1) as client:
        with pytest.raises(LookupError, match="no such bucket"):
            await client.download("ID", broken)
        await client.read("ID")

    assert len(service.requests) == 2
    assert service.in_flight == 0


async def test_destination_that_stops_half_way() -> None:
    """A Destination that did not read all of the body has not stored the media."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(RuntimeError, match="did not read the body"):
            await client.download("ID", Lazy())

    assert service.in_flight == 0
