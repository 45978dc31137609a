"""What code of the caller's raises comes out sealed, from any depth, and is kept."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.sourcing import CONTENT, Pieces, opened, read, read_from
from wxmedia_async import RateLimited, SourceChanged, TokenRejected
from wxmedia_async._foreign import Raised
from wxmedia_async._local.disk import FileIO
from wxmedia_async._sources.source import open_source

ERRORS: list[BaseException] = [
    httpx.ReadTimeout("the picture server is slow"),
    TokenRejected("another client's", code=40001),
    RateLimited("another client's", code=45011),
    OSError(5, "Input/output error"),
    asyncio.CancelledError("a future of theirs"),
    ZeroDivisionError("of its own"),
]


@pytest.fixture(params=ERRORS, ids=lambda error: type(error).__name__)
def theirs(request: pytest.FixtureRequest) -> BaseException:
    error: BaseException = request.param
    return error


@pytest.fixture(params=["inline", "thread"])
def file_io(request: pytest.FixtureRequest) -> FileIO:
    mode: FileIO = request.param
    return mode


class Flow(Pieces):
    """Fails when it is gone through: at its beginning, half-way, or in its clean-up."""

    def __init__(self, error: BaseException, at: str) -> None:
        super().__init__(b"x" * 64, b"y" * 64)
        self.error = error
        self.at = at

    async def __aiter__(self) -> Any:
        if self.at == "first":
            raise self.error
        try:
            yield b"x" * 64
            if self.at == "second":
                raise self.error
            yield b"y" * 64
        finally:
            if self.at == "closing":
                raise self.error


class NoIterator:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __aiter__(self) -> Any:
        raise self.error


class File(io.BytesIO):
    """Fails when a chosen one of its methods is called for the n-th time."""

    def __init__(self, error: BaseException, method: str, nth: int = 1) -> None:
        super().__init__(CONTENT)
        self.error = error
        self.method = method
        self.left = nth

    def _step(self, method: str) -> None:
        if method == self.method:
            self.left -= 1
            if self.left == 0:
                raise self.error

    def read(self, size: int | None = -1, /) -> bytes:
        self._step("read")
        data = super().read(size)
        if not data and self.method == "last seek":
            self.method = "seek"
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._step("seek")
        return super().seek(offset, whence)

    def tell(self) -> int:
        self._step("tell")
        return super().tell()

    def seekable(self) -> bool:
        self._step("seekable")
        return self.method != "pipe"


class Awaited:
    """The same, awaited."""

    def __init__(self, error: BaseException, method: str, nth: int = 1) -> None:
        self._file = File(error, method, nth)

    async def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    async def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    async def tell(self) -> int:
        return self._file.tell()


class Path_(os.PathLike[str]):
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __fspath__(self) -> str:
        raise self.error


class Attribute:
    def __init__(self, error: BaseException, name: str) -> None:
        self.__dict__["error"] = error
        self.__dict__["named"] = name

    def __getattr__(self, name: str) -> Any:
        if name == self.__dict__["named"]:
            raise self.__dict__["error"]
        raise AttributeError(name)

    async def __aiter__(self) -> Any:
        yield CONTENT


SOURCES: dict[str, Callable[[Any], Any]] = {
    "aiter": NoIterator,
    "first chunk": lambda error: Flow(error, "first"),
    "second chunk": lambda error: Flow(error, "second"),
    "end of a generator": lambda error: Flow(error, "closing"),
    "path": Path_,
    "its size": lambda error: Attribute(error, "size"),
    "its name": lambda error: Attribute(error, "filename"),
    "its type": lambda error: Attribute(error, "content_type"),
    "tell": lambda error: File(error, "tell"),
    "seekable": lambda error: File(error, "seekable"),
    "first seek": lambda error: File(error, "seek"),
    "seek while read": lambda error: File(error, "seek", 3),
    "seek in the end": lambda error: File(error, "last seek"),
    "first read": lambda error: File(error, "read"),
    "second read": lambda error: File(error, "read", 2),
    "awaited tell": lambda error: Awaited(error, "tell"),
    "awaited seek": lambda error: Awaited(error, "seek"),
    "awaited seek while read": lambda error: Awaited(error, "seek", 3),
    "awaited seek in the end": lambda error: Awaited(error, "last seek"),
    "awaited first read": lambda error: Awaited(error, "read"),
    "awaited second read": lambda error: Awaited(error, "read", 2),
}


@pytest.mark.parametrize("kind", SOURCES)
async def test_it_comes_out_as_it_was_raised(
    kind: str, theirs: BaseException, file_io: FileIO
) -> None:
    """From any method, with and without a size, no clause of ours takes it for ours."""
    size = len(CONTENT) if "seek" in kind or "read" in kind else None
    for given in {size, None}:
        with pytest.raises(type(theirs)) as caught:
            await read_from(SOURCES[kind](theirs), size=given, file_io=file_io)

        assert caught.value is theirs


@pytest.mark.parametrize("at", ["first", "second", "closing"])
async def test_with_a_size_it_comes_out_as_well(at: str, theirs: BaseException) -> None:
    """The same for what is sent as it comes: peeked at, read, closed."""
    with pytest.raises(type(theirs)) as caught:
        await read_from(Flow(theirs, at), size=128)

    assert caught.value is theirs


@pytest.mark.parametrize(
    ("source", "size"),
    [
        pytest.param(Flow(ERRORS[0], "second"), 128, id="iterable"),
        pytest.param(File(ERRORS[0], "read", 3), None, id="file"),
        pytest.param(Awaited(ERRORS[0], "read", 3), None, id="awaited file"),
    ],
)
@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_the_first_failure_of_a_reading_is_kept(source: Any, size: Any) -> None:
    """Whatever a transport makes of it, the upload can still tell what it was."""
    async with open_source(source, size=size, limit=None, file_io="inline") as one:
        assert one.failure is None
        with pytest.raises(Raised) as caught:
            await read(one)

        assert one.failure is caught.value
        assert caught.value.error is ERRORS[0]


async def test_a_change_is_kept_as_well(tmp_path: Path) -> None:
    """What is found by looking, or by reading, is told by the source ever after."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(CONTENT)

    async with opened(path) as by_reading, opened(path) as by_looking:
        path.write_bytes(CONTENT[1:])
        with pytest.raises(SourceChanged) as read_error:
            await read(by_reading)
        with pytest.raises(SourceChanged) as look_error:
            by_looking.check()

        assert by_reading.failure is read_error.value
        assert by_looking.failure is look_error.value


async def fail_after_a_chunk(source: Any, size: int | None) -> None:
    async with opened(source, size=size) as one:
        await anext(one.chunks())
        raise LookupError


@pytest.mark.parametrize(
    "source",
    [Flow(ZeroDivisionError(), "closing"), File(ZeroDivisionError(), "seek", 4)],
    ids=["iterable", "file"],
)
@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_a_clean_up_that_fails_hides_no_failure(source: Any) -> None:
    """What failed first is told, and not what failed because of it."""
    size = 128 if isinstance(source, Flow) else None

    with pytest.raises(LookupError):
        await fail_after_a_chunk(source, size)


async def test_another_tasks_cancellation_is_no_failure_of_theirs() -> None:
    """A scope around the reading cancels it as any other work."""

    async def endless() -> Any:
        yield b"x" * 64
        await anyio.sleep_forever()

    with anyio.CancelScope() as scope:
        async with opened(endless(), size=65) as one:
            chunks = one.chunks()
            await anext(chunks)
            scope.cancel()
            await anext(chunks)

    assert scope.cancelled_caught
    assert one.failure is None
