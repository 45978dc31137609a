"""However a batch ends, and whoever ends it: each item is accounted for."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.fakes import JPEG, FakeWeChat, client_of, names_in
from wxmedia_async import (
    DestinationUnusable,
    Download,
    MediaNotFound,
    Outcome,
    Progress,
    Upload,
)

on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)


class OddError(BaseException):
    """No Exception, and not known to anybody."""


def stray() -> BaseException:
    """The cancellation of something of their own, or what is like it."""
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        return asyncio.CancelledError()
    return OddError()


@pytest.fixture
def service() -> FakeWeChat:
    return FakeWeChat(stored={f"m{n}": JPEG + bytes([n]) for n in range(20)})


class Kept:
    """A destination that keeps what it is given, and fails where it is told to."""

    def __init__(self, fails: dict[str, BaseException] | None = None) -> None:
        self.kept: list[str] = []
        self._fails = fails or {}

    async def put(
        self, name: str, body: AsyncIterable[bytes], *, content_type: object, size: int
    ) -> str:
        async for _ in body:
            pass
        if (error := self._fails.get(Path(name).stem)) is not None:
            raise error
        self.kept.append(name)
        return name


async def drained(batch: Any) -> list[Outcome[Any, Any]]:
    async with batch as outcomes:
        found = [outcome async for outcome in outcomes]
    return sorted(found, key=lambda outcome: outcome.index)


@pytest.mark.parametrize("width", [1, 4])
@pytest.mark.parametrize("odd", [True, False])
async def test_a_destination_may_let_out_what_is_no_exception(
    service: FakeWeChat, width: int, odd: bool
) -> None:
    """Its item has that in its outcome, and every other item has its own."""
    error = OddError() if odd else stray()
    target: Any = Kept({"m7": error})

    async with client_of(service, max_concurrency=width) as client:
        found = await drained(client.download_many(service.stored, target))

    assert [outcome.index for outcome in found] == list(range(20))
    assert [outcome.index for outcome in found if not outcome.ok] == [7]
    assert found[7].error is error


async def test_a_source_may_let_out_what_is_no_exception(service: FakeWeChat) -> None:
    """An upload's iterable is a user's code as well."""
    error = stray()

    async def broken() -> AsyncIterator[bytes]:
        yield JPEG[:10]
        raise error

    items: list[Any] = [JPEG, Upload(broken(), size=len(JPEG)), broken(), JPEG]
    async with client_of(service, max_concurrency=1) as client:
        found = await drained(client.upload_many(items))

    assert [outcome.ok for outcome in found] == [True, False, False, True]
    assert found[1].error is found[2].error is error


async def test_a_token_provider_may_let_out_what_is_no_exception(
    service: FakeWeChat,
) -> None:
    """So is what gives tokens."""
    errors: list[BaseException | None] = [None, stray(), None]

    async def token() -> str:
        if (error := errors.pop(0)) is not None:
            raise error
        return "token"

    class Provider:
        async def get(self) -> str:
            return await token()

        async def renew(self, rejected: str) -> str:
            return await token()

    async with client_of(service, token=Provider(), max_concurrency=1) as client:
        found = await drained(client.download_many(["m0", "m1", "m2"], Kept()))  # type: ignore[arg-type]

    assert [outcome.ok for outcome in found] == [True, False, True]


@pytest.mark.parametrize("kind", [LookupError, OddError, asyncio.CancelledError])
async def test_what_a_progress_callback_lets_out_harms_no_item(
    service: FakeWeChat,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    kind: type[BaseException],
) -> None:
    """It is logged, and the file is there."""

    def progress(told: Progress) -> None:
        if told.item == "m7":
            raise kind

    async with client_of(service, max_concurrency=4) as client:
        batch = client.download_many(service.stored, tmp_path, progress=progress)
        found = await drained(batch)

    assert all(outcome.ok for outcome in found)
    assert "the progress callback failed" in caplog.text


async def test_a_path_may_let_out_what_is_no_exception(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """Whatever tells the path of an item: it fails that item alone."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8\xff")
    error = OddError()

    class Odd:
        def __fspath__(self) -> str:
            raise error

    async with client_of(service) as client:
        found = await drained(client.upload_many([path, Odd(), path]))

    assert [outcome.error for outcome in found] == [None, error, None]


@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("kind", [LookupError, OddError, StopAsyncIteration])
async def test_items_may_raise_anything(
    service: FakeWeChat, asynchronous: bool, kind: type[BaseException]
) -> None:
    """What ran is delivered, then comes what the iterable raised."""

    class Items:
        taken = 0

        def __iter__(self) -> Iterator[str]:
            return self

        def __next__(self) -> str:
            self.taken += 1
            if self.taken > 3:
                raise kind
            return f"m{self.taken}"

    class AsyncItems(Items):
        def __aiter__(self) -> AsyncIterator[str]:
            return self

        async def __anext__(self) -> str:
            return self.__next__()

    ends = asynchronous and kind is StopAsyncIteration
    expected = RuntimeError if kind is StopAsyncIteration else kind
    found: list[int] = []
    caught: BaseException | None = None
    items: Any = AsyncItems() if asynchronous else Items()
    async with client_of(service).download_many(items, Kept()) as outcomes:  # type: ignore[arg-type]
        try:
            async for outcome in outcomes:
                found.append(outcome.index)  # noqa: PERF401
        except BaseException as error:  # noqa: BLE001  looked at below
            caught = error
        assert [outcome async for outcome in outcomes] == []  # told once

    assert sorted(found) == [0, 1, 2]
    assert type(caught) is (type(None) if ends else expected)


@on_asyncio
@pytest.mark.parametrize("width", [1, 3])
async def test_a_destination_may_cancel_the_task_that_it_is_called_in(
    service: FakeWeChat, width: int
) -> None:
    """As timeouts of other libraries do: it fails that item, and loses none."""

    class Impatient(Kept):
        async def put(self, name: str, body: Any, **facts: Any) -> str:
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling()
            if name.startswith("m3."):
                task.cancel()
            return await super().put(name, body, **facts)

    async with client_of(service, max_concurrency=width) as client:
        target: Any = Impatient()
        found = await drained(client.download_many(service.stored, target))

    assert [outcome.index for outcome in found] == list(range(20))
    assert isinstance(found[3].error, asyncio.CancelledError)
    assert sum(outcome.ok for outcome in found) == 19


async def test_a_lost_item_is_told(service: FakeWeChat) -> None:
    """A batch that cannot account for an item raises, and does not just end."""
    target: Any = Kept({"m5": GeneratorExit()})

    async with client_of(service, max_concurrency=2) as client:
        with pytest.raises(RuntimeError, match="lost an item"):
            await drained(client.download_many(service.stored, target))

    assert service.in_flight == 0


@pytest.mark.parametrize("readers", [2, 5])
@pytest.mark.parametrize("gone", [False, True])
async def test_readers_share_the_outcomes(
    service: FakeWeChat, readers: int, gone: bool
) -> None:
    """Each outcome goes to one reader, and all come to the end, or to one error."""
    seen: list[int] = []
    ended: list[str] = []
    items = [*service.stored, "gone"] if gone else list(service.stored)

    async def read(outcomes: AsyncIterator[Outcome[Any, Any]]) -> None:
        try:
            async for outcome in outcomes:
                seen.append(outcome.index)
                await checkpoint()
        except MediaNotFound:
            ended.append("error")
        else:
            ended.append("end")

    async with client_of(service, max_concurrency=3) as client:
        target: Any = Kept()
        batch = client.download_many(items, target, on_error="raise")
        async with batch as outcomes, anyio.create_task_group() as group:
            for _ in range(readers):
                group.start_soon(read, outcomes)

    assert Counter(ended) == Counter(["error"] * gone + ["end"] * (readers - gone))
    assert len(seen) == len(set(seen))
    assert gone or sorted(seen) == list(range(20))


async def test_a_reader_that_is_cancelled_takes_nothing_along(
    service: FakeWeChat,
) -> None:
    """The outcome that wakes a reader which has gone is another's."""
    service.gate = anyio.Event()
    found: list[int] = []

    async def read() -> None:
        await anext(outcomes)

    async with client_of(service, max_concurrency=1) as client:
        target: Any = Kept()
        async with client.download_many(["m0"], target) as outcomes:
            async with anyio.create_task_group() as group:
                group.start_soon(read)
                await anyio.wait_all_tasks_blocked()
                service.gate.set()
                group.cancel_scope.cancel()
            found += [outcome.index async for outcome in outcomes]

    assert found == [0]


@pytest.mark.parametrize("how", ["unread", "half read", "read", "raised"])
async def test_reading_after_the_block_ends_at_once(
    service: FakeWeChat, how: str
) -> None:
    """Whoever still holds the iterator gets its end, and nobody waits for ever."""
    async with client_of(service, max_concurrency=2) as client:
        target: Any = Kept()
        try:
            async with client.download_many(service.stored, target) as outcomes:
                await anyio.wait_all_tasks_blocked()
                if how == "half read":
                    await anext(outcomes)
                if how == "read":
                    assert len([outcome async for outcome in outcomes]) == 20
                    assert [outcome async for outcome in outcomes] == []
                if how == "raised":
                    raise LookupError
        except LookupError:
            pass

        with anyio.fail_after(5):
            assert [outcome async for outcome in outcomes] == []


async def test_a_waiting_reader_ends_when_the_block_is_left(
    service: FakeWeChat,
) -> None:
    """A task that waits for an outcome while another leaves the block goes on."""
    service.gate = anyio.Event()
    ended = anyio.Event()

    async def read(outcomes: AsyncIterator[object]) -> None:
        assert [outcome async for outcome in outcomes] == []
        ended.set()

    async with client_of(service) as client, anyio.create_task_group() as group:
        async with client.download_many(service.stored, Kept()) as outcomes:  # type: ignore[arg-type]
            group.start_soon(read, outcomes)
            await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            await ended.wait()


async def test_entered_and_left_in_different_tasks(service: FakeWeChat) -> None:
    """As fixtures and exit stacks do: nothing of the leaving task is cancelled."""
    stack = AsyncExitStack()
    left = anyio.Event()

    async def enter() -> None:
        with anyio.CancelScope():
            target: Any = Kept()
            batch = client.download_many(service.stored, target)
            outcomes = await stack.enter_async_context(batch)
            await anext(outcomes)

    async def leave() -> None:
        with anyio.CancelScope():
            await stack.aclose()
            await checkpoint()
            left.set()

    async with client_of(service, max_concurrency=3) as client:
        for step in (enter, leave):
            async with anyio.create_task_group() as group:
                group.start_soon(step)

    assert left.is_set()
    assert service.in_flight == 0


async def successes(client: Any, ids: Any) -> AsyncGenerator[Outcome[Any, Any]]:
    async with client.download_many(ids, Kept()) as outcomes:
        async for outcome in outcomes:
            yield outcome


async def test_a_generator_around_a_batch_is_left_by_break(
    service: FakeWeChat,
) -> None:
    """Closed by hand, in whatever task: the batch is over, the task goes on."""
    async with client_of(service, max_concurrency=3) as client:
        generator = successes(client, service.stored)
        async for _ in generator:
            break

        async with anyio.create_task_group() as group:
            group.start_soon(generator.aclose)
        await checkpoint()

        assert service.in_flight == 0
        async with aclosing(successes(client, ["m0"])) as others:
            assert len([outcome async for outcome in others]) == 1


@on_asyncio
async def test_a_generator_around_a_batch_is_left_to_the_collector(
    service: FakeWeChat,
) -> None:
    """Whatever task closes it then: the user's goes on, and nothing is told wrong."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    before = asyncio.all_tasks()

    async with client_of(service, max_concurrency=3) as client:
        async for _ in successes(client, service.stored):
            break
        gc.collect()
        await asyncio.sleep(0)  # now there is a task that closes it
        await asyncio.wait(asyncio.all_tasks() - before, timeout=5)
        assert asyncio.all_tasks() == before

    assert told == []
    assert service.in_flight == 0


@on_asyncio
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_the_users_task_is_cancelled_natively(
    service: FakeWeChat, times: int
) -> None:
    """However often and whenever Task.cancel() comes, nothing goes on."""
    before = asyncio.all_tasks()
    running = 0

    class Slow(Kept):
        """Needs a while to clean up."""

        async def put(self, name: str, body: Any, **facts: Any) -> str:
            nonlocal running
            running += 1
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    for _ in range(50):
                        await asyncio.sleep(0)
                running -= 1
            return name

    async def users() -> None:
        target: Any = Slow()
        async with client_of(service).download_many(service.stored, target) as found:
            async for _ in found:
                pass

    task = asyncio.create_task(users())
    await anyio.wait_all_tasks_blocked()
    assert running == 16
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with suppress(asyncio.CancelledError):
        await task

    assert task.cancelled()
    assert running == 0
    assert asyncio.all_tasks() == before
    assert service.in_flight == 0


async def test_the_callers_context_is_kept(service: FakeWeChat) -> None:
    """What a context variable held where the batch was entered, its code sees."""
    request_id: ContextVar[str] = ContextVar("request_id", default="none")
    seen: set[str] = set()

    class Noting(Kept):
        async def put(self, name: str, body: Any, **facts: Any) -> str:
            seen.add(request_id.get())
            return await super().put(name, body, **facts)

    async def items() -> AsyncIterator[str]:
        for media_id in service.stored:
            seen.add(request_id.get())
            yield media_id

    request_id.set("42")
    target: Any = Noting()
    await drained(client_of(service).download_many(items(), target))

    assert seen == {"42"}


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("scoped", [False, True])
async def test_the_items_generator_is_closed(
    service: FakeWeChat, early: bool, scoped: bool
) -> None:
    """Its clean-up is awaited, in the task that reads it, with its scopes open."""
    closed: list[bool] = []

    async def plain() -> AsyncGenerator[str]:
        try:
            for media_id in service.stored:
                await checkpoint()
                yield media_id
        finally:
            await checkpoint()
            closed.append(True)

    async def with_scopes() -> AsyncIterator[str]:
        # As connections of databases do; a scope belongs to one task.
        with anyio.fail_after(60):
            async with aclosing(plain()) as media_ids:
                async for media_id in media_ids:
                    yield media_id

    items = with_scopes() if scoped else plain()
    async with client_of(service, max_concurrency=3) as client:
        async with client.download_many(items, Kept()) as outcomes:  # type: ignore[arg-type]
            async for _ in outcomes:
                if early:
                    break

        assert closed == [True]


@on_asyncio
async def test_items_may_survive_a_cancellation_of_their_own(
    service: FakeWeChat,
) -> None:
    """What their code waits for is cancelled, and not they: they go on to their end."""

    async def items() -> AsyncGenerator[str]:
        loop = asyncio.get_running_loop()
        for media_id in service.stored:
            answer = loop.create_future()
            loop.call_soon(answer.cancel)
            with suppress(asyncio.CancelledError):
                await answer
            yield media_id

    async with client_of(service, max_concurrency=3) as client:
        target: Any = Kept()
        found = await drained(client.download_many(items(), target))

    assert [outcome.ok for outcome in found] == [True] * 20


@pytest.mark.parametrize("raises", [False, True])
async def test_a_generator_that_cannot_be_closed_is_told(
    service: FakeWeChat, raises: bool
) -> None:
    """What its clean-up raises comes out of the block, unless that raised itself."""

    async def items() -> AsyncIterator[str]:
        try:
            yield "m0"
            yield "m1"
        finally:
            raise ZeroDivisionError

    async def run() -> None:
        async with client_of(service, max_concurrency=1) as client:
            target: Any = Kept()
            async with client.download_many(items(), target) as outcomes:
                await anext(outcomes)
                if raises:
                    raise LookupError

    with pytest.raises(LookupError if raises else ZeroDivisionError):
        await run()


async def test_an_end_of_something_else_is_not_the_end(service: FakeWeChat) -> None:
    """With on_error="raise" an item's StopAsyncIteration is a failure like others."""
    target: Any = Kept({"m0": StopAsyncIteration()})
    async with client_of(service, max_concurrency=1) as client:
        batch = client.download_many(["m0"], target, on_error="raise")
        with pytest.raises(RuntimeError, match="StopAsyncIteration"):
            await drained(batch)


@pytest.mark.parametrize(
    ("to", "error"),
    [
        pytest.param("", ValueError, id="empty"),
        pytest.param("in\0box", ValueError, id="NUL"),
        pytest.param(5, TypeError, id="int"),
        pytest.param(None, TypeError, id="None"),
        pytest.param(b"inbox", TypeError, id="bytes"),
        pytest.param(Kept, TypeError, id="class"),
    ],
)
async def test_what_is_no_folder_is_refused_at_once(
    service: FakeWeChat, to: Any, error: type[Exception]
) -> None:
    """Before any request, of a batch when it is made, and of an item by itself."""
    async with client_of(service) as client:
        with pytest.raises(error):
            client.download_many(["m0"], to)
        if to is not None:
            items: list[Any] = [Download("m0", to=to), "m1"]
            target: Any = Kept()
            found = await drained(client.download_many(items, target))
            assert isinstance(found[0].error, error)
            assert found[0].attempts == 0
            assert found[1].ok

    assert len(service.requests) == (to is not None)


@pytest.mark.parametrize("to", ["plain", "plain/in", "link", "x" * 300, "locked/in"])
async def test_a_folder_that_cannot_be_is_told_once(
    service: FakeWeChat,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    to: str,
) -> None:
    """A file in the way, a name too long, no permission: before any request."""
    (tmp_path / "plain").touch()
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "locked").mkdir()
    monkeypatch.setattr("os.access", lambda path, _: "locked" not in str(path))

    async with client_of(service) as client:
        with pytest.raises(OSError, match=to[:5]):
            await drained(client.download_many(service.stored, tmp_path / to))
        items: list[Any] = [Download("m0", to=tmp_path / to), "m1"]
        target: Any = Kept()
        found = await drained(client.download_many(items, target))

    assert isinstance(found[0].error, OSError)
    assert found[1].ok
    assert len(service.requests) == 1


@pytest.mark.parametrize("to", ["new", "new/deep/er", "."])
async def test_a_folder_that_can_be_made_is_one(
    service: FakeWeChat, tmp_path: Path, to: str
) -> None:
    """It is made when the first file goes into it."""
    async with client_of(service) as client:
        found = await drained(client.download_many(["m0"], tmp_path / to))

    assert found[0].ok
    assert names_in(tmp_path / to) == ["m0.jpg"]


async def test_a_destination_that_says_so_ends_the_batch(service: FakeWeChat) -> None:
    """A bucket that is gone fails the rest without a request each."""
    cause = LookupError("no such bucket")
    target: Any = Kept({"m2": DestinationUnusable(cause)})

    async with client_of(service, max_concurrency=1) as client:
        found = await drained(client.download_many(service.stored, target))
        with pytest.raises(DestinationUnusable) as caught:
            await client.download("m2", target)

    assert caught.value.__cause__ is cause
    assert [outcome.ok for outcome in found] == [True, True] + [False] * 18
    assert [outcome.attempts for outcome in found] == [1, 1, 1] + [0] * 17
    assert all(isinstance(one.error, DestinationUnusable) for one in found[2:])
    assert len(service.requests) == 4


async def test_old_parts_of_a_batchs_folder_are_removed(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """What a killed run left there a day ago is gone when a batch opens it."""
    import os

    old = tmp_path / ".m9.jpg.0123456789abcdef.part"
    old.touch()
    os.utime(old, (0, 0))

    await drained(client_of(service).download_many(["m0"], tmp_path))

    assert names_in(tmp_path) == ["m0.jpg"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT")
async def test_keyboard_interrupt_is_the_programs_end(service: FakeWeChat) -> None:
    """What ends the program is no outcome: it comes out as itself."""
    if anyio.get_cancelled_exc_class() is asyncio.CancelledError:
        pytest.skip("asyncio lets it out of the event loop at once")
    target: Any = Kept({"m0": KeyboardInterrupt()})

    with pytest.raises(KeyboardInterrupt):
        await drained(client_of(service).download_many(["m0"], target))
