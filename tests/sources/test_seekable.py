"""Bytes in memory, and files that are sent from where they stand."""

from __future__ import annotations

import array
import io
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.descriptors import none_left_open
from tests.interrupting import cancelled_at, torn_at
from tests.sourcing import CONTENT, opened, read, read_from
from wxmedia_async import SourceChanged
from wxmedia_async._local.disk import FileIO

on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)


@pytest.fixture(params=["inline", "thread"])
def file_io(request: pytest.FixtureRequest) -> FileIO:
    mode: FileIO = request.param
    return mode


@pytest.fixture(params=["memory", "disk", "disk, writable"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A file of 256 000 bytes that stands at its fourth."""
    if request.param == "memory":
        made: Any = io.BytesIO(CONTENT)
    else:
        (tmp_path / "cat.jpg").write_bytes(CONTENT)
        mode = "rb" if request.param == "disk" else "r+b"
        made = (tmp_path / "cat.jpg").open(mode)
    made.seek(3)
    with made:
        yield made


async def fail_after_a_chunk(source: object, file_io: FileIO) -> None:
    async with opened(source, file_io=file_io) as opened_one:
        await anext(opened_one.chunks())
        raise LookupError


async def test_a_file_is_sent_from_where_it_stands(file: Any, file_io: FileIO) -> None:
    """Fault 20: on each try it begins where the caller left it."""
    async with opened(file, file_io=file_io) as source:
        readings = [await read(source) for _ in range(2)]

    assert readings == [CONTENT[3:]] * 2
    assert source.first == CONTENT[3:67]


async def test_a_file_that_was_sent_stands_at_its_end(
    file: Any, file_io: FileIO
) -> None:
    """Fault 20: what was sent has been read, as far as the caller can tell."""
    await read_from(file, file_io=file_io)

    assert file.tell() == len(CONTENT)


async def test_a_file_that_was_not_sent_stands_where_it_stood(
    file: Any, file_io: FileIO
) -> None:
    """Fault 20: after a failure the caller can try again by themselves."""
    with none_left_open(), pytest.raises(LookupError):
        await fail_after_a_chunk(file, file_io)

    assert file.tell() == 3


async def test_a_position_behind_the_end_is_no_content(
    file: Any, file_io: FileIO
) -> None:
    """A file that stands behind its end has nothing to send, and stays there."""
    file.seek(len(CONTENT) + 5)

    assert await read_from(file, file_io=file_io) == b""
    assert file.tell() == len(CONTENT) + 5


async def test_the_position_may_be_moved_in_between(file: Any, file_io: FileIO) -> None:
    """Whoever else reads the file disturbs nobody."""
    received = bytearray()

    async with opened(file, file_io=file_io) as source:
        async for chunk in source.chunks():
            received += chunk
            file.seek(7)

    assert received == CONTENT[3:]


async def test_a_file_in_memory_that_grows_is_found(file_io: FileIO) -> None:
    """Fault 21: more bytes than when it was opened are not sent."""
    file = io.BytesIO(CONTENT)

    async with opened(file, file_io=file_io) as source:
        file.seek(0, io.SEEK_END)
        file.write(b"!")

        with pytest.raises(SourceChanged, match="grew"):
            await read(source)


async def test_a_file_in_memory_that_shrinks_is_found(file_io: FileIO) -> None:
    """Fault 21: fewer bytes than when it was opened never complete an upload."""
    file = io.BytesIO(CONTENT)

    async with opened(file, file_io=file_io) as source:
        file.truncate(100_000)

        with pytest.raises(SourceChanged, match="ended after 100000 of 256000"):
            await read(source)


class Generous(io.BytesIO):
    """A file that gives as much as it likes."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(-1 if size else 0)


async def test_more_than_was_asked_for_is_no_harm() -> None:
    """A file that does not care how much is wanted is still sent whole."""
    assert await read_from(Generous(CONTENT)) == CONTENT


class Sluggish(io.BytesIO):
    """A file that gives a few bytes at a time, as raw files may."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, 1000))


async def test_short_reads_are_continued(file_io: FileIO) -> None:
    """A read that gives less than was asked for is no end."""
    assert await read_from(Sluggish(CONTENT), file_io=file_io) == CONTENT


class Broken(io.BytesIO):
    """A file that fails with an error of its own."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise ZeroDivisionError("of its own")
        return super().read(size)


async def test_an_error_of_the_source_is_passed_on(file_io: FileIO) -> None:
    """What the caller's file raises comes out as it is, and it is put back."""
    file = Broken(CONTENT)

    with pytest.raises(ZeroDivisionError, match="of its own"):
        await read_from(file, file_io=file_io)

    assert file.tell() == 0


async def test_a_file_in_memory_may_be_closed(file_io: FileIO) -> None:
    """A file that is closed when all is sent has no position to be left at."""
    file = io.BytesIO(CONTENT)

    async with opened(file, file_io=file_io) as source:
        await read(source)
        file.close()


async def test_a_file_that_stays_open_is_not_closed(file: Any, file_io: FileIO) -> None:
    """The caller's files are theirs to close."""
    await read_from(file, file_io=file_io)

    assert not file.closed


async def test_an_awaited_file_is_left_like_any_other(tmp_path: Path) -> None:
    """Fault 20: at its end if it was sent, and where it stood if not."""
    (tmp_path / "cat.jpg").write_bytes(CONTENT)

    async with await anyio.open_file(tmp_path / "cat.jpg", "rb") as file:
        await file.seek(3)
        with pytest.raises(LookupError):
            await fail_after_a_chunk(file, "inline")
        after_failure = await file.tell()
        await read_from(file)
        after_success = await file.tell()

    assert (after_failure, after_success) == (3, len(CONTENT))


async def test_an_awaited_file_that_grows_is_found(tmp_path: Path) -> None:
    """Fault 21: more bytes than when it was opened are not sent."""
    (tmp_path / "log").write_bytes(CONTENT)

    async with await anyio.open_file(tmp_path / "log", "rb") as file:
        async with opened(file) as source:
            with (tmp_path / "log").open("ab") as log:
                log.write(b"!")

            with pytest.raises(SourceChanged, match="grew"):
                await read(source)


async def test_an_awaited_file_may_be_closed(tmp_path: Path) -> None:
    """A file that is closed when all is sent has no position to be left at."""
    (tmp_path / "cat.jpg").write_bytes(CONTENT)

    async with await anyio.open_file(tmp_path / "cat.jpg", "rb") as file:
        async with opened(file) as source:
            content = await read(source)
            await file.aclose()

    assert content == CONTENT


async def test_readings_of_an_awaited_file_take_turns(tmp_path: Path) -> None:
    """Two tasks that read it at the same time each get all of it."""
    (tmp_path / "cat.jpg").write_bytes(CONTENT)
    readings: list[bytes] = []

    async with await anyio.open_file(tmp_path / "cat.jpg", "rb") as file:
        async with opened(file) as source, anyio.create_task_group() as tasks:

            async def collect() -> None:
                readings.append(await read(source))

            for _ in range(3):
                tasks.start_soon(collect)

    assert readings == [CONTENT] * 3


@pytest.mark.parametrize(
    "source",
    [
        memoryview(CONTENT)[::2],
        memoryview(CONTENT)[::-1],
        memoryview(CONTENT).cast("B", [256, 1000]),
        memoryview(array.array("d", [1.5, 2.5])),
        memoryview(array.array("d")),
    ],
    ids=["every second", "backwards", "table", "floats", "empty"],
)
async def test_any_view_of_memory_is_sent(source: memoryview) -> None:
    """Views with gaps, of several dimensions and of other items are their bytes."""
    assert await read_from(source) == source.tobytes()


async def test_memory_cannot_change_its_length(file_io: FileIO) -> None:
    """Fault 21: a bytearray cannot be resized while it is sent, and can afterwards."""
    source = bytearray(CONTENT)

    async with opened(source, file_io=file_io) as opened_one:
        with pytest.raises(BufferError):
            source.append(0)
        content = await read(opened_one)
    source.append(0)

    assert content == CONTENT


async def sweep(source: Any, work: Any, interrupted_at: Any) -> None:
    nth, reached = 0, True
    while reached:
        nth += 1
        with none_left_open():
            reached = await interrupted_at(work, nth)
        assert source.tell() in (3, len(CONTENT))
        source.seek(3)


async def test_a_cancelled_reading_leaves_the_position(file: Any) -> None:
    """Fault 25: cancelled at any await in thread mode, nothing is left open."""
    await sweep(file, partial(read_from, file, file_io="thread"), cancelled_at)


@on_asyncio
async def test_a_torn_reading_leaves_the_position(file: Any) -> None:
    """Fault 25: the same for Task.cancel(), which reaches shielded waits too."""
    await sweep(file, partial(read_from, file, file_io="thread"), torn_at)


async def test_a_cancelled_reading_of_a_path_leaves_nothing(tmp_path: Path) -> None:
    """Fault 25: cancelled at any await in thread mode, its descriptor is closed."""
    (tmp_path / "cat.jpg").write_bytes(CONTENT)
    work = partial(read_from, tmp_path / "cat.jpg", file_io="thread")

    await sweep_path(work, cancelled_at)


@on_asyncio
async def test_a_torn_reading_of_a_path_leaves_nothing(tmp_path: Path) -> None:
    """Fault 25: the same for Task.cancel(), which reaches shielded waits too."""
    (tmp_path / "cat.jpg").write_bytes(CONTENT)
    work = partial(read_from, tmp_path / "cat.jpg", file_io="thread")

    await sweep_path(work, torn_at)


async def sweep_path(work: Any, interrupted_at: Any) -> None:
    nth, reached = 0, True
    while reached:
        nth += 1
        with none_left_open():
            reached = await interrupted_at(work, nth)


async def test_a_cancelled_reading_of_an_awaited_file_puts_it_back(
    tmp_path: Path,
) -> None:
    """Fault 25: cancelled at any await, it stands where it stood or at its end."""
    (tmp_path / "cat.jpg").write_bytes(CONTENT)

    async with await anyio.open_file(tmp_path / "cat.jpg", "rb") as file:
        nth, reached = 0, True
        while reached:
            nth += 1
            await file.seek(3)
            reached = await cancelled_at(partial(read_from, file), nth)
            assert await file.tell() in (3, len(CONTENT))

    assert nth > 10
