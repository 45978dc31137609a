"""Code of the user's that uses the client which runs it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

import anyio
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of
from wxmedia_async import MediaClient


class Copy:
    """Uploads what it is given, with the client that it is given."""

    def __init__(self, client: MediaClient, meeting: int = 1) -> None:
        self._client = client
        self._missing = meeting
        self._met = anyio.Event()

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        content = b"".join([chunk async for chunk in body])
        self._missing -= 1
        if self._missing <= 0:
            self._met.set()
        await self._met.wait()
        return (await self._client.upload(content)).media_id


async def test_a_destination_may_use_a_free_slot() -> None:
    """A destination that uploads with the same client works where there is a slot."""
    async with client_of(FakeWeChat({"ID": JPEG}), max_concurrency=2) as client:
        with anyio.fail_after(5):
            saved = await client.download("ID", Copy(client))

    assert saved.location


@pytest.mark.parametrize("slots", [1, 3])
async def test_the_last_slot_is_never_waited_for(slots: int) -> None:
    """Where every slot is held by such a download, one of them is refused at once."""
    ids = [f"ID{number}" for number in range(slots)]
    service = FakeWeChat(dict.fromkeys(ids, JPEG))

    async with client_of(service, max_concurrency=slots, deadline=None) as client:
        copy = Copy(client, meeting=slots)
        with anyio.fail_after(5):
            async with client.download_many(ids, copy) as outcomes:
                errors = [outcome.error async for outcome in outcomes]

    refused = [error for error in errors if error is not None]
    assert [type(error) for error in refused] == [RuntimeError]
    assert "max_concurrency" in str(refused[0])


async def test_child_is_the_same_client() -> None:
    """The bound is shared with children, and so is the circle."""
    async with client_of(FakeWeChat({"ID": JPEG}), max_concurrency=1) as client:
        child = client.with_options(timeout=5.0)
        with anyio.fail_after(5), pytest.raises(RuntimeError, match="slot"):
            await client.download("ID", Copy(child))


async def test_a_source_that_streams_from_the_same_client() -> None:
    """A relay that keeps the only slot for its source is refused at once."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, max_concurrency=1, deadline=None) as client:

        async def relayed() -> AsyncIterator[bytes]:
            async with client.stream("ID") as media:
                async for chunk in media:
                    yield chunk

        with anyio.fail_after(5), pytest.raises(RuntimeError, match="slot"):
            await client.upload(relayed(), size=len(JPEG))
        content = await client.read("ID")

    assert content.content == JPEG


async def test_a_source_that_reads_before() -> None:
    """A source that is done with its slot before it gives bytes needs only one."""
    async with client_of(FakeWeChat({"ID": JPEG}), max_concurrency=1) as client:

        async def read_before() -> AsyncIterator[bytes]:
            yield (await client.read("ID")).content

        with anyio.fail_after(5):
            uploaded = await client.upload(read_before(), size=len(JPEG))

    assert uploaded.media_id


async def test_siblings_are_waited_for() -> None:
    """Who waits for a transfer that will end by itself is not refused."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, max_concurrency=2) as client:

        class Twice:
            async def put(
                self,
                name: str,
                body: AsyncIterable[bytes],
                *,
                content_type: str | None,
                size: int | None,
            ) -> str:
                content = b"".join([chunk async for chunk in body])
                async with anyio.create_task_group() as uploads:
                    uploads.start_soon(client.upload, content)
                    uploads.start_soon(client.upload, content)
                return name

        with anyio.fail_after(5):
            saved = await client.download("ID", Twice())

    assert saved.location
