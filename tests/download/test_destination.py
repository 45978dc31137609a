"""Downloads to what a user has plugged in: its failures are its own."""

from __future__ import annotations

import asyncio
import errno
import queue
from collections.abc import AsyncIterable

import anyio
import httpx
import pytest

from tests.destinations import Failing
from tests.fakes import JPEG, FakeWeChat, Pieces, client_of, error, media
from wxmedia_async import (
    AppToken,
    CredentialsError,
    MediaError,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RetryPolicy,
    ServerBusy,
    TokenRejected,
    TransferError,
    TransferTimeout,
    Truncated,
)
from wxmedia_async._download.destination import is_destination

IDS = ["a", "b", "c", "d"]

THEIRS = [
    pytest.param(TokenRejected(code=40001), id="token"),
    pytest.param(CredentialsError(code=40125), id="credentials"),
    pytest.param(PermissionDenied(code=48001), id="permission"),
    pytest.param(QuotaExceeded(code=45009), id="quota"),
    pytest.param(RateLimited("elsewhere", code=45011), id="limited"),
    pytest.param(ServerBusy(code=-1), id="busy"),
    pytest.param(TransferError("broke off"), id="transfer"),
    pytest.param(TransferTimeout("slow"), id="timeout"),
    pytest.param(Truncated(expected=2, received=1), id="truncated"),
    pytest.param(httpx.ConnectError("elsewhere"), id="httpx"),
    pytest.param(OSError(errno.ENOSPC, "full"), id="full disk"),
    pytest.param(LookupError("theirs"), id="any"),
]


@pytest.mark.parametrize("failure", THEIRS)
@pytest.mark.parametrize("after", [True, False])
async def test_failure_is_theirs(failure: Exception, after: bool) -> None:
    """Whatever a destination raises, an error of ours too, reaches the caller once."""
    service = FakeWeChat(dict.fromkeys(IDS, JPEG))
    token = AppToken("wx1", "s", endpoint="token")

    async with client_of(service, token=token) as client:
        destination = Failing(failure, after)
        with pytest.raises(type(failure)) as caught:
            await client.download("a", destination)
        with anyio.fail_after(5):  # nothing pauses
            await client.read("b")

    assert caught.value is failure
    assert len(destination.names) == 1
    assert (service.tokens, service.in_flight) == (1, 0)


@pytest.mark.parametrize("failure", THEIRS)
async def test_batch_goes_on(failure: Exception) -> None:
    """It fails the items that met it, and dooms none."""
    service = FakeWeChat(dict.fromkeys(IDS, JPEG))

    async with client_of(service) as client:
        destination = Failing(failure)
        async with client.download_many(IDS, destination) as outcomes:
            errors = [outcome.error async for outcome in outcomes]

    assert errors == [failure] * 4
    assert len(destination.names) == 4


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_cancellation_is_theirs() -> None:
    """A future of theirs that was cancelled is raised, and cancels nothing of ours."""
    service = FakeWeChat({"ID": JPEG})
    future = asyncio.get_running_loop().create_future()
    future.cancel()

    class Awaits:
        async def put(
            self,
            name: str,
            body: AsyncIterable[bytes],
            *,
            content_type: str | None,
            size: int | None,
        ) -> str:
            return str(await future)

    async with client_of(service) as client:
        with pytest.raises(asyncio.CancelledError):
            await client.download("ID", Awaits())
        content = await client.read("ID")

    assert content.content == JPEG


class Swallowing:
    """Hides what the body raises, and says that all is well, or that it is not."""

    def __init__(self, instead: Exception | None) -> None:
        self._instead = instead
        self.stored: list[bytes] = []

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        data = b""
        try:
            async for chunk in body:
                data += chunk
        except MediaError:
            if self._instead is not None:
                raise self._instead from None
        self.stored.append(data)
        return name


@pytest.mark.parametrize("instead", [None, LookupError("half"), OSError("half")])
async def test_hidden_failure_is_told(instead: Exception | None) -> None:
    """What has cut the body is told, whatever a destination made of it."""
    cut = media(JPEG, Content_Length=str(len(JPEG) + 1))
    service = FakeWeChat(answers=[cut])

    async with client_of(service, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(Truncated):
            await client.download("ID", Swallowing(instead))

    assert service.in_flight == 0


@pytest.mark.parametrize("instead", [None, LookupError("half")])
async def test_hidden_failure_is_tried_again(instead: Exception | None) -> None:
    """It is ours, and so worth another try."""
    cut = media(JPEG, Content_Length=str(len(JPEG) + 1))
    destination = Swallowing(instead)

    async with client_of(FakeWeChat({"ID": JPEG}, answers=[cut])) as client:
        saved = await client.download("ID", destination)

    assert saved.size == len(JPEG)
    assert destination.stored[-1] == JPEG


class Counting:
    """Reads no further than the size that it was told."""

    def __init__(self, missing: int = 0) -> None:
        self._missing = missing

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        assert size is not None
        left = size - self._missing
        async for chunk in body:
            left -= len(chunk)
            if left <= 0:
                break
        return name


async def test_whoever_counts_has_read_all() -> None:
    """A destination that has read exactly *size* bytes need not ask for the end."""
    async with client_of(FakeWeChat({"ID": JPEG})) as client:
        saved = await client.download("ID", Counting())

    assert (saved.size, saved.verified) == (len(JPEG), True)


async def test_whoever_stops_before_has_not() -> None:
    """One byte less is not the media."""
    service = FakeWeChat(answers=[media(JPEG)])

    async with client_of(service) as client:
        with pytest.raises(RuntimeError, match="to its end"):
            await client.download("ID", Counting(missing=1500))

    assert service.in_flight == 0


class Queue:
    """Has a method of that name, for something else."""

    def put(self, item: object) -> None: ...


@pytest.mark.parametrize(
    "to", [Queue(), queue.Queue(), Counting, 7, None, b"bytes", object()], ids=repr
)
async def test_what_is_no_destination(to: object) -> None:
    """Anything but a path or a Destination is a TypeError before any request."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(TypeError):
            await client.download("ID", to)  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            async with client.download_many(["ID"], to) as outcomes:  # type: ignore[arg-type]
                [_ async for _ in outcomes]

    assert service.requests == []


def test_destinations_of_any_making() -> None:
    """What takes the arguments is one, however it was written."""

    class Loose:
        def put(self, *args: object, **kwargs: object) -> None: ...

    class Compiled:
        # Its signature cannot be asked for.
        put = staticmethod(getattr)

    assert is_destination(Counting())
    assert is_destination(Loose())
    assert is_destination(Compiled())


async def test_two_readers_of_a_body() -> None:
    """A second task that asks for the next chunk is refused at once."""
    gate = anyio.Event()
    refused: list[RuntimeError] = []

    class Stalled(Pieces):
        async def __aiter__(self):  # type: ignore[no-untyped-def]
            yield self.content[:1000]
            await gate.wait()
            yield self.content[1000:]

    class Twice:
        async def put(
            self,
            name: str,
            body: AsyncIterable[bytes],
            *,
            content_type: str | None,
            size: int | None,
        ) -> str:
            chunks = aiter(body)
            await anext(chunks)

            async def read_all() -> None:
                async for _ in chunks:
                    pass

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read_all)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(RuntimeError, match="another task") as caught:
                    await anext(chunks)
                refused.append(caught.value)
                gate.set()
            return name

    answer = media(JPEG)
    answer.stream = Stalled(JPEG)
    async with client_of(FakeWeChat(answers=[answer])) as client:
        with anyio.fail_after(5):
            await client.download("ID", Twice())

    assert len(refused) == 1


async def test_error_of_wechat_is_not_theirs() -> None:
    """What WeChat answers is still ours: tried again, and never given to them."""
    destination = Swallowing(None)

    async with client_of(FakeWeChat({"ID": JPEG}, answers=[error(-1)])) as client:
        saved = await client.download("ID", destination)

    assert saved.size == len(JPEG)
    assert destination.stored == [JPEG]
