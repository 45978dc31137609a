"""Many transfers at once."""

from __future__ import annotations

import errno
import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.lowlevel import checkpoint

from tests.fakes import EAGER, JPEG, FakeWeChat, client_of, error, names_in
from wxmedia_async import (
    Adaptive,
    AppToken,
    ClientClosed,
    CredentialsError,
    Download,
    MediaNotFound,
    Outcome,
    PermissionDenied,
    Progress,
    QuotaExceeded,
    RateLimited,
    RetryPolicy,
    Source,
    TokenRejected,
    Upload,
)


@pytest.fixture
def service() -> FakeWeChat:
    return FakeWeChat()


async def test_every_item_has_one_outcome(service: FakeWeChat, tmp_path: Path) -> None:
    """Each item ends in exactly one outcome that names it, good or bad."""
    service.stored = {f"m{n}": JPEG + bytes([n]) for n in range(40)}
    ids = [f"m{n}" if n % 4 else f"gone{n}" for n in range(40)]

    async with client_of(service) as client:
        async with client.download_many(ids, tmp_path) as outcomes:
            found = [outcome async for outcome in outcomes]

    assert sorted(outcome.index for outcome in found) == list(range(40))
    assert all(ids[outcome.index] == outcome.item for outcome in found)
    assert {o.item for o in found if o.ok} == set(ids) & set(service.stored)
    assert all(isinstance(o.error, MediaNotFound) for o in found if not o.ok)
    assert len(names_in(tmp_path)) == 30


async def test_uploads_take_options_of_their_own(service: FakeWeChat) -> None:
    """An Upload's filename and key count, and the key comes back."""
    async with client_of(service) as client:
        row = object()
        items: list[Source | Upload] = [
            Upload(JPEG, filename="ours.png", key=row),
            JPEG,
        ]
        async with client.upload_many(items) as outcomes:
            found = {outcome.index: outcome async for outcome in outcomes}

    assert found[0].key is row
    assert found[1].key is None
    first = found[0].unwrap()
    assert service.names[first.media_id] == "ours.png"


async def test_a_download_may_go_elsewhere(service: FakeWeChat, tmp_path: Path) -> None:
    """A Download's own folder is used, and made, although it lacks a slash."""
    service.stored = {"a": JPEG, "b": JPEG}

    async with client_of(service) as client:
        items: list[str | Download] = ["a", Download("b", to=tmp_path / "other")]
        async with client.download_many(items, tmp_path / "here") as outcomes:
            assert all([outcome.ok async for outcome in outcomes])

    assert names_in(tmp_path / "here") == ["a.jpg"]
    assert names_in(tmp_path / "other") == ["b.jpg"]


@pytest.mark.parametrize("items", ["m0", b"", 5], ids=["str", "bytes", "int"])
def test_a_single_item_is_no_batch(items: object, tmp_path: Path) -> None:
    """A bare str would be taken apart into letters, so it is refused."""
    client = client_of(FakeWeChat())

    with pytest.raises(TypeError):
        client.download_many(items, tmp_path)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        client.upload_many(items)  # type: ignore[arg-type]


def test_on_error_is_checked(tmp_path: Path) -> None:
    """A misspelt on_error is a ValueError at once."""
    client = client_of(FakeWeChat())

    with pytest.raises(ValueError, match="on_error"):
        client.download_many([], tmp_path, on_error="ignore")  # type: ignore[arg-type]


async def test_items_are_read_lazily(service: FakeWeChat, tmp_path: Path) -> None:
    """No more items are begun than the reader of outcomes keeps up with."""
    taken = 0

    def ids() -> Iterator[str]:
        nonlocal taken
        for n in range(1000):
            taken += 1
            yield f"m{n}"

    async with client_of(service, max_concurrency=4) as client:
        async with client.download_many(ids(), tmp_path) as outcomes:
            await anyio.wait_all_tasks_blocked()
            before_reading = taken
            await anext(outcomes)
            await anyio.wait_all_tasks_blocked()

    assert before_reading == 4
    assert taken == 5


async def test_leaving_early_cancels_the_rest(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """Leaving the block cancels what runs, and leaves neither files nor slots."""
    service.stored = {f"m{n}": JPEG for n in range(100)}
    service.gate = anyio.Event()
    client = client_of(service, max_concurrency=5)

    async with client.download_many([f"m{n}" for n in range(100)], tmp_path):
        await anyio.wait_all_tasks_blocked()
        begun = len(service.requests)

    assert begun == 5
    assert service.in_flight == 0
    assert names_in(tmp_path) == []
    service.gate.set()
    assert (await client.read("m0")).content == JPEG


async def test_the_callers_own_error_passes_unchanged(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """What the block raises comes out as itself, in no ExceptionGroup."""
    service.stored = {"m0": JPEG}
    mine = KeyError("mine")

    with pytest.raises(KeyError) as caught:  # noqa: PT012
        async with client_of(service).download_many(["m0"], tmp_path) as outcomes:
            async for _ in outcomes:
                raise mine

    assert caught.value is mine


async def test_raise_cancels_and_raises_the_plain_error(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """on_error="raise": the first failure comes out of async for as itself."""
    service.stored = {"good": JPEG}
    seen: list[str] = []

    with pytest.raises(MediaNotFound):  # noqa: PT012
        async with client_of(service, max_concurrency=1).download_many(
            ["good", "gone", "good"], tmp_path, on_error="raise"
        ) as outcomes:
            async for outcome in outcomes:
                seen.append(str(outcome.item))  # noqa: PERF401

    assert seen == ["good"]
    assert service.in_flight == 0


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(40013, CredentialsError, id="credentials"),
        pytest.param(48001, PermissionDenied, id="permission"),
        pytest.param(45009, QuotaExceeded, id="quota"),
        pytest.param(42001, TokenRejected, id="token"),
    ],
)
async def test_doom_ends_the_batch_without_a_request_each(
    service: FakeWeChat, tmp_path: Path, code: int, expected: type[Exception]
) -> None:
    """A failure that every further item would share fails them at once."""
    service.answers = [error(code)]

    async with client_of(service, max_concurrency=1) as client:
        ids = [f"m{n}" for n in range(20)]
        async with client.download_many(ids, tmp_path) as outcomes:
            found = [outcome async for outcome in outcomes]

    assert len(service.requests) == 1
    assert [type(outcome.error) for outcome in found] == [expected] * 20
    assert [outcome.attempts for outcome in found] == [1] + [0] * 19


async def test_fault_29_a_full_disk_ends_the_batch(
    service: FakeWeChat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 29: when the disk is full, the rest fails without a request each."""
    service.stored = {f"m{n}": JPEG for n in range(10)}

    def full(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("wxmedia_async._files.part.os.write", full)
    async with client_of(service, max_concurrency=1) as client:
        async with client.download_many(service.stored, tmp_path) as outcomes:
            found = [outcome async for outcome in outcomes]

    assert len(service.requests) == 1
    assert all(isinstance(outcome.error, OSError) for outcome in found)
    assert names_in(tmp_path) == []


class Forgetful(AsyncIterator[str]):
    """Says once that it has ended, and then begins anew."""

    def __init__(self) -> None:
        self._items = ["a", "b", None, "c"]

    async def __anext__(self) -> str:
        await checkpoint()
        if (item := self._items.pop(0)) is None:
            raise StopAsyncIteration
        return item


async def test_items_that_ended_are_not_asked_again(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """However many workers come for more, the first end is the end."""
    service.stored = dict.fromkeys("abc", JPEG)

    async with client_of(service, max_concurrency=8) as client:
        async with client.download_many(Forgetful(), tmp_path) as outcomes:
            done = sorted([outcome.index async for outcome in outcomes])

    assert done == [0, 1]


async def test_fault_32_items_that_raise(service: FakeWeChat, tmp_path: Path) -> None:
    """Fault 32: when the iterable raises, what ran is delivered, then the error."""
    service.stored = {"m0": JPEG, "m1": JPEG}

    async def ids() -> AsyncIterator[str]:
        yield "m0"
        await checkpoint()
        yield "m1"
        raise LookupError("no more rows")

    seen: list[Outcome[object, object]] = []
    with pytest.raises(LookupError, match="no more rows"):  # noqa: PT012
        async with client_of(service).download_many(ids(), tmp_path) as outcomes:
            async for outcome in outcomes:
                seen.append(outcome)  # noqa: PERF401

    assert sorted(str(outcome.item) for outcome in seen) == ["m0", "m1"]
    assert all(outcome.ok for outcome in seen)


async def test_a_source_of_the_callers_may_raise_anything(service: FakeWeChat) -> None:
    """An item whose source fails has that failure in its outcome; others go on."""

    async def broken() -> AsyncIterator[bytes]:
        yield JPEG
        raise ZeroDivisionError

    async with client_of(service) as client:
        async with client.upload_many([broken(), JPEG, 5]) as outcomes:  # type: ignore[list-item]
            found = {outcome.index: outcome async for outcome in outcomes}

    assert isinstance(found[0].error, ZeroDivisionError)
    assert found[1].ok
    assert isinstance(found[2].error, TypeError)


async def test_progress_names_the_item(service: FakeWeChat) -> None:
    """Each item's last progress says that all of its bytes are done."""
    reports: list[Progress] = []
    items = [Upload(JPEG, key=n) for n in range(3)]

    async with client_of(service) as client:
        async with client.upload_many(items, progress=reports.append) as outcomes:
            assert all([outcome.ok async for outcome in outcomes])

    for item in items:
        last = [report for report in reports if report.item is item][-1]
        assert last.done == last.total == len(JPEG)


async def test_one_slot_completes_a_batch_with_a_renewal(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """max_concurrency=1 makes progress while the token dies in the middle."""
    service.stored = {f"m{n}": JPEG for n in range(10)}

    async with client_of(
        service, token=AppToken("appid", "secret"), max_concurrency=1
    ) as client:
        async with client.download_many(service.stored, tmp_path) as outcomes:
            found = []
            async for outcome in outcomes:
                found.append(outcome.ok)
                if len(found) == 5:
                    service.valid = "somebody fetched another"

    assert found == [True] * 10
    assert service.tokens == 2


async def test_rate_limited_pauses_and_dooms_nothing(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """RateLimited fails only items whose deadline forbids the wait."""
    service.stored = {f"m{n}": JPEG for n in range(5)}
    service.answers = [error(45011)]

    async with client_of(service, deadline=5.0, max_concurrency=1) as client:
        async with client.download_many(service.stored, tmp_path) as outcomes:
            found = [outcome async for outcome in outcomes]

    assert len(service.requests) == 1
    assert all(isinstance(outcome.error, RateLimited) for outcome in found)


async def test_adaptive_concurrency_backs_off_and_grows(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """Adaptive(low, high) starts low, grows with success, and loses no item."""
    service.stored = {f"m{n}": JPEG for n in range(200)}

    def crowded(request: httpx.Request) -> httpx.Response:
        if service.in_flight > 8:
            return error(45033)
        from tests.fakes import media

        return media(service.stored[request.url.params["media_id"]])

    service.answers = [crowded] * 2000
    async with client_of(
        service,
        max_concurrency=Adaptive(2, 64),
        retry=RetryPolicy(attempts=50, initial=0.0),
    ) as client:
        async with client.download_many(service.stored, tmp_path) as outcomes:
            found = [outcome.ok async for outcome in outcomes]

    assert found == [True] * 200


async def test_a_closed_client_begins_no_batch(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """After aclose() a batch raises ClientClosed when it is entered."""
    client = client_of(service)
    await client.aclose()

    with pytest.raises(ClientClosed):
        async with client.download_many([], tmp_path):
            pass


async def test_batches_leave_no_tasks(service: FakeWeChat, tmp_path: Path) -> None:
    """A finished batch leaves nothing for the garbage collector to warn of."""
    async with client_of(service, retry=EAGER) as client:
        async with client.download_many(["gone"] * 3, tmp_path) as outcomes:
            await anext(outcomes)

    gc.collect()
    assert service.in_flight == 0
