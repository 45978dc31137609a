"""What is told to those who watch."""

from __future__ import annotations

import logging
import pickle
import time
from pathlib import Path

import anyio
import pytest

from tests.destinations import Bucket
from tests.fakes import JPEG, SECRET, TOKEN, FakeWeChat, client_of, error
from wxmedia_async import (
    AppToken,
    Event,
    Failed,
    Finished,
    MediaNotFound,
    MemoryUploadCache,
    Paused,
    RateLimited,
    Renewed,
    Retried,
    RetryPolicy,
    ServerBusy,
    Started,
)

OPERATIONS = ["upload", "download", "read", "stream", "put", "call"]


class Watching:
    """A client that is watched, and does any operation by its name."""

    def __init__(self, service: FakeWeChat, **options: object) -> None:
        self.events: list[Event] = []
        self.client = client_of(service, on_event=self.events.append, **options)

    async def do(self, operation: str, folder: Path) -> None:
        client = self.client
        if operation == "upload":
            await client.upload(JPEG)
        elif operation == "download":
            await client.download("ID", folder, overwrite=True)
        elif operation == "put":
            await client.download("ID", Bucket())
        elif operation == "read":
            await client.read("ID")
        elif operation == "stream":
            async with client.stream("ID") as media:
                [_ async for _ in media]
        else:
            await client.call("GET", "/cgi-bin/media/get", params={"media_id": "no"})

    def kinds(self) -> list[type[Event]]:
        return [type(event) for event in self.events]


@pytest.mark.parametrize("operation", OPERATIONS[:-1])
async def test_good_end(operation: str, tmp_path: Path) -> None:
    """A transfer is told from its start to its end, with what it moved."""
    watching = Watching(FakeWeChat({"ID": JPEG}))

    await watching.do(operation, tmp_path)

    started, finished = watching.events
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert finished.transfer == started.transfer
    assert (finished.bytes, finished.attempt) == (len(JPEG), 1)
    assert finished.seconds >= finished.slot_wait >= 0
    expected = {"put": "download", "read": "download"}.get(operation, operation)
    assert started.operation == expected
    assert started.platform == "mini_program"
    assert started.media_id == (None if operation == "upload" else "ID")


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_bad_end(operation: str, tmp_path: Path) -> None:
    """Every start ends once, in the failure that the caller gets."""
    watching = Watching(FakeWeChat({"ID": JPEG}, answers=[error(40007)]))

    with pytest.raises(MediaNotFound) as caught:
        await watching.do(operation, tmp_path)

    assert watching.kinds() == [Started, Failed]
    failed = watching.events[-1]
    assert isinstance(failed, Failed)
    assert failed.error is caught.value


@pytest.mark.parametrize("operation", OPERATIONS[:-1])
async def test_cancelled(operation: str, tmp_path: Path) -> None:
    """A transfer that is cancelled ends in Failed, with its exception."""
    watching = Watching(FakeWeChat({"ID": JPEG}, gate=anyio.Event()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watching.do, operation, tmp_path)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()

    assert watching.kinds() == [Started, Failed]
    failed = watching.events[-1]
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, anyio.get_cancelled_exc_class())


async def test_stream_ends_with_its_block() -> None:
    """A stream that nobody has read to its end is finished all the same."""
    watching = Watching(FakeWeChat({"ID": JPEG}))

    async with watching.client.stream("ID"):
        inside = watching.kinds()

    assert inside == [Started]
    assert watching.kinds() == [Started, Finished]


async def test_stream_whose_block_fails() -> None:
    """What the block raises is how the transfer ended."""
    watching = Watching(FakeWeChat({"ID": JPEG}))

    with pytest.raises(LookupError):
        async with watching.client.stream("ID"):
            raise LookupError

    assert watching.kinds() == [Started, Failed]


async def test_another_try() -> None:
    """Retried tells of the try that failed, why, and when the next one is."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(-1), error(-1)])
    watching = Watching(service, retry=RetryPolicy(initial=0.0))

    await watching.client.read("ID")

    assert watching.kinds() == [Started, Retried, Retried, Finished]
    first, second = (event for event in watching.events if isinstance(event, Retried))
    assert (first.attempt, second.attempt, second.wait) == (1, 2, 0.0)
    assert isinstance(first.error, ServerBusy)
    assert first.error.__traceback__ is None or TOKEN not in repr(first.error)


async def test_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause is Paused, and no Retried."""
    monkeypatch.setattr(RateLimited, "retry_after", 0.01)
    watching = Watching(FakeWeChat({"ID": JPEG}, answers=[error(45011)]))

    await watching.client.read("ID")

    assert set(watching.kinds()) == {Started, Paused, Finished}
    assert watching.kinds().count(Started) == 1


async def test_renewal() -> None:
    """A token call is an operation of its own, and a renewal is told."""
    service = FakeWeChat({"ID": JPEG}, answers=[])
    watching = Watching(service, token=AppToken("wx1", SECRET, endpoint="token"))
    await watching.client.read("ID")
    service.valid = "somebody's"
    watching.events.clear()

    await watching.client.read("ID")

    told = [(event.operation, type(event)) for event in watching.events]
    assert told == [
        ("download", Started),
        ("token", Started),
        ("token", Finished),
        ("download", Renewed),
        ("download", Finished),
    ]
    assert SECRET not in repr(watching.events)
    assert TOKEN not in repr(watching.events)


async def test_source_that_cannot_be_opened(tmp_path: Path) -> None:
    """What never became a transfer is not told."""
    watching = Watching(FakeWeChat())

    with pytest.raises(FileNotFoundError):
        await watching.client.upload(tmp_path / "nowhere")

    assert watching.events == []


async def test_what_a_cache_knows() -> None:
    """An upload that is not sent, as its media_id is known, is not told either."""
    service = FakeWeChat(created_at=int(time.time()))
    watching = Watching(service, upload_cache=MemoryUploadCache(), account="a")
    await watching.client.upload(JPEG)
    watching.events.clear()

    known = await watching.client.upload(JPEG)

    assert known.media_id == "m0"
    assert watching.events == []


async def test_callback_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged, and the transfer goes on."""

    def fail(event: Event) -> None:
        raise LookupError("theirs")

    with caplog.at_level(logging.ERROR, logger="wxmedia_async"):
        content = await client_of(FakeWeChat({"ID": JPEG}), on_event=fail).read("ID")

    assert content.content == JPEG
    assert "on_event failed" in caplog.text


def test_wrong_callback() -> None:
    """What cannot be called is refused when the client is made."""
    with pytest.raises(TypeError, match="on_event"):
        client_of(FakeWeChat(), on_event="no function")


async def test_transfers_at_once() -> None:
    """Each transfer of a batch has a number of its own, and each start its end."""
    ids = [f"m{number}" for number in range(30)]
    watching = Watching(FakeWeChat(dict.fromkeys(ids, JPEG)))

    async with watching.client.download_many(ids, Bucket()) as outcomes:
        [_ async for _ in outcomes]

    starts = [e.transfer for e in watching.events if isinstance(e, Started)]
    ends = [e.transfer for e in watching.events if isinstance(e, Finished)]
    assert len(set(starts)) == 30
    assert sorted(starts) == sorted(ends)
    assert {e.media_id for e in watching.events} == set(ids)


async def test_events_are_values() -> None:
    """They can be pickled and compared."""
    watching = Watching(FakeWeChat({"ID": JPEG}))
    await watching.client.read("ID")

    assert pickle.loads(pickle.dumps(watching.events)) == watching.events
