"""What an upload makes of what its source does."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.datastructures import Headers, UploadFile

from tests.fakes import JPEG, FakeWeChat, client_of, error
from wxmedia_async import (
    RateLimited,
    ServerBusy,
    SourceChanged,
    TokenRejected,
    Upload,
)
from wxmedia_async.simulator import Simulator

ERRORS: list[BaseException] = [
    httpx.ReadTimeout("the picture server is slow"),
    httpx.ConnectError("refused"),
    TokenRejected("another client's", code=40001),
    RateLimited("another client's", code=45011),
    SourceChanged("another client's"),
    OSError(28, "No space left on device"),
    asyncio.CancelledError("a future of theirs"),
    ValueError("of its own"),
]


class Breaking:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        yield JPEG
        raise self.error


class BreakingFile(io.BytesIO):
    def __init__(self, error: BaseException) -> None:
        super().__init__(JPEG * 100)
        self.error = error

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise self.error
        return super().read(size)


class BreakingPath(os.PathLike[str]):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __fspath__(self) -> str:
        raise self.error


@pytest.mark.parametrize("theirs", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize(
    ("make", "size"),
    [
        (Breaking, None),
        (Breaking, 2 * len(JPEG)),
        (BreakingFile, None),
        (BreakingPath, None),
    ],
)
async def test_what_a_source_raises_comes_out_as_it_is(
    make: Callable[[Any], Any], size: int | None, theirs: BaseException
) -> None:
    """It is not tried again, nobody else is blamed for it, and later uploads go on."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(type(theirs)) as caught:
            await client.upload(make(theirs), size=size)
        await client.upload(JPEG)

    assert caught.value is theirs
    assert len(service.requests) <= 2
    assert service.stored == {"m0": JPEG}
    assert service.in_flight == 0


async def test_what_a_transport_makes_of_it_does_not_count() -> None:
    """A transport of the user's may take a failing body for a broken connection."""

    class Wrapping(FakeWeChat):
        async def _response(self, request: httpx.Request) -> httpx.Response:
            try:
                return await super()._response(request)
            except Exception as failure:
                raise httpx.WriteError("broken pipe") from failure

    theirs = ValueError("of its own")
    async with client_of(Wrapping()) as client:
        with pytest.raises(ValueError, match="of its own") as caught:
            await client.upload(Breaking(theirs), size=2 * len(JPEG))

    assert caught.value is theirs


class Once:
    """As results of object stores are: an iterable that can be read once."""

    def __init__(self, second: str = "raises", **said: object) -> None:
        vars(self).update(said)
        self.second = second
        self.used = False

    def __aiter__(self) -> Any:
        if self.used and self.second == "makes none":
            raise ValueError("already disposed")
        return self._chunks()

    async def _chunks(self) -> AsyncGenerator[bytes]:
        if self.used and self.second == "raises":
            raise ValueError("already disposed")
        if not self.used:
            yield JPEG
        self.used = True


async def test_an_iterable_is_tried_once() -> None:
    """What was said by WeChat is told, and not what a second reading raised."""
    service = FakeWeChat(answers=[error(-1)])

    async with client_of(service) as client:
        with pytest.raises(ServerBusy, match="cannot be read twice"):
            await client.upload(Once(), size=len(JPEG))

    assert len(service.requests) == 1


@pytest.mark.parametrize("second", ["raises", "makes none", "is empty"])
async def test_one_that_lied_shows_the_first_failure(second: str) -> None:
    """However a second reading fails, the reason for it is what counts."""
    service = FakeWeChat(answers=[error(-1)])

    async with client_of(service) as client:
        with pytest.raises(ServerBusy, match="could not be read again"):
            await client.upload(Once(second, replayable=True), size=len(JPEG))

    assert service.in_flight == 0


class Again:
    async def __aiter__(self) -> AsyncGenerator[bytes]:
        yield JPEG


async def test_one_that_can_be_read_again_is_tried_again() -> None:
    """It says so itself, or its Upload does."""
    service = FakeWeChat(answers=[error(-1)])
    said = Again()
    said.replayable = True  # type: ignore[attr-defined]

    async with client_of(service) as client:
        await client.upload(said, size=len(JPEG))
        service.answers.append(error(-1))
        item = Upload(Again(), size=len(JPEG), replayable=True)
        async with client.upload_many([item]) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()

        service.answers.append(error(-1))
        await client.upload(Again(), size=len(JPEG), replayable=True)

    assert list(service.stored.values()) == [JPEG, JPEG, JPEG]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere only sockets tell")
@pytest.mark.parametrize("end", ["cancelled", "deadline", "closed"])
async def test_a_pipe_without_bytes_holds_up_nobody(end: str) -> None:
    """Cancellation, the deadline and aclose() end the wait for a pipe at once."""
    reading, writing = os.pipe()
    seen: list[BaseException] = []
    with open(reading, "rb") as pipe, open(writing, "wb"):
        deadline = 0.05 if end == "deadline" else None
        client = client_of(FakeWeChat(), deadline=deadline)

        async def upload() -> None:
            try:
                await client.upload(pipe)
            except Exception as failure:  # noqa: BLE001
                seen.append(failure)

        async with anyio.create_task_group() as uploads:
            uploads.start_soon(upload)
            await anyio.wait_all_tasks_blocked()
            if end == "cancelled":
                uploads.cancel_scope.cancel()
            if end == "closed":
                await client.aclose()
        await client.aclose()

    expected = {"cancelled": [], "deadline": ["TransferTimeout"]}
    assert [type(failure).__name__ for failure in seen] == expected.get(
        end, ["ClientClosed"]
    )


@pytest.mark.parametrize(
    "name", ["cat.tmp", "cat.jpg.download", "cat.jfif", "cat.", "cat"]
)
async def test_own_names_are_taken_by_wechat(name: str, tmp_path: Path) -> None:
    """A JPEG is taken, whatever its file is called; the argument is sent as it is."""
    (tmp_path / name).write_bytes(JPEG)
    simulator = Simulator()

    async with simulator.client() as client:
        media = await client.upload(tmp_path / name)

    assert simulator.media[media.media_id].filename.startswith("cat")


@pytest.mark.parametrize("label", ["image/*", "", "jpg", "image/jpeg;", "text/html"])
async def test_labels_of_forms_hinder_nothing(label: str) -> None:
    """What the bytes are is what is sent; only an explicit type must be one."""
    service = FakeWeChat()
    headers = Headers(raw=[(b"content-type", label.encode())])

    async with client_of(service) as client:
        await client.upload(UploadFile(io.BytesIO(JPEG), headers=headers))
        with pytest.raises(ValueError, match="media type"):
            await client.upload(JPEG, content_type="jpg")

    assert b"\r\nContent-Type: image/jpeg\r\n\r\n" in service.bodies[0]
    assert len(service.requests) == 1
