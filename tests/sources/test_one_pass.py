"""Async iterables: sent as they come where their length is known, else spooled."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.descriptors import none_left_open
from tests.interrupting import cancelled_at
from tests.sourcing import (
    CONTENT,
    Pieces,
    Pipe,
    Stream,
    generate,
    opened,
    read,
    read_from,
)
from wxmedia_async import SourceChanged, TooLarge
from wxmedia_async._local.disk import FileIO
from wxmedia_async._sources.source import OpenSource

MIB = 1024 * 1024


@pytest.fixture(params=["inline", "thread"])
def file_io(request: pytest.FixtureRequest) -> FileIO:
    mode: FileIO = request.param
    return mode


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


async def test_a_known_length_is_not_spooled() -> None:
    """Fault 19: with a size only what tells the kind is read beforehand."""
    pieces = Pieces(b"x" * 64, b"y" * 64)

    async with opened(pieces, size=128) as source:
        assert (pieces.begun, pieces.ended) == (1, 0)
        assert (source.size, source.first) == (128, b"x" * 64)
        assert await read(source) == b"x" * 64 + b"y" * 64

    assert (pieces.begun, pieces.ended) == (1, 1)


async def test_the_kind_is_told_by_many_small_chunks() -> None:
    """A source that begins with single bytes is still known by its first ones."""
    letters = [bytes([letter]) for letter in CONTENT[:200]]

    async with opened(generate(letters), size=200) as source:
        assert source.first == CONTENT[:64]
        assert await read(source) == CONTENT[:200]


class Restarting(Pieces):
    """An iterable that says of itself that it can be gone through again."""

    replayable = True


@pytest.mark.parametrize(
    ("pieces", "replayable"),
    [
        (Restarting(b"ca", b"t"), None),
        (Restarting(b"ca", b"t"), False),
        (Pieces(b"ca", b"t"), True),
    ],
    ids=["said by itself", "not denied", "said by the caller"],
)
async def test_an_iterable_is_begun_again(
    pieces: Pieces, replayable: bool | None
) -> None:
    """Fault 19: what is said to make a new iterator each time can be sent again."""
    pieces.begun = pieces.ended = 0

    async with opened(pieces, size=3, replayable=replayable) as source:
        assert source.replayable
        readings = [await read(source) for _ in range(3)]

    assert readings == [b"cat"] * 3
    assert (pieces.begun, pieces.ended) == (3, 3)


@pytest.mark.parametrize("said", [None, False, "yes", 1])
async def test_an_iterable_that_says_nothing_is_read_once(said: object) -> None:
    """Much that makes an iterator each time makes an empty one the second time."""
    pieces = Pieces(b"ca", b"t")
    vars(pieces)["replayable"] = said

    async with opened(pieces, size=3) as source:
        assert not source.replayable
        assert await read(source) == b"cat"
        with pytest.raises(SourceChanged, match="cannot be read twice"):
            source.chunks()
        assert isinstance(source.failure, SourceChanged)

    assert pieces.begun == 1


async def test_an_iterator_is_read_once_whatever_is_said() -> None:
    """It is its own iterator, and gives nothing a second time."""
    async with opened(generate([b"cat"]), size=3, replayable=True) as source:
        assert not source.replayable


@pytest.mark.parametrize("kind", ["generator", "stream", "pipe"])
async def test_an_iterator_is_never_sent_twice(kind: str) -> None:
    """Fault 19: what can be read once says so, and is refused a second time."""
    one_shot: dict[str, object] = {
        "generator": generate([b"ca", b"t"]),
        "stream": Stream(b"ca", b"t"),
        "pipe": Pipe(b"ca", b"t"),
    }

    async with opened(one_shot[kind], size=3) as source:
        assert not source.replayable
        assert await read(source) == b"cat"
        with pytest.raises(SourceChanged, match="cannot be read twice"):
            source.chunks()


async def test_a_reading_that_was_broken_off_is_closed_first() -> None:
    """The iterator of a try that failed is closed before the next one begins."""
    pieces = Pieces(b"x" * 64, b"y")

    async with opened(pieces, size=65, replayable=True) as source:
        await anext(source.chunks())
        chunks = source.chunks()
        await anext(chunks)

        assert (pieces.begun, pieces.ended) == (2, 1)

    assert (pieces.begun, pieces.ended) == (2, 2)


async def test_an_iterator_that_was_not_asked_for_anything_is_closed() -> None:
    """A try that never read from its iterator leaves none open either."""
    pieces = Pieces(b"cat")

    async with opened(pieces, size=3, replayable=True) as source:
        for _ in range(3):
            source.chunks()

    assert pieces.begun == pieces.ended


@pytest.mark.parametrize("difference", [-1, 1])
@pytest.mark.parametrize(
    "pieces",
    [[b"cat"], [b"ca", b"t"], [b"ca", b"", b"t"], [b"x" * 64, b"y"]],
    ids=["one", "two", "with an empty one", "more than the first"],
)
async def test_a_wrong_length_is_never_sent_whole(
    pieces: list[bytes], difference: int
) -> None:
    """Fault 21: more or fewer bytes than promised end before the last chunk."""
    size = len(b"".join(pieces)) + difference
    received = bytearray()

    async with opened(generate(pieces), size=size) as source:
        with pytest.raises(SourceChanged):
            await read_on(source, received)

    assert len(received) < size


async def read_on(source: OpenSource, received: bytearray) -> None:
    async for chunk in source.chunks():
        received += chunk


async def test_a_source_promised_to_be_empty_must_be() -> None:
    """Fault 21: bytes where none were promised are found."""
    with pytest.raises(SourceChanged):
        await read_from(generate([b"cat"]), size=0)


async def test_empty_chunks_are_skipped() -> None:
    """An empty chunk is neither an end nor sent."""
    pieces = [b"", b"ca", b"", bytearray(), b"t", memoryview(b"")]

    assert await read_from(generate(pieces), size=3) == b"cat"
    assert await read_from(generate(pieces)) == b"cat"


async def test_chunks_of_every_size_are_sent_in_small_ones(file_io: FileIO) -> None:
    """One chunk of megabytes would look like a standstill to a transport."""
    pieces = [CONTENT[:1], CONTENT[1:200_000], CONTENT[200_000:]]

    content = await read_from(generate(pieces), size=len(CONTENT), file_io=file_io)

    assert content == CONTENT


@pytest.mark.parametrize("size", [None, 6])
@pytest.mark.parametrize("chunk", ["cat", 3, None, [1, 2, 3]])
async def test_chunks_must_be_bytes(chunk: object, size: int | None) -> None:
    """Fault 22: whatever is no bytes is a TypeError, and the generator is closed."""
    pieces = Pieces(b"cat", chunk)

    with pytest.raises(TypeError, match="must give bytes"):
        await read_from(pieces, size=size)

    assert pieces.begun == pieces.ended


async def test_anything_that_is_bytes_like_will_do() -> None:
    """Chunks may be any kind of memory."""
    pieces = [b"c", bytearray(b"a"), memoryview(b"t")]

    assert await read_from(generate(pieces)) == b"cat"


async def failing(before: int) -> Any:
    for _ in range(before):
        yield b"x" * 64
    raise ZeroDivisionError("of its own")


@pytest.mark.parametrize("before", [0, 1, 2])
@pytest.mark.parametrize("size", [None, 256])
async def test_an_error_of_the_source_is_passed_on(
    before: int, size: int | None
) -> None:
    """What the caller's generator raises comes out as it is."""
    with pytest.raises(ZeroDivisionError, match="of its own"):
        await read_from(failing(before), size=size)


async def test_the_limit_ends_the_spooling(temporary: Path, file_io: FileIO) -> None:
    """Fault 22: as soon as it is too much, reading stops and nothing is left."""
    pieces = Pieces(*[b"x" * MIB] * 100)

    with none_left_open(), pytest.raises(TooLarge) as caught:
        async with opened(pieces, limit=3 * MIB, file_io=file_io):
            pass

    assert (caught.value.limit, caught.value.size) == (3 * MIB, 4 * MIB)
    assert (pieces.begun, pieces.ended) == (1, 1)
    assert os.listdir(temporary) == []


async def test_exactly_the_limit_is_spooled() -> None:
    """The limit itself is allowed."""
    async with opened(generate([b"ca", b"t"]), limit=3) as source:
        assert await read(source) == b"cat"


async def test_much_is_spooled_to_the_disk(temporary: Path, file_io: FileIO) -> None:
    """What is long is kept on the disk, and is gone afterwards."""
    pieces = [bytes([n]) * MIB for n in range(3)]

    with none_left_open():
        async with opened(generate(pieces), file_io=file_io) as source:
            readings = [await read(source) for _ in range(2)]

    assert readings == [b"".join(pieces)] * 2
    assert os.listdir(temporary) == []


async def test_a_full_disk_ends_the_spooling(
    monkeypatch: pytest.MonkeyPatch, temporary: Path, file_io: FileIO
) -> None:
    """Fault 29: a disk that takes no temporary file is an OSError."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "gone"))
    pieces = Pieces(*[b"x" * MIB] * 2)

    with none_left_open(), pytest.raises(FileNotFoundError):
        await read_from(pieces, file_io=file_io)

    assert pieces.begun == pieces.ended


async def test_streams_of_others_stay_open() -> None:
    """A stream may be wanted again: only what we began, or generators, are closed."""
    stream = Stream(b"cat")

    await read_from(stream)
    await read_from(Stream(b"cat"), size=3)

    assert not stream.closed


async def test_an_iterator_that_was_made_for_us_is_closed() -> None:
    """What an iterable makes anew for us nobody else will close."""
    made = Stream(b"cat")

    class Making:
        def __aiter__(self) -> Stream:
            return made

    await read_from(Making(), size=3)

    assert made.closed


async def test_an_iterator_that_cannot_be_closed_need_not_be() -> None:
    """An iterator is promised to give things, and nothing else."""

    class Bare:
        def __init__(self) -> None:
            self._pieces = [b"ca", b"t"]

        def __aiter__(self) -> Any:
            return self

        async def __anext__(self) -> bytes:
            if not self._pieces:
                raise StopAsyncIteration
            return self._pieces.pop(0)

    class Making:
        def __aiter__(self) -> Bare:
            return Bare()

    assert await read_from(Making(), size=3) == b"cat"
    assert await read_from(Making()) == b"cat"


async def test_a_generator_that_was_not_read_to_its_end_is_closed() -> None:
    """Its clean-up runs at once, not when the garbage collector likes."""
    pieces = Pieces(b"x" * 64, b"y" * 64)
    generator = aiter(pieces)

    async with opened(generator, size=128) as source:
        await anext(source.chunks())

    assert pieces.ended == 1


async def test_an_iterator_that_repeats_itself_is_not_asked_twice() -> None:
    """After its end nothing more is asked of an iterator."""

    class Endless(Stream):
        async def __anext__(self) -> object:
            try:
                return await super().__anext__()
            except StopAsyncIteration:
                self._pieces = iter([b"more"])
                raise

    assert await read_from(Endless(b"cat"), size=3) == b"cat"


class Stubborn:
    """An iterable whose clean-up never ends by itself."""

    async def __aiter__(self) -> Any:
        try:
            yield b"x" * 64
            yield b"y"
        finally:
            await anyio.sleep_forever()


async def test_a_generator_has_a_while_to_clean_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A clean-up that never ends does not hold up the upload for ever."""
    monkeypatch.setattr("wxmedia_async._sources.chunks._PATIENCE", 0)

    async with opened(Stubborn(), size=65) as source:
        await anext(source.chunks())


async def test_a_generator_cleans_up_under_cancellation() -> None:
    """Fault 25: a clean-up that awaits runs to its end when we are cancelled."""
    cleaned_up = False

    async def cancelling() -> AsyncGenerator[bytes]:
        nonlocal cleaned_up
        try:
            scope.cancel()
            yield b"cat"
        finally:
            await anyio.lowlevel.checkpoint()
            cleaned_up = True

    with anyio.CancelScope() as scope:
        await read_from(cancelling(), file_io="thread")

    assert scope.cancelled_caught
    assert cleaned_up


class Patient(Pieces):
    """Pieces with waits between them."""

    async def __aiter__(self) -> AsyncGenerator[object]:
        async with aclosing(super().__aiter__()) as pieces:
            async for piece in pieces:
                await anyio.lowlevel.checkpoint()
                yield piece


@pytest.mark.parametrize("size", [None, 128])
async def test_cancelled_anywhere_nothing_is_left_open(
    temporary: Path, size: int | None
) -> None:
    """Fault 25: cancelled at any await, temporary files and generators are closed."""
    nth, reached = 0, True
    while reached:
        nth += 1
        pieces = Patient(b"x" * 64, b"y" * 64)
        work = partial(read_from, pieces, size=size, file_io="thread")
        with none_left_open():
            reached = await cancelled_at(work, nth)
        assert os.listdir(temporary) == []
        assert pieces.begun == pieces.ended

    assert nth > 2


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_a_stream_of_asyncio_is_read() -> None:
    """asyncio's own reader, which iterates over lines, is read like a file."""
    reader = asyncio.StreamReader()
    reader.feed_data(CONTENT)
    reader.feed_eof()

    assert await read_from(reader) == CONTENT
