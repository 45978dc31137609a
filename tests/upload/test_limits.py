"""Types, limits and sizes: what is refused, and when."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of
from tests.upload.sending import flow
from wxmedia_async import (
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    WECOM,
    Limit,
    MediaRejected,
    SourceChanged,
    TooLarge,
)


@pytest.mark.parametrize(
    ("platform", "type", "size", "code"),
    [
        (MINI_PROGRAM, "voice", 10, 40004),
        (MINI_PROGRAM, "file", 10, 40004),
        (OFFICIAL_ACCOUNT, "file", 10, 40004),
        (WECOM, "thumb", 10, 40005),
        (MINI_PROGRAM, "image", 0, 44001),
        (OFFICIAL_ACCOUNT, "thumb", 0, 44001),
        (WECOM, "file", 0, 44001),
        (WECOM, "file", 5, 40006),
    ],
)
async def test_rejected_before_any_request(
    platform: Any, type: str, size: int, code: int
) -> None:
    """Fault 22: an unknown type or too small a file gets the server's own code."""
    service = FakeWeChat()

    async with client_of(service, platform=platform) as client:
        with pytest.raises(MediaRejected) as caught:
            await client.upload(bytes(size), type)

    assert (caught.value.code, caught.value.attempts) == (code, 0)
    assert not caught.value.retryable
    assert service.requests == []


@pytest.mark.parametrize(
    ("platform", "type", "limit"),
    [
        (MINI_PROGRAM, "image", 10 * 1024**2),
        (OFFICIAL_ACCOUNT, "image", 10 * 1024**2),
        (OFFICIAL_ACCOUNT, "voice", 2 * 1024**2),
        (OFFICIAL_ACCOUNT, "video", 10 * 1024**2),
        (OFFICIAL_ACCOUNT, "thumb", 64 * 1024),
        (WECOM, "image", 10 * 1024**2),
        (WECOM, "voice", 2 * 1024**2),
        (WECOM, "video", 10 * 1024**2),
        (WECOM, "file", 20 * 1024**2),
    ],
)
async def test_too_large(platform: Any, type: str, limit: int) -> None:
    """Fault 22: one byte above the type's limit is refused before any request."""
    service = FakeWeChat()

    async with client_of(service, platform=platform) as client:
        with pytest.raises(TooLarge) as caught:
            await client.upload(bytes(limit + 1), type)

    assert (caught.value.limit, caught.value.size) == (limit, limit + 1)
    assert caught.value.attempts == 0
    assert service.requests == []


async def test_spooled_no_further_than_the_limit() -> None:
    """An endless flow is given up at the type's limit, before any request."""
    platform = attrs.evolve(MINI_PROGRAM, limits={"image": Limit(5000)})
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield bytes(1000)

    service = FakeWeChat()

    async with client_of(service, platform=platform) as client:
        with pytest.raises(TooLarge):
            await client.upload(endless())

    assert read == 6000
    assert service.requests == []


async def test_changed_limits() -> None:
    """Fault 22: limits can be changed, and without any the server decides."""
    service = FakeWeChat()
    larger = attrs.evolve(OFFICIAL_ACCOUNT, limits={"thumb": Limit(100_000)})
    unchecked = attrs.evolve(MINI_PROGRAM, limits={})

    async with client_of(service, platform=larger) as client:
        await client.upload(bytes(99_999), "thumb")
        with pytest.raises(MediaRejected):
            await client.upload(JPEG, "image")
    async with client_of(service, platform=unchecked) as client:
        uploaded = await client.upload(b"", "whatever")

    assert uploaded.type == "whatever"
    assert [len(content) for content in service.stored.values()] == [99_999, 0]


@pytest.mark.parametrize("size", [len(JPEG) - 1, len(JPEG) + 1])
async def test_wrong_size(size: int) -> None:
    """Fault 21: a size that is wrong is SourceChanged, before any request if known."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(SourceChanged):
            await client.upload(JPEG, size=size)

    assert service.requests == []


@pytest.mark.parametrize("size", [len(JPEG) - 1, len(JPEG) + 1])
async def test_wrong_size_of_a_flow(size: int) -> None:
    """Fault 21: a flow of another length is found out, and not tried again."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(SourceChanged) as caught:
            await client.upload(flow(), size=size)

    assert caught.value.attempts == 1
    assert service.stored == {}
    assert len(service.requests) == 1


async def test_negative_size() -> None:
    """A negative size is a ValueError, before any request."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(ValueError, match="negative"):
            await client.upload(JPEG, size=-1)

    assert service.requests == []
