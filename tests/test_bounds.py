"""How many transfers run at once, and how long they may take and wait."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest

from tests.fakes import JPEG, SECRET, TOKEN, FakeWeChat, client_of, error, media
from wxmedia_async import AppToken, RetryPolicy, ServerBusy, TransferTimeout


@pytest.mark.parametrize("slots", [1, 7])
async def test_bound(slots: int) -> None:
    """However many transfers are started, only so many are in flight, over all calls."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, max_concurrency=slots) as client:
        child = client.with_options(deadline=9.0)
        async with anyio.create_task_group() as running:
            for _ in range(20):
                running.start_soon(client.upload, JPEG)
                running.start_soon(child.read, "ID")
            await anyio.wait_all_tasks_blocked()
            assert service.in_flight == slots
            assert service.gate is not None
            service.gate.set()

    assert service.peak == slots
    assert len(service.requests) == 40


async def test_one_slot_makes_progress(tmp_path: Path) -> None:
    """With one slot a batch gets through retries, a link and a renewal in between."""
    service = FakeWeChat({f"ID{n}": JPEG for n in range(10)})
    link = httpx.Response(200, text='{"video_url":"http://203.205.137.89/a"}')
    ids = list(service.stored)

    def expire(request: httpx.Request) -> httpx.Response:
        service.valid = "somebody fetched another one"
        return error(-1)

    async with client_of(
        service, token=AppToken("wx1", SECRET), max_concurrency=1
    ) as client:
        await client.token.get()  # type: ignore[union-attr]  # there is one
        service.answers = [link, media(JPEG), httpx.ReadError(""), expire]
        async with client.download_many(ids, tmp_path) as outcomes:
            done = [outcome.unwrap().media_id async for outcome in outcomes]

    assert sorted(done) == ids
    assert (service.tokens, service.peak) == (2, 1)


async def test_wait_for_a_slot_is_bounded() -> None:
    """Only an explicit httpx.Timeout.pool bounds the wait for a slot."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, max_concurrency=1, timeout=0.01) as client:
        brief = client.with_options(timeout=httpx.Timeout(9.0, pool=0.02))
        async with anyio.create_task_group() as running:
            running.start_soon(client.read, "ID")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TransferTimeout, match=r"no slot was free for 0\.02 s"):
                await brief.read("ID")
            running.start_soon(client.read, "ID")
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert len(service.requests) == 2


async def test_wait_for_a_slot_does_not_count() -> None:
    """Waiting for a slot takes nothing off the deadline."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())
    done = list[bytes]()

    async def read() -> None:
        done.append((await client.read("ID")).content)

    async with client_of(service, max_concurrency=1, deadline=0.05) as client:
        async with anyio.create_task_group() as running:
            running.start_soon(client.with_options(deadline=None).read, "ID")
            await anyio.wait_all_tasks_blocked()
            running.start_soon(read)
            await anyio.sleep(0.06)
            assert service.gate is not None
            service.gate.set()

    assert done == [JPEG]


async def test_deadline() -> None:
    """Fault 7: the deadline bounds one transfer with all its tries."""
    service = FakeWeChat(gate=anyio.Event())

    async with client_of(service, deadline=0.02) as client:
        with pytest.raises(TransferTimeout, match=r"deadline of 0\.02 s") as caught:
            await client.upload(JPEG)

    assert caught.value.attempts == 1
    assert service.in_flight == 0


async def test_wait_for_a_token_counts() -> None:
    """The time that a token takes counts toward the deadline."""
    service = FakeWeChat({"ID": JPEG})

    async def slow() -> str:
        await anyio.sleep_forever()
        return TOKEN

    async with client_of(service, token=slow, deadline=0.02) as client:
        with pytest.raises(TransferTimeout):
            await client.read("ID")

    assert service.requests == []


async def test_no_try_that_begins_after_the_deadline() -> None:
    """Where the next try would come too late, the last failure is raised at once."""
    service = FakeWeChat(answers=[error(-1)] * 9)
    patient = RetryPolicy(initial=1e9, maximum=1e9)

    async with client_of(service, retry=patient, deadline=1.0) as client:
        with pytest.raises(ServerBusy) as caught:
            await client.read("ID")

    assert caught.value.attempts == 1


class Turnstile:
    """A limiter of the user's, which counts who comes through."""

    def __init__(self) -> None:
        self.passed = 0

    async def acquire(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.passed += 1


async def test_rate_limiter() -> None:
    """A limiter of the user's is asked before each exchange, each try included."""
    service, turnstile = FakeWeChat({"ID": JPEG}, answers=[error(-1)]), Turnstile()

    async with client_of(service, rate=turnstile) as client:
        await client.read("ID")
        await client.upload(JPEG)

    assert turnstile.passed == len(service.requests) == 3
