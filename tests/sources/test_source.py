"""Whatever a user may upload can be opened, and what cannot is refused clearly."""

from __future__ import annotations

import array
import asyncio
import io
import mmap
import tempfile
from collections.abc import AsyncGenerator, Callable, Generator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import aiofiles  # type: ignore[import-untyped] # it has none of its own
import anyio
import httpx
import pytest
import trio
from aiohttp import MultipartReader, StreamReader
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict
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


async def later(value: Any) -> Any:
    return value


class Declared:
    """A file whose plain methods return *given* of what they read."""

    def __init__(self, given: Callable[[Any], Any], content: bytes = CONTENT) -> None:
        self.file = None
        self._given = given
        self._inside = io.BytesIO(content)

    def read(self, size: int = -1, /) -> Any:
        return self._given(self._inside.read(size))


class Positioned(Declared):
    def seek(self, offset: int, whence: int = 0, /) -> Any:
        return self._given(self._inside.seek(offset, whence))

    def tell(self) -> Any:
        return self._given(self._inside.tell())


class OnlyReadsAwaited(Positioned):
    def seek(self, offset: int, whence: int = 0, /) -> Any:
        return self._inside.seek(offset, whence)

    def tell(self) -> Any:
        return self._inside.tell()


class OnlyPositionAwaited(Positioned):
    def read(self, size: int = -1, /) -> Any:
        return self._inside.read(size)


class Iterated(OnlyReadsAwaited):
    async def __aiter__(self) -> AsyncGenerator[bytes]:
        yield b""


class ByPartial:
    """A wrapper that hands methods on, as functools.partial or __getattr__ do."""

    def __init__(self, inside: Any) -> None:
        self.read = partial(inside.read)


class Awaitable:
    """What is neither a coroutine nor a future can be awaited as well."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return later(self.value).__await__()


def in_a_future(value: Any) -> Any:
    future = asyncio.get_running_loop().create_future()
    future.set_result(value)
    return future


def in_a_trio_context(value: Any) -> Any:
    trio.lowlevel.current_task()
    return later(value)


KINDS = [Declared, Positioned, OnlyReadsAwaited, OnlyPositionAwaited, Iterated]


@pytest.mark.parametrize("given", [later, Awaitable])
@pytest.mark.parametrize("kind", [*KINDS, lambda given: ByPartial(Declared(given))])
async def test_a_file_that_returns_what_is_awaited_is_async(
    kind: Callable[[Any], Any], given: Callable[[Any], Any], file_io: FileIO
) -> None:
    """However its methods are declared, and whichever of them return it."""
    assert await read_from(kind(given), file_io=file_io) == CONTENT


@on_asyncio
@pytest.mark.parametrize("kind", [*KINDS, lambda given: ByPartial(Declared(given))])
async def test_a_file_that_returns_futures_is_async(
    kind: Callable[[Any], Any], file_io: FileIO
) -> None:
    """Futures are made in their event loop only, as compiled readers do."""
    assert await read_from(kind(in_a_future), file_io=file_io) == CONTENT
    assert await read_from(kind(in_a_future), size=len(CONTENT)) == CONTENT


@on_trio
@pytest.mark.parametrize("kind", [Declared, Positioned])
async def test_a_file_that_needs_trio_is_async(kind: Callable[[Any], Any]) -> None:
    """The same for what looks for trio's task."""
    assert await read_from(kind(in_a_trio_context)) == CONTENT


async def test_a_file_that_returns_bytes_is_none(file_io: FileIO) -> None:
    """Plain objects with plain methods are plain files."""
    for kind in (Declared, Positioned):
        assert await read_from(kind(lambda value: value), file_io=file_io) == CONTENT


async def test_an_error_of_a_loop_is_theirs_if_it_stays() -> None:
    """A read that finds no event loop is asked on ours, and may fail there too."""

    def fail(_: object) -> Any:
        raise RuntimeError("no such event loop")

    with pytest.raises(RuntimeError, match="no such event loop"):
        await read_from(Declared(fail))


async def test_a_compiled_async_file_is_sent_from_where_it_stands() -> None:
    """It is left like any other: at its end if it was sent."""
    file = Iterated(later)
    file.seek(3)

    assert await read_from(file) == CONTENT[3:]
    assert file.tell() == len(CONTENT)


@pytest.mark.parametrize(
    "source",
    [12, 1.5, None, ["cat"], iter([b"cat"]), (b for b in [b"cat"]), object()],
    ids=repr,
)
async def test_anything_else_is_refused(source: object) -> None:
    """What is none of the kinds is a TypeError that names them."""
    with pytest.raises(TypeError, match="path, bytes, a binary file, an async file"):
        await read_from(source)


class Named:
    """An iterable that knows its name and its length."""

    def __init__(self, **said: object) -> None:
        vars(self).update(said)

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        yield CONTENT


@pytest.mark.parametrize("size", [len(CONTENT), None, -1, True, "9", len])
async def test_a_source_may_know_its_size_and_name(size: object) -> None:
    """Its attributes count where there is no argument; without a length it spools."""
    known = size == len(CONTENT)

    async with opened(Named(size=size, filename="album/cat.jpg")) as source:
        assert (source.size, source.filename) == (len(CONTENT), "cat.jpg")
        assert source.replayable is not known
        assert await read(source) == CONTENT


async def test_a_size_that_is_given_counts_more() -> None:
    """The argument is what the caller promises."""
    async with opened(Named(size=3), size=len(CONTENT)) as source:
        assert await read(source) == CONTENT


async def test_a_size_that_a_source_is_wrong_about_is_found() -> None:
    """Fault 21: what a source says of itself is held to as well."""
    with pytest.raises(SourceChanged):
        await read_from(Named(size=3))


async def test_the_size_of_what_has_a_position_is_its_own(cat: Path) -> None:
    """A form's file tells the size of all of it, and may stand elsewhere."""
    upload = UploadFile(io.BytesIO(CONTENT), size=len(CONTENT))
    await upload.read(3)

    assert await read_from(upload) == CONTENT[3:]


@pytest.mark.parametrize(
    ("source", "filename"),
    [
        (Named(filename=3), None),
        (Named(filename=None), None),
        (Named(name="cat.jpg"), None),
        (Named(filename=Path("album/cat.jpg")), "cat.jpg"),
    ],
)
async def test_names_of_iterables(source: object, filename: str | None) -> None:
    """An attribute that is no name is none; `name` may be anything's."""
    async with opened(source) as one:
        assert one.filename == filename


@pytest.mark.parametrize(
    ("label", "content_type"),
    [
        ("image/jpeg", "image/jpeg"),
        (" image/jpeg;", "image/jpeg"),
        ("image/*", None),
        ("jpg", None),
        ("", None),
        ("image/jpeg\r\nX: y", None),
    ],
)
async def test_a_label_is_a_hint(label: str, content_type: str | None) -> None:
    """What a browser made up is corrected, or left out; it hinders nothing."""
    headers = Headers(raw=[(b"content-type", label.encode())])

    async with opened(UploadFile(io.BytesIO(b"cat"), headers=headers)) as source:
        assert source.content_type == content_type


class BodyPart:
    """As aiohttp hands over a part of a form."""

    name, filename = "media", "cat.jpg"

    def __init__(self) -> None:
        self._content = io.BytesIO(CONTENT)

    async def read(self, *, decode: bool = False) -> bytearray:
        raise AssertionError("it would read all of it into memory")

    async def read_chunk(self, size: int = 8192) -> bytes:
        return self._content.read(size)

    def __aiter__(self) -> BodyPart:
        return self

    async def __anext__(self) -> object:
        raise AssertionError("not all that it gives is bytes")


@pytest.mark.parametrize("size", [None, len(CONTENT)])
async def test_a_part_of_a_form_is_read_in_chunks(size: int | None) -> None:
    """aiohttp's BodyPartReader is taken, with the name of its file."""
    async with opened(BodyPart(), size=size) as source:
        assert source.filename == "cat.jpg"
        assert await read(source) == CONTENT


@on_asyncio
async def test_a_real_part_of_a_form_is_read() -> None:
    """The same for one that aiohttp made."""
    body = b'--cut\r\nContent-Disposition: form-data; name="f"; filename="a.jpg"'
    body += b"\r\n\r\n" + CONTENT + b"\r\n--cut--\r\n"
    loop = asyncio.get_running_loop()
    stream = StreamReader(make_mocked_request("POST", "/").protocol, 2**16, loop=loop)
    stream.feed_data(body)
    stream.feed_eof()
    headers = CIMultiDict({"Content-Type": "multipart/form-data; boundary=cut"})

    async with opened(await MultipartReader(headers, stream).next()) as source:
        assert source.filename == "a.jpg"
        assert await read(source) == CONTENT


class AiohttpResponse:
    """As aiohttp's, without a connection."""

    class Content:
        iter_chunked = None

    content = Content()

    async def read(self) -> bytes:
        return b""


class RequestsResponse:
    iter_content = len


@pytest.mark.parametrize(
    ("source", "instead"),
    [
        (httpx.Response(200), r"response\.aiter_raw\(\) with size="),
        (AiohttpResponse(), r"response\.content with size="),
        (RequestsResponse(), r"pass response\.content"),
        (io.BytesIO, "an object, not the class BytesIO"),
    ],
)
@pytest.mark.parametrize("size", [None, 3])
async def test_what_is_not_taken_says_what_is(
    source: object, instead: str, size: int | None
) -> None:
    """A reply of another client is refused with a sentence that says what to pass."""
    with pytest.raises(TypeError, match=instead):
        await read_from(source, size=size)


async def test_what_is_said_to_pass_is_taken() -> None:
    """A reply's raw bytes are an iterable like any other."""

    async def chunks() -> AsyncGenerator[bytes]:
        yield CONTENT

    reply = httpx.Response(200, content=chunks())

    assert await read_from(reply.aiter_raw(), size=len(CONTENT)) == CONTENT


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
