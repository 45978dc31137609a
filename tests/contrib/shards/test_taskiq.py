"""The task, its worker and its submitter, in one process and without a server."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest
from redis.asyncio import Redis
from taskiq import (
    AckableMessage,
    BrokerMessage,
    InMemoryBroker,
    TaskiqDepends,
    TaskiqResult,
)
from taskiq.brokers.inmemory_broker import InmemoryResultBackend
from taskiq.result_backends.dummy import DummyResultBackend

from tests.contrib.shards.records import MemoryRecord
from tests.fakes import BASE, JPEG, FakeWeChat, client_of, error, media
from wxmedia_async import AppToken, MediaClient
from wxmedia_async.contrib.shards import Record, RedisRecord, shards
from wxmedia_async.contrib.taskiq import (
    Account,
    Archive,
    ArchiveTask,
    Shard,
    archive_of,
    archive_task,
    submit,
)

IDS = [f"id{number}" for number in range(20)]
OpenArchive = Callable[[], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return "asyncio", {"use_uvloop": request.param == "uvloop"}  # as taskiq is


@attrs.define(eq=False)
class Setting:
    """A service, a worker's archive of it, and how often it was entered and left."""

    to: Path
    service: FakeWeChat = attrs.Factory(
        lambda: FakeWeChat(stored=dict.fromkeys(IDS, JPEG))
    )
    record: MemoryRecord = attrs.Factory(MemoryRecord)
    shared: RedisRecord | None = None
    batches: list[str] = attrs.Factory(list)
    entered: int = 0
    left: int = 0

    @asynccontextmanager
    async def open_archive(self) -> AsyncGenerator[Archive]:
        self.entered += 1
        async with client_of(self.service, max_concurrency=4) as client:

            def account(name: str) -> Account:
                return {"": Account(client, self.to)}[name]

            yield Archive(account, self._record)
        self.left += 1

    def _record(self, batch: str) -> Record:
        self.batches.append(batch)
        return self.shared or self.record


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(tmp_path / "in")


@asynccontextmanager
async def started(
    broker: InMemoryBroker, open_archive: OpenArchive, **options: Any
) -> AsyncGenerator[ArchiveTask]:
    task = archive_task(broker, open_archive, **options)
    await broker.startup()
    try:
        yield task
    finally:
        await broker.shutdown()


async def test_a_list_is_archived_without_a_server(setting: Setting) -> None:
    """taskiq's broker in memory runs the shards; the worker's state ends with it."""
    async with started(InMemoryBroker(), setting.open_archive) as task:
        counts = await submit(task, "b", map(Shard, shards(IDS, 3)), poll=0.001)
        again = await submit(task, "b", map(Shard, shards(IDS, 3)), poll=0.001)

    assert counts == Counter(done=20)
    assert again == Counter(skipped=20)
    assert set(setting.record.noted) == set(IDS)
    assert len(list(setting.to.iterdir())) == 20
    assert set(setting.batches) == {"b"}
    assert (setting.entered, setting.left) == (1, 1)


async def test_so_many_are_queued(setting: Setting) -> None:
    """The list is read no further than the bound, until a shard comes to its end."""
    setting.service.gate = anyio.Event()
    taken = 0

    def work() -> Iterator[Shard]:
        nonlocal taken
        for shard in shards(IDS, 2):
            taken += 1
            yield Shard(shard)

    looks: list[int] = []

    def look(_: Counter[str]) -> None:
        looks.append(taken)
        if len(looks) == 5:
            assert setting.service.gate is not None
            setting.service.gate.set()

    async with started(InMemoryBroker(), setting.open_archive) as task:
        counts = await submit(task, "b", work(), most=3, poll=0.001, progress=look)

    assert looks[:5] == [3] * 5
    assert taken == 10
    assert counts == Counter(done=20)


async def test_progress_without_a_record(setting: Setting) -> None:
    """The counts of the shards that came to an end only grow, up to all of them."""
    seen: list[Counter[str]] = []
    async with started(InMemoryBroker(), setting.open_archive) as task:
        await submit(
            task,
            "b",
            map(Shard, shards(IDS, 5)),
            most=1,
            poll=0.001,
            progress=seen.append,
        )

    totals = [counts.total() for counts in seen]
    assert totals == sorted(totals)
    assert set(totals) == {0, 5, 10, 15, 20}


async def test_an_account_that_is_not_known(setting: Setting) -> None:
    """Its shard fails with what the worker's function raised; others go on."""
    work = [Shard(tuple(IDS[:4]), "nobody"), Shard(tuple(IDS[4:]))]
    async with started(InMemoryBroker(), setting.open_archive) as task:
        counts = await submit(task, "b", work, poll=0.001)

    assert counts == Counter(done=16, failed=4)


async def test_a_record_out_of_reach_in_memory(setting: Setting) -> None:
    """Where nothing is delivered again, the shard fails, before any request."""
    setting.record.unreachable = ConnectionError("no record")
    async with started(InMemoryBroker(), setting.open_archive) as task:
        counts = await submit(task, "b", map(Shard, shards(IDS)), poll=0.001)

    assert counts == Counter(failed=20)
    assert setting.service.requests == []


async def test_a_task_of_ones_own(setting: Setting) -> None:
    """Another task of the broker may ask for the worker's archive."""
    broker = InMemoryBroker(await_inplace=True)

    async def look(media_id: str, archive: Archive = TaskiqDepends(archive_of)) -> int:
        return len((await archive.account("").client.read(media_id)).content)

    async with started(broker, setting.open_archive):
        sent = await broker.register_task(look, "look").kiq("id1")
        result = await sent.get_result()

    assert result.return_value == len(JPEG)


def test_one_archive_for_a_broker(setting: Setting) -> None:
    """A second one on the same broker would share its state, and is refused."""
    broker = InMemoryBroker()
    archive_task(broker, setting.open_archive)

    with pytest.raises(ValueError, match="already"):
        archive_task(broker, setting.open_archive, name="other")


async def test_arguments_of_submit(setting: Setting) -> None:
    """Nothing to wait for, nothing that may be queued, and a record of another batch."""
    broker = InMemoryBroker()
    task = archive_task(broker, setting.open_archive)

    with pytest.raises(ValueError, match="at least one"):
        await submit(task, "b", [], most=0)
    with pytest.raises(ValueError, match="is of 'other'"):
        await submit(task, "b", [], record=RedisRecord(Redis(), "other"))
    broker.with_result_backend(DummyResultBackend())
    with pytest.raises(ValueError, match="result backend"):
        await submit(task, "b", [])
    with pytest.raises(TypeError):
        Shard("an id")


class DeadWorkers(InMemoryBroker):
    """Delivers the first message, as if its worker had died, when another one comes."""

    left: BrokerMessage | None = None
    kicked = 0

    async def kick(self, message: BrokerMessage) -> None:
        self.kicked += 1
        if self.kicked == 1:
            self.left = message
            return
        await super().kick(message)
        if self.left is not None:
            await super().kick(self.left)
            self.left = None


async def test_what_a_dead_worker_left_is_looked_for(setting: Setting) -> None:
    """Without any result, a message is queued, since only that makes workers look."""
    broker = DeadWorkers()
    async with started(broker, setting.open_archive) as task:
        with anyio.fail_after(20):
            counts = await submit(
                task, "b", [Shard(tuple(IDS))], poll=0.001, nudge=0.01
            )

    assert counts == Counter(done=20)
    assert broker.kicked >= 2


async def test_workers_are_woken_ever_less_often(setting: Setting) -> None:
    """Long shards do not fill the queue with what is to wake workers."""
    setting.service.gate = anyio.Event()
    broker = DeadWorkers()
    broker.kicked = 1
    async with started(broker, setting.open_archive) as task:
        with anyio.move_on_after(0.5):
            await submit(task, "b", [Shard(tuple(IDS))], poll=0.001, nudge=0.02)
        setting.service.gate.set()

    # After 20, 60, 140 and 300 ms, and less often on a slow machine.
    assert 2 < broker.kicked <= 2 + 4


# With a record in Redis.


class LostResults(InmemoryResultBackend[Any]):
    """Loses all results."""

    async def set_result(self, task_id: str, result: TaskiqResult[Any]) -> None:
        return


async def test_results_that_went_astray(setting: Setting, redis: Any) -> None:
    """A shard whose ids are all noted is over, with or without a result."""
    del setting.service.stored["id7"]
    setting.shared = RedisRecord(redis, "b")
    broker = InMemoryBroker()
    broker.result_backend = LostResults()
    async with started(broker, setting.open_archive) as task:
        with anyio.fail_after(20):
            counts = await submit(
                task,
                "b",
                map(Shard, shards(IDS, 5)),
                record=setting.shared,
                poll=0.001,
                nudge=0.01,
            )

    assert counts == Counter(skipped=19, failed=1)
    assert await setting.shared.counts() == Counter(done=19, failed=1)


async def test_what_is_noted_is_not_queued(setting: Setting, redis: Any) -> None:
    """Another run queues only shards with ids that are missing, and counts all."""
    setting.shared = record = RedisRecord(redis, "b")
    broker = DeadWorkers()
    broker.kicked = 1
    seen: list[Counter[str]] = []
    async with started(broker, setting.open_archive) as task:
        await submit(task, "b", [Shard(tuple(IDS[:10]))], record=record, poll=0.001)
        counts = await submit(
            task,
            "b",
            map(Shard, shards(IDS, 5)),
            record=record,
            poll=0.001,
            progress=seen.append,
        )

    assert counts == Counter(skipped=10, done=10)
    assert broker.kicked == 1 + 1 + 2
    assert 10 <= seen[0].total() <= seen[-1].total() == 20


# Acknowledging: a broker that delivers what the test says.


class Results(InmemoryResultBackend[Any]):
    """Results that can be refused."""

    broken = False

    async def set_result(self, task_id: str, result: TaskiqResult[Any]) -> None:
        if self.broken:
            raise ConnectionError("no results")
        await super().set_result(task_id, result)


class Delivering(InMemoryBroker):
    """Keeps messages until they are delivered, and counts what is acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: deque[BrokerMessage] = deque()
        self.acked: list[str] = []
        self.result_backend: Results = Results()

    async def kick(self, message: BrokerMessage) -> None:
        self.queue.append(message)

    async def deliver(self) -> str:
        message = self.queue.popleft()

        async def ack() -> None:
            self.acked.append(message.task_id)

        await self.receiver.callback(AckableMessage(data=message.message, ack=ack))
        return message.task_id


async def test_acknowledged_when_it_is_saved(setting: Setting) -> None:
    """A shard that came to its end is acknowledged after its result was saved."""
    broker = Delivering()
    async with started(broker, setting.open_archive) as task:
        await task.kiq(IDS, "b", "")
        task_id = await broker.deliver()

    assert broker.acked == [task_id]
    result = await broker.result_backend.get_result(task_id)
    assert result.return_value == Counter(done=20)


async def test_not_acknowledged_when_it_is_not_saved(setting: Setting) -> None:
    """A result that cannot be saved leaves the shard in the queue; a later run is."""
    broker = Delivering()
    async with started(broker, setting.open_archive) as task:
        await task.kiq(IDS, "b", "")
        message = broker.queue[0]
        broker.result_backend.broken = True
        await broker.deliver()
        refused = list(broker.acked)
        broker.result_backend.broken = False
        broker.queue.append(message)
        await broker.deliver()

    assert refused == []
    assert broker.acked == [message.task_id]
    assert len(setting.service.requests) == 20


@pytest.mark.parametrize("where", ["unreachable", "full"])
async def test_not_acknowledged_without_a_record(where: str, setting: Setting) -> None:
    """A shard that lost its record has no result, and is delivered again."""
    broker = Delivering()
    setattr(setting.record, where, ConnectionError("no record"))
    async with started(broker, setting.open_archive) as task:
        await task.kiq(IDS, "b", "")
        message = broker.queue[0]
        await broker.deliver()
        ready = await broker.result_backend.is_result_ready(message.task_id)
        setting.record.unreachable = setting.record.full = None
        broker.queue.append(message)
        await broker.deliver()

    assert not ready
    assert broker.acked == [message.task_id]
    assert set(setting.record.noted) == set(IDS)


async def test_acknowledged_for_an_account_that_is_not_known(setting: Setting) -> None:
    """What would fail each time is a result, and not delivered again."""
    broker = Delivering()
    async with started(broker, setting.open_archive) as task:
        await task.kiq(IDS, "b", "nobody")
        task_id = await broker.deliver()

    assert broker.acked == [task_id]
    assert (await broker.result_backend.get_result(task_id)).is_err


async def test_a_worker_that_is_stopped_hands_back(setting: Setting) -> None:
    """The shard under way is queued anew at once, with what it has done noted."""
    broker = Delivering()
    setting.service.answers = [lambda request: media(JPEG)] * 6

    async def stop() -> None:
        while len(setting.record.noted) < 6 or setting.service.in_flight < 4:
            await anyio.lowlevel.checkpoint()
        await broker.shutdown()

    class Gating(MemoryRecord):
        async def note(self, outcome: Any, /) -> None:
            await super().note(outcome)
            if len(self.noted) == 6:
                setting.service.gate = anyio.Event()

    setting.record = Gating()
    task = archive_task(broker, setting.open_archive)
    await broker.startup()
    await task.kiq(IDS, "b", "")
    async with anyio.create_task_group() as group:
        group.start_soon(stop)
        task_id = await broker.deliver()

    assert setting.left == 1
    assert setting.service.in_flight == 0
    assert broker.acked == [task_id]
    assert not await broker.result_backend.is_result_ready(task_id)
    [again] = broker.queue
    assert again.task_id == task_id
    setting.service.gate = None
    await broker.startup()
    await broker.deliver()
    assert set(setting.record.noted) == set(IDS)
    assert (await broker.result_backend.get_result(task_id)).return_value["failed"] == 0
    await broker.shutdown()


async def test_a_worker_that_is_stopped_in_memory(setting: Setting) -> None:
    """Where nothing can be handed back, the shard fails; nothing hangs."""
    setting.service.gate = anyio.Event()
    broker = InMemoryBroker()
    task = archive_task(broker, setting.open_archive)
    await broker.startup()
    sent = await task.kiq(IDS, "b", "")
    while setting.service.in_flight < 4:
        await anyio.lowlevel.checkpoint()

    await broker.shutdown()

    assert (await sent.get_result()).is_err
    assert setting.service.in_flight == 0


# Thousands of accounts, on a small scale.

BROKEN = {f"wx{number:03}" for number in range(0, 200, 40)}
LIMITED = {f"wx{number:03}" for number in (7, 77, 177)}
ACCOUNTS = [f"wx{number:03}" for number in range(200)]


def many_accounts(request: httpx.Request) -> httpx.Response:
    """A service that refuses some secrets, and wants fewer calls of some accounts."""
    if request.url.path.endswith("stable_token"):
        appid = json.loads(request.content)["appid"]
        if appid in BROKEN:
            return error(40125, "invalid appsecret")
        return httpx.Response(
            200, json={"access_token": f"token-of-{appid}", "expires_in": 7200}
        )
    appid = request.url.params["access_token"].removeprefix("token-of-")
    if appid in LIMITED:
        return error(45011, "api minute-quota reach limit, must slower, retry next")
    return media(f"{appid} {request.url.params['media_id']}".encode())


@attrs.define(eq=False)
class ManyAccounts:
    """A worker's archive that makes clients by account, and counts them."""

    to: Path
    record: MemoryRecord = attrs.Factory(MemoryRecord)
    requests: Counter[str] = attrs.Factory(Counter)
    made: Counter[str] = attrs.Factory(Counter)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests[request.url.path] += 1
        return many_accounts(request)

    @asynccontextmanager
    async def open_archive(self) -> AsyncGenerator[Archive]:
        http = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        async with MediaClient(None, base_url=BASE, http=http, deadline=30.0) as client:

            def account(appid: str) -> Account:
                self.made[appid] += 1
                child = client.with_options(token=AppToken(appid, "secret"))
                return Account(child, self.to / appid)

            yield Archive(account, lambda _: self.record)
        await http.aclose()


async def test_200_accounts(tmp_path: Path) -> None:
    """Five with a wrong secret and three that are limited harm no other account."""
    many = ManyAccounts(tmp_path)
    work = [
        Shard((f"{appid}-{turn}", f"{appid}-{turn + 1}"), appid)
        for turn in (0, 2)
        for appid in ACCOUNTS
    ]
    async with started(InMemoryBroker(), many.open_archive, accounts=250) as task:
        with anyio.fail_after(20):
            counts = await submit(task, "b", work, poll=0.005)

    saved = {appid: list((tmp_path / appid).glob("wx*")) for appid in ACCOUNTS}
    assert {appid for appid, files in saved.items() if not files} == BROKEN | LIMITED
    assert {len(files) for files in saved.values()} == {0, 4}
    assert counts == Counter(done=4 * 192, failed=4 * 8)
    assert many.made == Counter(ACCOUNTS)
    # A wrong secret costs a call for each shard, a limit one for each slot at most.
    assert many.requests["/cgi-bin/stable_token"] == 195 + 2 * len(BROKEN)


async def test_accounts_are_kept_in_numbers(tmp_path: Path) -> None:
    """A worker keeps the accounts that it used last, and makes others anew."""
    many = ManyAccounts(tmp_path)
    order = ["wx001", "wx002", "wx001", "wx003", "wx001", "wx002"]
    async with started(InMemoryBroker(), many.open_archive, accounts=2) as task:
        work = [Shard((f"m{turn}",), appid) for turn, appid in enumerate(order)]
        counts = await submit(task, "b", work, most=1, poll=0.001)

    assert counts == Counter(done=6)
    assert many.made == Counter(wx001=1, wx002=2, wx003=1)
