"""Whatever a user may upload can be opened, and what cannot is refused clearly."""

from __future__ import annotations

import array
import asyncio
import io
import mmap
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

import aiofiles  # type: ignore[import-untyped] # it has none of its own
import anyio
import pytest
import trio
from aiohttp import StreamReader
from aiohttp.test_utils import make_mocked_request
from starlette.datastructures import Headers, UploadFile

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
from wxmedia_async import SourceChanged
from wxmedia_async._local.disk import FileIO

on_asyncio = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("asyncio", {}), id="asyncio")]
)
on_trio = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(("trio", {}), id="trio")]
)


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.jpg"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(params=["inline", "thread"])
def file_io(request: pytest.FixtureRequest) -> FileIO:
    mode: FileIO = request.param
    return mode


REPLAYABLE: dict[str, Callable[[Path], object]] = {
    "str": str,
    "path": lambda path: path,
    "bytes": Path.read_bytes,
    "bytearray": lambda path: bytearray(path.read_bytes()),
    "memoryview": lambda path: memoryview(path.read_bytes()),
    "array": lambda path: array.array("I", path.read_bytes()),
    "file in memory": lambda path: io.BytesIO(path.read_bytes()),
    "pipe": lambda path: Pipe(path.read_bytes()[:9], path.read_bytes()[9:]),
    "iterable": lambda path: Pieces(path.read_bytes()[:9], path.read_bytes()[9:]),
    "iterator": lambda path: Stream(path.read_bytes()),
    "generator": lambda path: generate([path.read_bytes()]),
    "form upload": lambda path: UploadFile(io.BytesIO(path.read_bytes())),
}


@pytest.mark.parametrize("kind", REPLAYABLE)
async def test_every_kind_is_read_again_and_again(
    cat: Path, kind: str, file_io: FileIO
) -> None:
    """Fault 19: without a promised length each kind can be read as often as wanted."""
    async with opened(REPLAYABLE[kind](cat), file_io=file_io) as source:
        readings = [await read(source) for _ in range(3)]
        source.check()

    assert readings == [CONTENT] * 3
    assert source.replayable
    assert source.size == len(CONTENT)
    assert source.first == CONTENT[:64]


async def test_open_files_are_read(cat: Path, file_io: FileIO) -> None:
    """Files of every buffering, temporary ones and memory maps are binary files."""
    with (
        cat.open("rb") as buffered,
        cat.open("rb", buffering=0) as raw,
        cat.open("r+b") as both,
        tempfile.NamedTemporaryFile() as named,
        tempfile.SpooledTemporaryFile(max_size=10) as spooled,
        cat.open("rb") as mapped,
        mmap.mmap(mapped.fileno(), 0, access=mmap.ACCESS_READ) as mapping,
    ):
        for file in (named, spooled):
            file.write(CONTENT)
            file.seek(0)
        files = (buffered, raw, both, named, spooled, mapping)

        contents = [await read_from(file, file_io=file_io) for file in files]

    assert contents == [CONTENT] * 6


async def test_a_file_of_anyio_is_read(cat: Path) -> None:
    """A file whose reads are awaited is sent from where it stands."""
    async with await anyio.open_file(cat, "rb") as file:
        await file.seek(3)

        async with opened(file) as source:
            readings = [await read(source) for _ in range(2)]

    assert readings == [CONTENT[3:]] * 2
    assert source.filename == "cat.jpg"


@on_asyncio
async def test_a_file_of_aiofiles_is_read(cat: Path) -> None:
    """The same for aiofiles, where seekable() is awaited as well."""
    async with aiofiles.open(cat, "rb") as file:
        await file.seek(3)

        async with opened(file) as source:
            readings = [await read(source) for _ in range(2)]

    assert readings == [CONTENT[3:]] * 2
    assert source.filename == "cat.jpg"


@on_trio
async def test_a_file_of_trio_is_read(cat: Path) -> None:
    """The same for trio's own files."""
    async with await trio.open_file(cat, "rb") as file:
        await file.seek(3)

        async with opened(file) as source:
            readings = [await read(source) for _ in range(2)]

    assert readings == [CONTENT[3:]] * 2


@on_asyncio
async def test_a_file_of_aiohttp_is_spooled() -> None:
    """An awaited file without a position is read to its end first."""
    protocol = make_mocked_request("POST", "/").protocol
    loop = asyncio.get_running_loop()
    reader = StreamReader(protocol, len(CONTENT), loop=loop)
    reader.feed_data(CONTENT)
    reader.feed_eof()

    assert await read_from(reader) == CONTENT


async def test_a_form_upload_tells_what_it_is() -> None:
    """Starlette's UploadFile gives its name, without a path, and its type."""
    upload = UploadFile(
        io.BytesIO(b"cat"),
        filename="../album/cat.jpg",
        headers=Headers({"content-type": "image/jpeg"}),
    )

    async with opened(upload) as source:
        content = await read(source)

    assert content == b"cat"
    assert (source.filename, source.content_type) == ("cat.jpg", "image/jpeg")


async def test_a_form_upload_may_tell_nothing() -> None:
    """An UploadFile without a name or a type is sent as well."""
    async with opened(UploadFile(io.BytesIO(b"cat"))) as source:
        assert await read(source) == b"cat"

    assert (source.filename, source.content_type) == (None, None)


async def test_a_form_upload_on_the_disk_is_read(file_io: FileIO) -> None:
    """An UploadFile whose file has been rolled to the disk is read from there."""
    with tempfile.SpooledTemporaryFile(max_size=1) as file:
        file.write(CONTENT)
        file.seek(0)

        content = await read_from(UploadFile(cast(BinaryIO, file)), file_io=file_io)

    assert content == CONTENT


class Compiled:
    """A file whose methods do not tell that they are to be awaited."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    def read(self, size: int = -1, /) -> Any:
        return later(self._file.read(size))

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        yield b""


async def later(value: bytes) -> bytes:
    return value


async def test_a_compiled_async_file_is_read() -> None:
    """That it can be iterated asynchronously tells that its reads are awaited."""
    file = Compiled(CONTENT)
    file.seek(3)

    assert await read_from(file) == CONTENT[3:]


@pytest.mark.parametrize(
    "source",
    [12, 1.5, None, ["cat"], iter([b"cat"]), (b for b in [b"cat"]), object()],
    ids=repr,
)
async def test_anything_else_is_refused(source: object) -> None:
    """What is none of the kinds is a TypeError that names them."""
    with pytest.raises(TypeError, match="path, bytes, a binary file, an async file"):
        await read_from(source)


async def test_text_is_refused(cat: Path) -> None:
    """Files opened as text would give characters, however they are wrapped."""
    cat.write_text("喵")
    with cat.open() as file, pytest.raises(TypeError, match="binary"):
        await read_from(file)
    with pytest.raises(TypeError, match="binary"):
        await read_from(io.StringIO("喵"))
    async with await anyio.open_file(cat) as wrapped:
        with pytest.raises(TypeError, match="bytes, not str"):
            await read_from(wrapped)


async def test_a_file_that_cannot_be_read_is_refused(cat: Path) -> None:
    """A file opened for writing, or closed, raises what it raises."""
    with cat.open("ab") as file, pytest.raises(OSError, match="read"):
        await read_from(file)
    with pytest.raises(ValueError, match="closed"):
        await read_from(file)


async def test_a_negative_size_is_refused() -> None:
    """No source has fewer than no bytes."""
    with pytest.raises(ValueError, match="size"):
        await read_from(b"cat", size=-1)


@pytest.mark.parametrize("kind", ["path", "bytes", "file in memory", "form upload"])
@pytest.mark.parametrize("error", [-1, 1])
async def test_a_wrong_size_is_found_at_once(cat: Path, kind: str, error: int) -> None:
    """Fault 21: a size that contradicts what is known is refused when opened."""
    with pytest.raises(SourceChanged, match="256000 bytes"):
        await read_from(REPLAYABLE[kind](cat), size=len(CONTENT) + error)


@pytest.mark.parametrize("kind", REPLAYABLE)
async def test_a_right_size_is_accepted(cat: Path, kind: str) -> None:
    """A size that is right changes nothing, whatever the kind."""
    source = REPLAYABLE[kind](cat)

    assert await read_from(source, size=len(CONTENT)) == CONTENT


@pytest.mark.parametrize("kind", REPLAYABLE)
@pytest.mark.parametrize("size", [None, 0])
async def test_nothing_is_a_source_too(
    tmp_path: Path, kind: str, size: int | None
) -> None:
    """Fault 22: an empty source is opened and read; who wants it is not decided here."""
    (tmp_path / "empty").touch()

    async with opened(REPLAYABLE[kind](tmp_path / "empty"), size=size) as source:
        content = await read(source)

    assert (source.size, source.first, content) == (0, b"", b"")


@pytest.mark.parametrize("kind", ["path", "file in memory", "iterable"])
async def test_readings_do_not_disturb_each_other(
    cat: Path, kind: str, file_io: FileIO
) -> None:
    """Two readings that take turns each get all of it."""
    async with opened(REPLAYABLE[kind](cat), file_io=file_io) as source:
        one, two = source.chunks(), source.chunks()
        first, second = bytearray(), bytearray()
        while chunk := await anext(one, b""):
            first += chunk
            second += await anext(two)

    assert first == second == CONTENT
