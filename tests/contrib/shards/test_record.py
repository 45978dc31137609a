"""A record in Redis, on a real server."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as NoRedis

from tests.fakes import JPEG, FakeWeChat, client_of
from wxmedia_async import (
    Download,
    MediaNotFound,
    MediaRejected,
    Outcome,
    QuotaExceeded,
    RateLimited,
    TooLarge,
    TransferTimeout,
    Truncated,
)
from wxmedia_async.contrib.shards import RecordOfRefusals, RedisRecord, run_shard

NEVER = Retry(NoBackoff(), 0)
REFUSALS = [MediaNotFound(code=40007), MediaRejected(), TooLarge(limit=1, size=2)]
PASSING = [
    RateLimited(code=45011),
    QuotaExceeded(code=45009),
    TransferTimeout("late"),
    Truncated(expected=2, received=1),
    OSError(28, "no space"),
    KeyError("of a destination"),
]


def of(item: object, error: Exception | None = None) -> Outcome[object, object]:
    return Outcome(item, None, 0, None if error else object(), error)


async def test_what_is_noted_is_not_missing(redis: Any) -> None:
    """Ids are missing, in their order, until their outcome is noted."""
    record = RedisRecord(redis, "b")

    before = await record.missing(["c", "a", "b"])
    await record.note(of("a"))
    await record.note(of(Download("b", key=7)))

    assert before == ["c", "a", "b"]
    assert await record.missing(["c", "a", "b", "d"]) == ["c", "d"]
    assert await record.missing([]) == []
    assert await record.counts() == Counter(done=2, failed=0)


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
async def test_a_refusal_for_good_is_noted(redis: Any, error: Exception) -> None:
    """It is not missing any more, and is told apart from what is done."""
    record = RedisRecord(redis, "b")

    await record.note(of("done"))
    await record.note(of("gone", error))

    assert isinstance(record, RecordOfRefusals)
    assert await record.missing(["done", "gone"]) == []
    assert await record.refused(["new", "gone", "done"]) == ["gone"]
    assert await record.counts() == Counter(done=1, failed=1)


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
async def test_what_may_yet_succeed_is_not_noted(redis: Any, error: Exception) -> None:
    """It stays missing, for a later run."""
    record = RedisRecord(redis, "b")

    await record.note(of("a", error))

    assert await record.missing(["a"]) == ["a"]
    assert await record.counts() == Counter(done=0, failed=0)
    assert await redis.keys() == []


async def test_each_item_is_counted_once(redis: Any) -> None:
    """Two workers with the same item: a success stays, and wins over a refusal."""
    one, other = RedisRecord(redis, "b"), RedisRecord(redis, "b")

    async with anyio.create_task_group() as group:
        for _ in range(5):
            for record in (one, other):
                group.start_soon(record.note, of("a"))
                group.start_soon(record.note, of("b", MediaNotFound(code=40007)))
                group.start_soon(record.note, of("c", MediaNotFound(code=40007)))
    await one.note(of("b"))
    await other.note(of("b", MediaNotFound(code=40007)))
    await other.note(of("c", MediaRejected()))

    assert await one.counts() == Counter(done=2, failed=1)
    assert await one.refused(["a", "b", "c"]) == ["c"]


async def test_batches_are_apart(redis: Any) -> None:
    """What one batch has done another has not."""
    await RedisRecord(redis, "one").note(of("a"))

    assert await RedisRecord(redis, "other").missing(["a"]) == ["a"]
    assert await RedisRecord(redis, "other").counts() == Counter(done=0, failed=0)


async def test_the_server_forgets_in_time(redis: Any) -> None:
    """All keys of a batch end, so many seconds after its last outcome."""
    await RedisRecord(redis, "week").note(of("a"))
    await RedisRecord(redis, "short", ttl=9.5).note(of("a"))

    week, short = await redis.keys("*week*"), await redis.keys("*short*")
    assert len(week) == len(short) == 2
    assert {604_790_000 < await redis.pttl(key) <= 604_800_000 for key in week} == {
        True
    }
    assert {0 < await redis.pttl(key) <= 9_500 for key in short} == {True}


async def test_a_client_that_gives_text(redis: Any, server: str) -> None:
    """A client of redis-py that decodes its replies serves as well."""
    await RedisRecord(redis, "b").note(of("媒体", MediaRejected()))

    async with Redis.from_url(server, decode_responses=True) as decoding:
        record = RedisRecord(decoding, "b")
        assert await record.missing(["媒体", "a"]) == ["a"]
        assert await record.refused(["媒体"]) == ["媒体"]
        assert await record.counts() == Counter(done=0, failed=1)


async def test_commands_of_a_shard(redis: Any, tmp_path: Path) -> None:
    """A new shard costs one command, and each of its items one."""
    service = FakeWeChat(stored=dict.fromkeys(map(str, range(20)), JPEG))
    record = RedisRecord(redis, "b")
    await record.note(of("a script that is known"))
    await redis.config_resetstat()

    async with client_of(service) as client:
        await run_shard(client, list(service.stored), tmp_path, record)

    told = await redis.info("commandstats")
    assert told["cmdstat_hmget"]["calls"] == 1
    assert told["cmdstat_evalsha"]["calls"] == 20


async def test_a_server_out_of_reach(anyio_backend_name: str, tmp_path: Path) -> None:
    """A shard whose server does not answer sends no request."""
    if anyio_backend_name == "trio":
        pytest.skip("redis-py is made for asyncio")
    service = FakeWeChat(stored={"a": JPEG})

    async with client_of(service) as client, Redis(port=1, retry=NEVER) as nowhere:
        with pytest.raises(NoRedis):
            await run_shard(client, ["a"], tmp_path, RedisRecord(nowhere, "b"))

    assert service.requests == []


@pytest.mark.parametrize(
    "given", [{"batch": ""}, {"batch": "b", "ttl": 0.0}, {"batch": "b", "ttl": -1.0}]
)
def test_arguments_of_a_record(given: dict[str, Any]) -> None:
    """A batch has a name, and is remembered for some time."""
    with pytest.raises(ValueError, match=r"batch|ttl"):
        RedisRecord(Redis(), **given)


def test_repr_names_the_batch() -> None:
    """The repr tells which batch it is."""
    assert repr(RedisRecord(Redis(), "november")) == "RedisRecord('november')"
