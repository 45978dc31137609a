"""Plain files are watched for changes, and sent from their descriptors."""

from __future__ import annotations

import errno
import gzip
import io
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.descriptors import none_left_open
from tests.sourcing import CONTENT, opened, read, read_from
from wxmedia_async import SourceChanged
from wxmedia_async._local.disk import FileIO
from wxmedia_async._sources.plain_file import _seek_and_read, base_name
from wxmedia_async._sources.source import OpenSource


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    path = tmp_path / "cat.jpg"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(params=["inline", "thread"])
def file_io(request: pytest.FixtureRequest) -> FileIO:
    mode: FileIO = request.param
    return mode


def pread(source: OpenSource) -> bytes:
    assert source.fileno is not None
    return os.pread(source.fileno, source.size, source.offset)


async def test_a_path_gives_its_name_and_descriptor(cat: Path, file_io: FileIO) -> None:
    """A transport may send the file by its descriptor, which is closed in the end."""
    with none_left_open():
        async with opened(cat, file_io=file_io) as source:
            content = pread(source)

    assert content == CONTENT
    assert (source.filename, source.content_type) == ("cat.jpg", None)


@pytest.mark.parametrize(
    "changed_by",
    [
        lambda path: path.write_bytes(CONTENT + b"!"),
        lambda path: path.write_bytes(CONTENT[:-1]),
        lambda path: os.utime(path, ns=(0, 0)),
        lambda path: os.replace(copy_of(path), path),
        lambda path: path.unlink(),
    ],
    ids=["grew", "shrank", "modified", "replaced", "removed"],
)
async def test_a_changed_file_is_never_sent_whole(
    cat: Path, file_io: FileIO, changed_by: Callable[[Path], object]
) -> None:
    """Fault 21: after a change the last chunk is not given, so no upload completes."""
    received = bytearray()

    async with opened(cat, file_io=file_io) as source:
        chunks = source.chunks()
        received += await anext(chunks)
        changed_by(cat)
        with pytest.raises(SourceChanged):
            await read_on(chunks, received)
        with pytest.raises(SourceChanged):
            source.check()

    assert len(received) < len(CONTENT)


async def read_on(chunks: AsyncIterator[bytes], received: bytearray) -> None:
    async for chunk in chunks:
        received += chunk


def copy_of(path: Path) -> Path:
    copy = path.with_name("copy")
    copy.write_bytes(path.read_bytes())
    status = path.stat()
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
    return copy


async def test_a_change_between_two_readings_is_found(
    cat: Path, file_io: FileIO
) -> None:
    """Fault 21: a file that changed before another try is not sent again."""
    async with opened(cat, file_io=file_io) as source:
        await read(source)
        cat.write_bytes(CONTENT[::-1])
        os.utime(cat, ns=(1, 1))

        with pytest.raises(SourceChanged):
            await read(source)


async def test_a_growing_empty_file_is_found(tmp_path: Path, file_io: FileIO) -> None:
    """Fault 21: even a file of no bytes is looked at before its end."""
    (tmp_path / "log").touch()

    async with opened(tmp_path / "log", file_io=file_io) as source:
        (tmp_path / "log").write_bytes(b"x")

        with pytest.raises(SourceChanged):
            await read(source)


async def test_an_open_file_that_grows_is_found(cat: Path, file_io: FileIO) -> None:
    """Fault 21: a file that the caller opened is watched by its descriptor."""
    with cat.open("rb") as file:
        async with opened(file, file_io=file_io) as source:
            with cat.open("ab") as log:
                log.write(b"!")

            with pytest.raises(SourceChanged):
                await read(source)


async def test_an_open_file_may_lose_its_name(cat: Path, file_io: FileIO) -> None:
    """Whoever opened a file may remove it: it is still the same."""
    with cat.open("rb") as file:
        async with opened(file, file_io=file_io) as source:
            cat.unlink()

            assert await read(source) == CONTENT


async def test_an_open_file_may_be_closed(cat: Path, file_io: FileIO) -> None:
    """What the caller closes meanwhile is read by a descriptor of our own."""
    file = cat.open("rb")
    with none_left_open():
        file.read(3)
        async with opened(file, file_io=file_io) as source:
            file.close()
            with open(os.devnull, "rb"):
                content = await read(source)
        file = cat.open("rb")
    file.close()

    assert content == CONTENT[3:]


@pytest.mark.parametrize("buffering", [0, -1])
async def test_an_open_plain_file_gives_its_descriptor(
    cat: Path, buffering: int
) -> None:
    """A file that is merely read can be sent by descriptor from where it stands."""
    with cat.open("rb", buffering=buffering) as file:
        file.seek(3)
        async with opened(file) as source:
            assert pread(source) == CONTENT[3:]


async def test_files_around_files_give_no_descriptor(tmp_path: Path) -> None:
    """What gzip reads is not what stands in its file, though it has a descriptor."""
    with gzip.open(tmp_path / "cat.gz", "wb") as writing:
        writing.write(CONTENT)

    with gzip.open(tmp_path / "cat.gz") as file:
        async with opened(file) as source:
            assert source.fileno is None
            assert await read(source) == CONTENT


async def test_files_that_are_written_give_no_descriptor(cat: Path) -> None:
    """What a file still holds back is sent, though it is not on the disk yet."""
    with cat.open("r+b") as file:
        file.write(b"new")
        file.seek(0)
        async with opened(file) as source:
            assert source.fileno is None
            assert await read(source) == b"new" + CONTENT[3:]


async def test_without_pread_open_files_are_read_by_turns(
    cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no pread(), the caller's file is read by its own methods."""
    monkeypatch.delattr("os.pread")
    with cat.open("rb") as file:
        async with opened(file) as source:
            assert source.fileno is None
            assert await read(source) == CONTENT


async def test_without_pread_paths_are_read(
    cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no pread(), our own descriptors are moved before each read."""
    monkeypatch.setattr("wxmedia_async._sources.plain_file.pread", _seek_and_read)

    async with opened(cat) as source:
        assert await read(source) == CONTENT
        assert await read(source) == CONTENT


async def test_a_character_device_is_no_plain_file(file_io: FileIO) -> None:
    """A path to a device is refused; there is no end to /dev/zero."""
    with none_left_open(), pytest.raises(ValueError, match="plain file"):
        await read_from("/dev/zero", file_io=file_io)


async def test_a_fifo_does_not_hold_up_the_loop(
    tmp_path: Path, file_io: FileIO
) -> None:
    """A FIFO is refused at once, though nobody writes to it."""
    os.mkfifo(tmp_path / "fifo")

    with none_left_open(), pytest.raises(ValueError, match="plain file"):
        await read_from(tmp_path / "fifo", file_io=file_io)


async def test_a_pipe_is_spooled(file_io: FileIO) -> None:
    """A pipe that the caller opened has no position, and is read to its end."""
    reading, writing = os.pipe()
    os.write(writing, b"cat")
    os.close(writing)

    with open(reading, "rb") as pipe:
        assert await read_from(pipe, file_io=file_io) == b"cat"


async def test_a_folder_is_refused(tmp_path: Path, file_io: FileIO) -> None:
    """Fault 29: a folder is an IsADirectoryError that names it."""
    with none_left_open(), pytest.raises(IsADirectoryError) as caught:
        await read_from(tmp_path, file_io=file_io)

    assert caught.value.filename == str(tmp_path)


async def test_a_missing_file_is_refused(tmp_path: Path, file_io: FileIO) -> None:
    """Fault 29: what is not there is a FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        await read_from(tmp_path / "cat.jpg", file_io=file_io)


async def test_an_error_of_the_disk_is_passed_on(
    cat: Path, file_io: FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 29: what the disk says while it is read comes out as it is."""

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with none_left_open():
        async with opened(cat, file_io=file_io) as source:
            monkeypatch.setattr("wxmedia_async._sources.plain_file.pread", fail)
            with pytest.raises(OSError, match="Input/output error"):
                await read(source)


def test_names_are_base_names() -> None:
    """Whatever a file calls itself, only the last part of a path is its name."""
    names = {
        "/home/me/cat.jpg": "cat.jpg",
        b"album/cat.jpg": "cat.jpg",
        Path("album/cat.jpg"): "cat.jpg",
        b"\xff.jpg": "\N{REPLACEMENT CHARACTER}.jpg",
        "album/": None,
        "<stdin>": None,
        "": None,
        3: None,
        None: None,
    }

    assert {name: base_name(name) for name in names} == names


async def test_a_name_that_is_not_utf8_can_be_sent(tmp_path: Path) -> None:
    """A file with a name in some old encoding is given one that can be encoded."""
    path = os.fsencode(tmp_path) + b"/\xff.jpg"
    with open(path, "wb") as file:
        file.write(b"cat")

    async with opened(os.fsdecode(path)) as source:
        assert source.filename is not None
        assert source.filename.encode() == b"\xef\xbf\xbd.jpg"


async def test_a_socket_as_a_file_is_spooled() -> None:
    """A file made of a socket is read to its end first."""
    ours, theirs = socket.socketpair()
    with ours, ours.makefile("rb") as file:
        with theirs:
            theirs.sendall(b"cat")

        assert isinstance(file, io.BufferedReader)
        assert await read_from(file) == b"cat"
