"""A finished file appears all at once, and over nothing."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from wxmedia_async._files.publish import add, replace

NOREPLACE = "wxmedia_async._files.publish.rename_exclusively"
NO_LINKS = [
    errno.EACCES,
    errno.EINVAL,
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EPERM,
    errno.EXDEV,
]


@pytest.fixture
def part(tmp_path: Path) -> Path:
    path = tmp_path / "part"
    path.write_bytes(b"cat")
    return path


@pytest.fixture(params=["links", "no link()", "no renames", *NO_LINKS], ids=str)
def filesystem(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no link()":
        monkeypatch.delattr("os.link")
    elif request.param != "links":
        monkeypatch.setattr("os.link", fail_with(request.param))
    if request.param == "no renames":
        monkeypatch.setattr(NOREPLACE, lambda *_: False)


def fail_with(code: int | str) -> Callable[..., None]:
    if isinstance(code, str):
        code = errno.EPERM

    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.usefixtures("filesystem")
def test_a_file_is_added(tmp_path: Path, part: Path) -> None:
    """On any filesystem the file has its name, and only that one."""
    add(part, tmp_path / "final")

    assert contents(tmp_path) == {"final": b"cat"}


@pytest.mark.usefixtures("filesystem")
@pytest.mark.parametrize("dangling", [False, True])
def test_nothing_is_replaced(tmp_path: Path, part: Path, dangling: bool) -> None:
    """On any filesystem a name that is taken stays, be it a link to nowhere."""
    final = tmp_path / "final"
    if dangling:
        final.symlink_to("nowhere")
    else:
        final.write_bytes(b"old")
    before = final.lstat()

    with pytest.raises(FileExistsError) as info:
        add(part, final)

    assert str(info.value.filename) == str(final)
    assert info.value.filename2 is None
    assert final.lstat().st_ino == before.st_ino
    assert part.read_bytes() == b"cat"


def test_another_error_of_linking_is_an_error(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 29: only what a filesystem without links says is taken for that."""
    monkeypatch.setattr("os.link", fail_with(errno.ENOSPC))

    with pytest.raises(OSError, match="No space left"):
        add(part, tmp_path / "final")

    assert contents(tmp_path) == {"part": b"cat"}


def test_a_second_name_that_stays_is_no_failure(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is published; that its temporary name remains harms nobody."""
    monkeypatch.setattr("os.unlink", fail_with(errno.EIO))

    add(part, tmp_path / "final")

    assert contents(tmp_path)["final"] == b"cat"


def test_a_file_that_cannot_be_moved_leaves_nothing(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without links and such renames, there is never an empty file in its place."""
    monkeypatch.setattr("os.link", fail_with(errno.EPERM))
    monkeypatch.setattr(NOREPLACE, lambda *_: False)
    monkeypatch.setattr("os.rename", fail_with(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        add(part, tmp_path / "final")

    assert contents(tmp_path) == {"part": b"cat"}


def test_a_folder_that_somebody_has_locked_is_written_all_the_same(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock of another program's on the folder keeps nobody waiting for ever."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr("os.link", fail_with(errno.EPERM))
    monkeypatch.setattr(NOREPLACE, lambda *_: False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    theirs = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(theirs, fcntl.LOCK_EX)

    add(part, tmp_path / "final")

    os.close(theirs)
    assert contents(tmp_path) == {"final": b"cat"}


def test_a_file_is_replaced(tmp_path: Path, part: Path) -> None:
    """The new file takes the old one's name."""
    (tmp_path / "final").write_bytes(b"old")

    replace(part, tmp_path / "final")

    assert contents(tmp_path) == {"final": b"cat"}


@pytest.mark.parametrize("lacks", ["ctypes", "renameat2", "the call", "locks", "fcntl"])
def test_systems_that_have_less(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    """Without links, such renames or locks on folders: still whole, over nothing."""
    ctypes = pytest.importorskip("ctypes")
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr("os.link", fail_with(errno.EPERM))
    if lacks == "ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)
    elif lacks == "renameat2":
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    else:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Unable())
        monkeypatch.setattr(ctypes, "get_errno", lambda: errno.EINVAL)
    if lacks == "locks":
        monkeypatch.setattr(fcntl, "flock", fail_with(errno.ENOLCK))
    elif lacks == "fcntl":
        monkeypatch.setitem(sys.modules, "fcntl", None)

    add(part, tmp_path / "final")
    part.write_bytes(b"dog")
    with pytest.raises(FileExistsError):
        add(part, tmp_path / "final")

    assert contents(tmp_path) == {"final": b"cat", "part": b"dog"}


class Unable:
    """A library whose renameat2() does not know the flag."""

    def renameat2(self, *_: object) -> int:
        return -1
