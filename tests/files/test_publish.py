"""A finished file appears all at once, and over nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from wxmedia_async._files.publish import add, replace

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


@pytest.fixture(params=["links", *NO_LINKS], ids=str)
def filesystem(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "links":
        monkeypatch.setattr("os.link", fail_with(request.param))


def fail_with(code: int) -> Callable[..., None]:
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


@pytest.mark.usefixtures("no_links")
def test_a_claim_is_given_up(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without links, a file that cannot be moved leaves no empty one behind."""
    monkeypatch.setattr("os.replace", fail_with(errno.EIO))

    with pytest.raises(OSError, match="Input/output error"):
        add(part, tmp_path / "final")

    assert contents(tmp_path) == {"part": b"cat"}


@pytest.mark.usefixtures("no_links")
def test_a_file_in_place_of_the_claim_stays(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without links, what somebody put over our empty file is not removed."""
    final = tmp_path / "final"
    move = os.replace

    def overtaken(*_: object) -> None:
        (tmp_path / "theirs").write_bytes(b"dog")
        move(tmp_path / "theirs", final)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.replace", overtaken)

    with pytest.raises(OSError, match="Input/output error"):
        add(part, final)

    assert contents(tmp_path) == {"part": b"cat", "final": b"dog"}


@pytest.mark.usefixtures("no_links")
def test_a_claim_that_is_gone_is_no_second_error(
    tmp_path: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without links, the error that is told is the first one."""
    final = tmp_path / "final"

    def removed(*_: object) -> None:
        final.unlink()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("os.replace", removed)

    with pytest.raises(OSError, match="Input/output error"):
        add(part, final)

    assert contents(tmp_path) == {"part": b"cat"}


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.link", fail_with(errno.EPERM))


def test_a_file_is_replaced(tmp_path: Path, part: Path) -> None:
    """The new file takes the old one's name."""
    (tmp_path / "final").write_bytes(b"old")

    replace(part, tmp_path / "final")

    assert contents(tmp_path) == {"final": b"cat"}
