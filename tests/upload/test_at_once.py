"""Equal bytes at once: one upload is sent, and the others wait for it."""

from __future__ import annotations

import anyio
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of, error
from wxmedia_async import (
    MemoryUploadCache,
    RetryPolicy,
    ServerBusy,
    TransferTimeout,
    UploadCache,
    UploadedMedia,
)


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
