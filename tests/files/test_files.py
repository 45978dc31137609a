"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from tests.descriptors import none_left_open
from wxmedia_async._files.draft import identity_of, is_same, remove_old_parts
from wxmedia_async._files.part import Part, make_folder, open_part
from wxmedia_async._files.target import Target, child, resolve_target
from wxmedia_async._local.disk import FileIO

MIB = 1024 * 1024
NOREPLACE = "wxmedia_async._files.publish.rename_exclusively"


@pytest.fixture(params=["inline", "thread", "named"])
def file_io(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> FileIO:
    """How disks are written to; ``named``: one that has no files without a name."""
    if request.param == "named":
        monkeypatch.delattr("os.O_TMPFILE", raising=False)
    return "thread" if request.param == "thread" else "inline"


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.O_TMPFILE", raising=False)


async def save(
    final: Path,
    *chunks: bytes,
    file_io: FileIO,
    overwrite: bool = False,
    before_publishing: Callable[[Part], object] = lambda _: None,
) -> None:
    async with open_part(str(final), file_io=file_io) as part:
        for chunk in chunks:
            await part.write(chunk)
        before_publishing(part)
        await part.publish(overwrite=overwrite)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def fail_with(code: int) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_folder_that_exists_is_a_folder(tmp_path: Path) -> None:
    """However it is written, a folder that exists is where files go into."""
    for to in (tmp_path, str(tmp_path), f"{tmp_path}/"):
        target = resolve_target(to, overwrite=False)

        assert target == Target(folder=str(tmp_path), path=None)


def test_a_str_that_ends_in_a_separator_is_a_folder(tmp_path: Path) -> None:
    """A folder to be made is a str that ends in a separator; nothing is made yet."""
    target = resolve_target(f"{tmp_path}/new/deep/", overwrite=False)

    assert target == Target(folder=str(tmp_path / "new" / "deep"), path=None)
    assert names(tmp_path) == []


def test_anything_else_is_a_file(tmp_path: Path) -> None:
    """A path without a trailing separator, where no folder is, is a file."""
    target = resolve_target(tmp_path / "cat.jpg", overwrite=False)

    assert target == Target(folder=None, path=str(tmp_path / "cat.jpg"))


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_an_existing_file_is_refused(tmp_path: Path, kind: str) -> None:
    """Without overwrite, whatever has the name is kept."""
    path = tmp_path / "cat.jpg"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to("nowhere")

    with pytest.raises(FileExistsError) as caught:
        resolve_target(path, overwrite=False)

    assert caught.value.filename == str(path)
    assert resolve_target(path, overwrite=True).path == str(path)


def test_the_folder_of_a_file_must_exist(tmp_path: Path) -> None:
    """A file's own folder is not made."""
    with pytest.raises(FileNotFoundError):
        resolve_target(tmp_path / "missing" / "cat.jpg", overwrite=False)


@pytest.mark.parametrize("to", ["file/", "file/cat.jpg", "link/"])
def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path: Path, to: str) -> None:
    """Fault 29: where a file or a dangling link is, no folder can be."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")

    with pytest.raises(NotADirectoryError):
        resolve_target(f"{tmp_path}/{to}", overwrite=True)


@pytest.mark.parametrize("to", ["", "cat\0.jpg", "inbox\0/"])
def test_what_cannot_be_a_path_is_refused(to: str) -> None:
    """An empty str, which a forgotten setting gives, is no folder; NUL is nowhere."""
    with pytest.raises(ValueError, match="path"):
        resolve_target(to, overwrite=False)


def test_a_device_is_not_overwritten(tmp_path: Path) -> None:
    """A FIFO, or /dev/null, would be gone afterwards; a link to it may go."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")

    with pytest.raises(ValueError, match="plain file"):
        resolve_target(tmp_path / "fifo", overwrite=True)

    assert resolve_target(tmp_path / "link", overwrite=True).path == str(
        tmp_path / "link"
    )


def test_folders_are_made_with_those_above(tmp_path: Path) -> None:
    """A folder may be made twice."""
    for _ in range(2):
        make_folder(str(tmp_path / "a" / "b"))

    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "..\\a", "a\0"])
def test_a_name_is_one_component(tmp_path: Path, name: str) -> None:
    """Fault 17: the final path is always inside the folder."""
    with pytest.raises(ValueError, match="plain name"):
        child(str(tmp_path), name)


def test_a_plain_name_is_in_the_folder(tmp_path: Path) -> None:
    """A name without separators is used as it is, dots and all."""
    assert child(str(tmp_path), "..a..jpg") == str(tmp_path / "..a..jpg")


async def test_a_file_appears_when_it_is_published(
    tmp_path: Path, file_io: FileIO
) -> None:
    """Until then nobody sees it under its name, and then all of it."""
    final = tmp_path / "cat.jpg"

    async with open_part(str(final), file_io=file_io) as part:
        await part.write(b"ca")
        await part.write(b"")
        await part.write(memoryview(b"t"))
        before = final.exists()
        await part.publish(overwrite=False)
        after = final.read_bytes()

    assert (before, after) == (False, b"cat")
    assert names(tmp_path) == ["cat.jpg"]


async def test_an_empty_file_is_a_file(tmp_path: Path, file_io: FileIO) -> None:
    """Nothing written is published as well."""
    await save(tmp_path / "empty", file_io=file_io)

    assert (tmp_path / "empty").read_bytes() == b""


async def test_large_writes_arrive_in_order(tmp_path: Path, file_io: FileIO) -> None:
    """Chunks below, at and above what a thread is worth keep their order."""
    chunks = [bytes([i]) * size for i, size in enumerate((7, MIB, 3, 2 * MIB, MIB - 3))]

    await save(tmp_path / "big", *chunks, file_io=file_io)

    assert (tmp_path / "big").read_bytes() == b"".join(chunks)


async def test_small_writes_share_a_thread(tmp_path: Path) -> None:
    """On a slow disk little is written until there is enough to be worth a thread."""
    async with open_part(str(tmp_path / "a"), file_io="thread") as part:
        await part.write(b"x" * (MIB - 1))
        before = os.fstat(part.fd).st_size
        await part.write(b"y")
        after = os.fstat(part.fd).st_size

    assert (before, after) == (0, MIB)


async def test_the_umask_applies(tmp_path: Path, file_io: FileIO) -> None:
    """A downloaded file has the mode that open() would have given it."""
    previous = os.umask(0o027)
    try:
        await save(tmp_path / "cat.jpg", b"cat", file_io=file_io)
    finally:
        os.umask(previous)

    assert stat.S_IMODE((tmp_path / "cat.jpg").stat().st_mode) == 0o640


@pytest.mark.usefixtures("named")
async def test_the_temporary_name_tells_what_it_is(tmp_path: Path) -> None:
    """Whoever finds it knows what it was to become; listings do not show it."""
    async with open_part(str(tmp_path / "cat.jpg"), file_io="inline"):
        (found,) = tmp_path.iterdir()

    assert found.name.startswith(".cat.jpg.")
    assert found.suffix == ".part"


@pytest.mark.usefixtures("named")
@pytest.mark.parametrize("letter", ["a", "喵", "\udcff"])
async def test_the_longest_name_has_a_temporary_one(
    tmp_path: Path, letter: str
) -> None:
    """A final name as long as can be leaves room for its temporary one."""
    final = tmp_path / (letter * (255 // len(os.fsencode(letter))))

    await save(final, b"cat", file_io="inline")

    assert final.read_bytes() == b"cat"


async def test_parts_may_come_in_any_order(tmp_path: Path, file_io: FileIO) -> None:
    """Bytes are written to their places."""
    async with open_part(str(tmp_path / "cat"), file_io=file_io) as part:
        await part.write_at(2, b"t!")
        await part.write_at(0, b"ca")
        await part.publish(overwrite=False)

    assert (tmp_path / "cat").read_bytes() == b"cat!"


async def test_a_restart_forgets_what_was_written(
    tmp_path: Path, file_io: FileIO
) -> None:
    """Another try begins with an empty file."""
    async with open_part(str(tmp_path / "cat"), file_io=file_io) as part:
        await part.write(b"x" * (MIB + 1))
        await part.write(b"x")
        await part.restart()
        await part.write(b"cat")
        await part.publish(overwrite=False)

    assert (tmp_path / "cat").read_bytes() == b"cat"


async def test_what_is_not_published_is_removed(
    tmp_path: Path, file_io: FileIO
) -> None:
    """Leaving the block early leaves nothing."""
    async with open_part(str(tmp_path / "cat"), file_io=file_io) as part:
        await part.write(b"cat")

    assert names(tmp_path) == []


async def test_an_error_leaves_nothing(tmp_path: Path, file_io: FileIO) -> None:
    """The error comes out as it was raised, and the folder is empty."""
    error = LookupError()

    def fail(_: Part) -> None:
        raise error

    with none_left_open(), pytest.raises(LookupError) as caught:
        await save(tmp_path / "cat", b"cat", file_io=file_io, before_publishing=fail)

    assert caught.value is error
    assert names(tmp_path) == []


async def test_nothing_can_be_written_afterwards(
    tmp_path: Path, file_io: FileIO
) -> None:
    """A part that is used too late fails, rather than write to another file."""
    async with open_part(str(tmp_path / "cat"), file_io=file_io) as part:
        pass

    with pytest.raises(OSError, match="Bad file descriptor"):
        await part.write(b"x" * MIB)


async def test_short_writes_are_continued(
    tmp_path: Path, file_io: FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 29: a disk that takes a few bytes at a time gets them all."""
    write, pwrite = os.write, os.pwrite
    monkeypatch.setattr("os.write", lambda fd, data: write(fd, data[:2]))
    monkeypatch.setattr(
        "wxmedia_async._files.part._pwrite",
        lambda fd, data, offset: pwrite(fd, data[:2], offset),
    )

    await save(tmp_path / "cat", b"cat.jpg", file_io=file_io)
    async with open_part(str(tmp_path / "dog"), file_io=file_io) as part:
        await part.write_at(0, b"dog.jpg")
        await part.publish(overwrite=False)

    assert (tmp_path / "cat").read_bytes() == b"cat.jpg"
    assert (tmp_path / "dog").read_bytes() == b"dog.jpg"


async def test_writing_at_places_without_pwrite(tmp_path: Path) -> None:
    """Where there is no pwrite(), the same bytes are in the same places."""
    from wxmedia_async._files.part import _seek_and_write

    async with open_part(str(tmp_path / "cat"), file_io="inline") as part:
        _seek_and_write(part.fd, memoryview(b"t"), 2)
        _seek_and_write(part.fd, memoryview(b"ca"), 0)
        await part.publish(overwrite=False)

    assert (tmp_path / "cat").read_bytes() == b"cat"


async def test_a_full_disk_leaves_nothing(
    tmp_path: Path, file_io: FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 29: the disk takes a part and then no more: its OSError, and no file."""
    write = os.write
    room = 3

    def fill(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, data[:room])
        room -= written
        return written

    monkeypatch.setattr("os.write", fill)

    with none_left_open(), pytest.raises(OSError, match="No space left") as caught:
        await save(tmp_path / "cat", b"cat.jpg", file_io=file_io)

    assert caught.value.errno == errno.ENOSPC
    assert names(tmp_path) == []


async def test_a_disk_found_full_at_the_end_leaves_nothing(
    tmp_path: Path, file_io: FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 29: a network disk may tell that it is full only when a file is closed."""
    close = os.close

    def report_full(part: Part) -> None:
        of_the_part = identity_of(os.fstat(part.fd))[:2]

        def close_full(closing: int) -> None:
            status = os.fstat(closing)
            close(closing)
            if identity_of(status)[:2] == of_the_part:
                raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

        monkeypatch.setattr("os.close", close_full)

    with none_left_open(), pytest.raises(OSError, match="quota"):
        await save(
            tmp_path / "cat", b"cat", file_io=file_io, before_publishing=report_full
        )

    assert names(tmp_path) == []


async def test_a_disk_that_fails_while_discarding_hides_nothing(
    tmp_path: Path, file_io: FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Why a file is discarded matters more than that it could not be removed."""

    def fail(part: Part) -> None:
        os.close(part.fd)
        monkeypatch.setattr("os.unlink", fail_with(errno.EROFS))
        raise LookupError

    with none_left_open(), pytest.raises(LookupError):
        await save(tmp_path / "cat", b"cat", file_io=file_io, before_publishing=fail)


async def test_a_missing_folder_is_an_error(tmp_path: Path, file_io: FileIO) -> None:
    """Fault 29: a folder that is gone by now is a FileNotFoundError."""
    with pytest.raises(FileNotFoundError):
        await save(tmp_path / "gone" / "cat", b"cat", file_io=file_io)


async def test_a_missing_folder_is_made(tmp_path: Path, file_io: FileIO) -> None:
    """The folder that downloads go into is made, with those above it."""
    folder = tmp_path / "new" / "deep"

    async with open_part(
        str(folder / "cat"), file_io=file_io, folder=str(folder)
    ) as part:
        await part.publish(overwrite=False)

    assert names(folder) == ["cat"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.EROFS])
async def test_an_error_of_the_disk_is_passed_on(
    tmp_path: Path, file_io: FileIO, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Fault 29: no permission, too many files: the same OSError, nothing removed."""
    monkeypatch.setattr("os.open", fail_with(code))

    with pytest.raises(OSError, match=os.strerror(code)) as caught:
        await save(tmp_path / "cat", b"cat", file_io=file_io)

    assert caught.value.errno == code


@pytest.mark.usefixtures("named")
async def test_a_name_that_somebody_has_is_not_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A temporary name that is taken is somebody else's: it stays."""
    monkeypatch.setattr("os.urandom", bytes)
    (tmp_path / ".cat.0000000000000000.part").touch()

    with pytest.raises(FileExistsError):
        await save(tmp_path / "cat", b"cat", file_io="inline")

    assert names(tmp_path) == [".cat.0000000000000000.part"]


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_folder_in_the_way_stays(
    tmp_path: Path, file_io: FileIO, overwrite: bool
) -> None:
    """Fault 29: a folder is never replaced."""
    (tmp_path / "cat").mkdir()

    with pytest.raises((FileExistsError, IsADirectoryError)):
        await save(tmp_path / "cat", b"cat", file_io=file_io, overwrite=overwrite)

    assert names(tmp_path) == ["cat"]


async def test_a_file_is_replaced_if_so_wanted(tmp_path: Path, file_io: FileIO) -> None:
    """With overwrite the old file is gone."""
    (tmp_path / "cat").write_bytes(b"old")

    await save(tmp_path / "cat", b"new", file_io=file_io, overwrite=True)

    assert (tmp_path / "cat").read_bytes() == b"new"
    assert names(tmp_path) == ["cat"]


async def test_a_link_is_replaced_and_not_followed(
    tmp_path: Path, file_io: FileIO
) -> None:
    """With overwrite a symbolic link is replaced; what it leads to stays."""
    (tmp_path / "precious").write_bytes(b"old")
    (tmp_path / "cat").symlink_to("precious")

    await save(tmp_path / "cat", b"new", file_io=file_io, overwrite=True)

    assert (tmp_path / "precious").read_bytes() == b"old"
    assert (tmp_path / "cat").read_bytes() == b"new"


async def test_a_file_that_came_in_between_is_kept(
    tmp_path: Path, file_io: FileIO
) -> None:
    """Fault 31: without overwrite, a file that appeared meanwhile stays."""
    final = tmp_path / "cat"

    def overtake(_: Part) -> None:
        final.write_bytes(b"old")

    with none_left_open(), pytest.raises(FileExistsError):
        await save(final, b"new", file_io=file_io, before_publishing=overtake)

    assert (tmp_path / "cat").read_bytes() == b"old"
    assert names(tmp_path) == ["cat"]


@pytest.mark.parametrize("lacks", ["nothing", "names", "links", "link()", "renames"])
async def test_of_many_writers_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    """Fault 31: published at once from many threads, one file stays, whole."""
    if lacks == "names":
        monkeypatch.delattr("os.O_TMPFILE", raising=False)
    if lacks in ("links", "renames"):
        monkeypatch.setattr("os.link", fail_with(errno.EPERM))
    if lacks == "link()":
        monkeypatch.delattr("os.link")
    if lacks == "renames":
        monkeypatch.setattr(NOREPLACE, lambda *_: False)
    won: list[bytes] = []

    async def write(content: bytes) -> None:
        try:
            await save(tmp_path / "cat", content, file_io="thread")
        except FileExistsError:
            return
        won.append(content)

    async with anyio.create_task_group() as writers:
        for letter in b"abcdefgh":
            writers.start_soon(write, bytes([letter]) * MIB)

    assert [(tmp_path / "cat").read_bytes()] == won
    assert names(tmp_path) == ["cat"]


async def test_of_many_that_overwrite_one_stays_whole(tmp_path: Path) -> None:
    """Fault 31: with overwrite all succeed, and what stays is one of them."""
    contents = [bytes([letter]) * MIB for letter in b"abcdefgh"]

    async with anyio.create_task_group() as writers:
        for content in contents:
            writers.start_soon(overwrite_from_thread, tmp_path / "cat", content)

    assert (tmp_path / "cat").read_bytes() in contents
    assert names(tmp_path) == ["cat"]


async def overwrite_from_thread(final: Path, content: bytes) -> None:
    await save(final, content, file_io="thread", overwrite=True)


def test_on_the_loop_nothing_waits(tmp_path: Path) -> None:
    """Inline, a file is written without a single suspension."""

    async def write() -> None:
        async with open_part(str(tmp_path / "cat"), file_io="inline") as part:
            await part.write(b"cat")
            await part.restart()
            await part.write_at(0, b"cat")
            await part.publish(overwrite=False)

    writing = write()
    with pytest.raises(StopIteration):
        writing.send(None)

    assert (tmp_path / "cat").read_bytes() == b"cat"


def test_a_part_shows_no_content(tmp_path: Path) -> None:
    """The representation of a part is short, whatever it holds."""
    part = Part("cat", folder=None, disk=None)  # type: ignore[arg-type]
    part._pending += b"secret"

    assert "secret" not in repr(part)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666])
@pytest.mark.parametrize("links", [True, False])
async def test_a_replaced_file_stays_as_private_as_it_was(
    tmp_path: Path,
    file_io: FileIO,
    monkeypatch: pytest.MonkeyPatch,
    mode: int,
    links: bool,
) -> None:
    """With overwrite the new file has the mode of the old one."""
    if not links:
        monkeypatch.setattr("os.link", fail_with(errno.EPERM))
    (tmp_path / "cat").write_bytes(b"old")
    (tmp_path / "cat").chmod(mode)

    await save(tmp_path / "cat", b"new", file_io=file_io, overwrite=True)

    assert stat.S_IMODE((tmp_path / "cat").stat().st_mode) == mode
    assert (tmp_path / "cat").read_bytes() == b"new"
    assert names(tmp_path) == ["cat"]


async def test_the_mode_behind_a_link_is_not_taken(
    tmp_path: Path, file_io: FileIO
) -> None:
    """A symbolic link is replaced by a file of the usual mode."""
    (tmp_path / "precious").touch(0o600)
    (tmp_path / "cat").symlink_to("precious")
    (tmp_path / "usual").touch()

    await save(tmp_path / "cat", b"new", file_io=file_io, overwrite=True)

    assert (tmp_path / "cat").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_part_is_known_before_and_after(
    tmp_path: Path, file_io: FileIO, overwrite: bool
) -> None:
    """A part's identity is that of the file which it becomes."""
    async with open_part(str(tmp_path / "cat"), file_io=file_io) as part:
        await part.write(b"cat")
        before = await part.identity()
        await part.publish(overwrite=overwrite)

    assert before == identity_of((tmp_path / "cat").stat())


async def test_a_copy_is_known_as_the_same(
    tmp_path: Path, file_io: FileIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file without a name can get none, its copy is known all the same."""
    monkeypatch.setattr("os.link", fail_with(errno.EPERM))
    async with open_part(str(tmp_path / "cat"), file_io=file_io) as part:
        await part.write(b"cat")
        before = await part.identity()
        (tmp_path / "dog").write_bytes(b"dog")
        os.utime(tmp_path / "dog", (0, 0))
        await part.publish(overwrite=False)

    assert is_same(before, identity_of((tmp_path / "cat").stat()))
    assert not is_same(before, identity_of((tmp_path / "dog").stat()))


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="named files only")
@pytest.mark.parametrize("overwrite", [False, True])
async def test_a_disk_without_room_for_a_copy_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overwrite: bool
) -> None:
    """Fault 29: where a file can get a name by a copy alone, that may be too much."""

    def fill(_: Part) -> None:
        monkeypatch.setattr("os.link", fail_with(errno.EPERM))
        monkeypatch.setattr("os.write", fail_with(errno.ENOSPC))

    with none_left_open(), pytest.raises(OSError, match="No space left"):
        await save(
            tmp_path / "cat",
            b"cat",
            file_io="inline",
            overwrite=overwrite,
            before_publishing=fill,
        )

    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="named files only")
async def test_a_file_in_the_making_has_no_name(tmp_path: Path) -> None:
    """Where disks can, a kill leaves nothing, for there is nothing to be left."""
    async with open_part(str(tmp_path / "cat"), file_io="inline") as part:
        await part.write(b"cat")

        assert names(tmp_path) == []


def test_old_parts_are_removed(tmp_path: Path) -> None:
    """What killed processes left a day ago goes; all else stays."""
    mine, young = ".cat.0123456789abcdef.part", ".cat.fedcba9876543210.part"
    others = [".cat.part", "cat.0123456789abcdef.part", ".cat.0123456789abcdef.partial"]
    for name in (mine, young, *others):
        (tmp_path / name).touch()
        if name != young:
            os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".dir.0123456789abcdef.part").mkdir()
    os.utime(tmp_path / ".dir.0123456789abcdef.part", (0, 0))
    (tmp_path / ".link.0123456789abcdef.part").symlink_to(mine)

    remove_old_parts(str(tmp_path))
    remove_old_parts(str(tmp_path / "gone"))

    assert mine not in names(tmp_path)
    assert len(names(tmp_path)) == len([young, *others]) + 2


def test_a_folder_of_very_many_files_is_looked_at_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old parts hold nobody up: some are removed now, the others another time."""
    monkeypatch.setattr("wxmedia_async._files.draft._PATIENCE", -1.0)
    for n in range(3):
        old = tmp_path / f".cat.{n:016x}.part"
        old.touch()
        os.utime(old, (0, 0))

    left = []
    for _ in range(3):
        remove_old_parts(str(tmp_path))
        left.append(len(names(tmp_path)))

    assert left == [2, 1, 0]
