"""Shards, without any engine."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import httpx
import pytest

from tests.contrib.shards.records import MemoryRecord, RefusalRecord
from tests.destinations import Bucket
from tests.fakes import JPEG, FakeWeChat, client_of, error, names_in
from wxmedia_async import (
    ClientClosed,
    MediaNotFound,
    Outcome,
    TooLarge,
)
from wxmedia_async.contrib.shards import Record, RecordOfRefusals, run_shard, shards

IDS = [f"id{number}" for number in range(10)]


def service_of(*ids: str) -> FakeWeChat:
    return FakeWeChat(stored=dict.fromkeys(ids or IDS, JPEG))


@pytest.mark.parametrize("count", [0, 1, 3, 4, 8, 9])
def test_shards_are_a_partition(count: int) -> None:
    """All ids come, in their order, in tuples of the size and one of the rest."""
    ids = [str(number) for number in range(count)]

    cut = list(shards(iter(ids), 4))

    assert list(itertools.chain(*cut)) == ids
    assert all(isinstance(shard, tuple) for shard in cut)
    assert [len(shard) for shard in cut[:-1]] == [4] * (len(cut) - 1)
    assert all(cut)


def test_shards_are_read_lazily() -> None:
    """A list without an end is read no further than its shards are asked for."""
    taken = itertools.count()

    def endless() -> Iterator[str]:
        while True:
            yield f"id{next(taken)}"

    cut = shards(endless(), 3)

    assert next(cut) == ("id0", "id1", "id2")
    assert next(taken) == 3


def test_shards_are_of_200_ids() -> None:
    """Unless asked for, a shard has 200 ids."""
    assert [len(shard) for shard in shards(map(str, range(401)))] == [200, 200, 1]


@pytest.mark.parametrize(
    ("ids", "size", "complaint"),
    [("an id", 2, TypeError), (["a"], 0, ValueError), (["a"], -1, ValueError)],
)
def test_arguments_of_shards(
    ids: list[str], size: int, complaint: type[Exception]
) -> None:
    """A single id, or a size below 1, is refused before anything is read."""
    with pytest.raises(complaint):
        shards(ids, size)


async def test_what_is_missing_is_done(tmp_path: Path) -> None:
    """A shard fetches what is not noted, notes it, and counts all of it."""
    service, record = service_of(), MemoryRecord()
    async with client_of(service) as client:
        await run_shard(client, IDS[:4], tmp_path, record)

        counts = await run_shard(client, IDS, tmp_path, record)

    assert counts == Counter(done=6, skipped=4, failed=0)
    assert len(service.requests) == 10
    assert set(record.noted) == set(IDS)
    assert names_in(tmp_path) == sorted(f"{item}.jpg" for item in IDS)


async def test_nothing_missing_sends_nothing(tmp_path: Path) -> None:
    """A shard that is noted costs no request."""
    service, record = service_of(), MemoryRecord()
    async with client_of(service) as client:
        await run_shard(client, IDS, tmp_path, record)

        assert await run_shard(client, IDS, tmp_path, record) == Counter(skipped=10)
        assert await run_shard(client, [], tmp_path, record) == Counter()

    assert len(service.requests) == 10


async def test_files_that_are_there_are_replaced(tmp_path: Path) -> None:
    """What a dead worker published but did not note is fetched again."""
    (tmp_path / "id0.jpg").write_bytes(b"of the dead one")
    async with client_of(service_of()) as client:
        counts = await run_shard(client, ["id0"], tmp_path, MemoryRecord())

    assert counts["done"] == 1
    assert (tmp_path / "id0.jpg").read_bytes() == JPEG


async def test_ids_that_come_again_are_passed_over(tmp_path: Path) -> None:
    """Of equal ids in a shard one is fetched; each is counted."""
    service, record = service_of(), MemoryRecord()
    async with client_of(service) as client:
        counts = await run_shard(client, iter(["id1", "id0", "id1"]), tmp_path, record)

    assert counts == Counter(done=2, skipped=1, failed=0)
    assert len(service.requests) == 2


async def test_only_what_is_settled_is_noted(tmp_path: Path) -> None:
    """A refusal for good is noted; a failure that may pass is not, and is retried."""
    service, record = service_of("id0"), MemoryRecord()
    async with client_of(service) as client:
        service.answers = [httpx.Response(200, text="a login page")]
        first = await run_shard(client, ["id0"], tmp_path, record)
        second = await run_shard(client, ["id0", "gone"], tmp_path, record)

    assert first == Counter(failed=1)
    assert second == Counter(done=1, failed=1)
    assert isinstance(record.noted["gone"].error, MediaNotFound)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (RefusalRecord, Counter(skipped=1, failed=1)),
        (MemoryRecord, Counter(skipped=2)),
    ],
)
async def test_a_remembered_refusal(
    kind: type[MemoryRecord], expected: Counter[str], tmp_path: Path
) -> None:
    """It is not sent again, and failed again, where the record can tell."""
    record, service = kind(), service_of("id0")
    async with client_of(service) as client:
        await run_shard(client, ["gone", "id0"], tmp_path, record)
        sent = len(service.requests)

        counts = await run_shard(client, ["gone", "id0"], tmp_path, record)

    assert counts == expected
    assert len(service.requests) == sent


@pytest.mark.parametrize(
    "failure", [ConnectionError("no record"), TooLarge(limit=1, size=2), KeyError("x")]
)
async def test_a_record_out_of_reach(failure: Exception, tmp_path: Path) -> None:
    """A record that cannot tell what is missing ends the shard before any request."""
    service = service_of()
    async with client_of(service) as client:
        with pytest.raises(type(failure)) as caught:
            await run_shard(client, IDS, tmp_path, MemoryRecord(unreachable=failure))

    assert caught.value is failure
    assert service.requests == []


async def test_a_record_that_cannot_note(tmp_path: Path) -> None:
    """Its failure ends the shard as it was raised, and nothing stays under way."""
    service = service_of()
    failure = ConnectionError("the record is gone")
    async with client_of(service, max_concurrency=2) as client:
        with pytest.raises(ConnectionError) as caught:
            await run_shard(client, IDS, tmp_path, MemoryRecord(full=failure))

    assert caught.value is failure
    assert service.in_flight == 0
    assert len(service.requests) < 10
    assert all(name.endswith(".jpg") for name in names_in(tmp_path))


async def test_a_doomed_shard_is_counted(tmp_path: Path) -> None:
    """Credentials that are wrong fail the rest without requests; nothing is noted."""
    service, record = service_of(), MemoryRecord()
    service.answers = [error(40013, "invalid appid")] * 2
    async with client_of(service, max_concurrency=1) as client:
        counts = await run_shard(client, IDS, tmp_path, record)

    assert counts == Counter(failed=10)
    assert len(service.requests) == 1
    assert record.noted == {}


async def test_a_client_that_is_closed_meanwhile(tmp_path: Path) -> None:
    """Its closing is no failure of the items: the shard is raised as not done."""
    service, record = service_of(), MemoryRecord()
    service.gate = anyio.Event()
    client = client_of(service, max_concurrency=2)

    async def close() -> None:
        while service.in_flight < 2:
            await anyio.lowlevel.checkpoint()
        await client.aclose()

    async with anyio.create_task_group() as group:
        group.start_soon(close)
        with pytest.raises(ClientClosed):
            await run_shard(client, IDS, tmp_path, record)

    assert record.noted == {}


async def test_a_cancelled_shard_goes_on_where_it_was(tmp_path: Path) -> None:
    """What was noted when a shard was cancelled is not fetched again; all is whole."""
    service = service_of()

    class Cancelling(MemoryRecord):
        async def note(self, outcome: Outcome[object, object], /) -> None:
            await super().note(outcome)
            if len(self.noted) == 4:
                scope.cancel()
                await anyio.lowlevel.checkpoint()

    record = Cancelling()
    async with client_of(service, max_concurrency=3) as client:
        with anyio.CancelScope() as scope:
            await run_shard(client, IDS, tmp_path, record)
        noted = set(record.noted)
        sent = len(service.requests)

        counts = await run_shard(client, IDS, tmp_path, record)

    assert len(noted) == 4
    assert counts == Counter(done=6, skipped=4, failed=0)
    assert len(service.requests) == sent + 6
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {JPEG}


async def test_a_manifest_is_the_record_of_one_host(tmp_path: Path) -> None:
    """A path as record is a manifest: what it has is skipped, or failed again."""
    service, to = service_of("id0", "id1"), tmp_path / "in"
    async with client_of(service) as client:
        first = await run_shard(client, ["id0", "gone"], to, tmp_path / "shard.jsonl")
        second = await run_shard(
            client, ["id0", "gone", "id1"], to, str(tmp_path / "shard.jsonl")
        )

    assert first == Counter(done=1, failed=1)
    assert second == Counter(done=1, skipped=1, failed=1)
    assert len(service.requests) == 3


async def test_a_manifest_out_of_reach(tmp_path: Path) -> None:
    """A manifest that cannot be opened ends the shard before any request."""
    service = service_of()
    async with client_of(service) as client:
        with pytest.raises(OSError, match="nowhere"):
            await run_shard(client, IDS, tmp_path, tmp_path / "nowhere" / "m.jsonl")

    assert service.requests == []


async def test_a_destination_takes_them(tmp_path: Path) -> None:
    """Media may go to a destination instead of a folder."""
    bucket = Bucket()
    async with client_of(service_of()) as client:
        counts = await run_shard(client, IDS, bucket, MemoryRecord())

    assert counts == Counter(done=10)
    assert set(bucket.stored.values()) == {JPEG}


async def test_a_single_id_is_no_shard(tmp_path: Path) -> None:
    """A str would be a shard of its letters."""
    async with client_of(service_of()) as client:
        with pytest.raises(TypeError):
            await run_shard(client, "id0", tmp_path, MemoryRecord())


def test_what_users_write_is_a_record() -> None:
    """The protocol asks for two methods."""
    record: Record = MemoryRecord()

    assert not isinstance(record, RecordOfRefusals)
