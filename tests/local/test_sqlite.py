"""Tables in SQLite files: private, shared by processes, and failing as disks do."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from wxmedia_async._local.sqlite import Table, connect, in_turn, told

COLUMNS = "key TEXT PRIMARY KEY, value TEXT"


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(str(tmp_path / "file.sqlite"), "uploads", COLUMNS)


def keep(table: Table, key: str) -> None:
    with table.opened() as database:
        database.execute("REPLACE INTO uploads VALUES (?, ?)", (key, "kept"))


def kept(table: Table) -> list[str]:
    with table.opened() as database:
        return [key for (key,) in database.execute("SELECT key FROM uploads")]


def test_what_is_kept_is_there_for_the_next(table: Table) -> None:
    """The file is made at need, and each statement is committed by itself."""
    keep(table, "a")
    keep(table, "b")

    assert kept(table) == ["a", "b"]


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_the_file_is_for_its_owner_alone(table: Table) -> None:
    """Nobody else reads what is kept; a file that is there keeps its mode."""
    keep(table, "a")
    made = stat.S_IMODE(os.stat(table.path).st_mode)
    os.chmod(table.path, 0o640)
    keep(table, "b")

    assert made == 0o600
    assert stat.S_IMODE(os.stat(table.path).st_mode) == 0o640


def test_no_hard_links_are_needed(
    table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some disks and some systems have none."""
    monkeypatch.delattr("os.link")

    keep(table, "a")

    assert kept(table) == ["a"]


def test_many_may_make_the_file_at_once(table: Table) -> None:
    """Whoever comes second finds it made, and takes no lock away by closing it."""

    def open_and_close() -> None:
        connect(table.path).close()

    threads = [threading.Thread(target=open_and_close) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    keep(table, "a")
    assert kept(table) == ["a"]


def test_a_file_of_the_first_version_is_taken_over(table: Table) -> None:
    """It bore no mark, and its tables are the same."""
    with closing(sqlite3.connect(table.path)) as database, database:
        database.execute(f"CREATE TABLE uploads ({COLUMNS}) WITHOUT ROWID")
        database.execute("INSERT INTO uploads VALUES ('old', 'kept')")

    assert kept(table) == ["old"]


def keep_and_read(table: Table) -> None:
    keep(table, "b")
    kept(table)


def garbage(path: str) -> None:
    Path(path).write_bytes(b"garbage that is no database" * 200)


def cut(path: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"CREATE TABLE uploads ({COLUMNS}) WITHOUT ROWID")
        for number in range(2000):
            row = (str(number), "x" * 50)
            database.execute("INSERT INTO uploads VALUES (?, ?)", row)
    os.truncate(path, 9000)


def anothers(path: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE bookmarks (url TEXT)")


def marked_by_another(path: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA application_id = 7")


def other_columns(path: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE uploads (url TEXT)")


def of_a_later_version(path: str) -> None:
    keep(Table(path, "uploads", COLUMNS), "a")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA user_version = 2")


@pytest.mark.parametrize(
    "made",
    [garbage, cut, anothers, marked_by_another, other_columns, of_a_later_version],
)
def test_a_file_that_is_something_else_is_an_oserror(
    table: Table, made: Callable[[str], None]
) -> None:
    """It names the file, and is never sqlite3's own; the file stays as it is."""
    made(table.path)
    before = Path(table.path).read_bytes()

    with pytest.raises(OSError, match=r"file\.sqlite") as caught:
        keep_and_read(table)

    assert caught.value.filename == table.path
    assert made is other_columns or Path(table.path).read_bytes() == before


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    """A missing folder, and a folder in the file's place, are told as such."""
    with pytest.raises(FileNotFoundError):
        keep(Table(str(tmp_path / "gone" / "file"), "uploads", COLUMNS), "a")
    with pytest.raises(OSError, match="unable to open"):
        keep(Table(str(tmp_path), "uploads", COLUMNS), "a")


@pytest.mark.parametrize(
    ("code", "number"),
    [
        (sqlite3.SQLITE_FULL, errno.ENOSPC),
        (sqlite3.SQLITE_READONLY, errno.EROFS),
        (sqlite3.SQLITE_BUSY | 2 << 8, errno.EAGAIN),
        (sqlite3.SQLITE_CORRUPT, errno.EIO),
        (None, errno.EIO),
    ],
)
def test_errors_have_numbers(code: int | None, number: int) -> None:
    """What SQLite says in its own numbers is said in those of the system."""
    error = sqlite3.OperationalError("no")
    if code is not None:
        error.sqlite_errorcode = code

    with pytest.raises(OSError, match="no") as caught, told("file"):
        raise error

    assert caught.value.errno == number


async def test_others_are_waited_for(table: Table) -> None:
    """A file that somebody holds is asked again, and the wait can be cancelled."""
    keep(table, "a")
    holder = connect(table.path)
    holder.execute("BEGIN EXCLUSIVE")

    with anyio.move_on_after(0.1) as scope:
        await in_turn(keep, table, "b")
    holder.close()
    await in_turn(keep, table, "c")

    assert scope.cancelled_caught
    assert kept(table) == ["a", "c"]


async def test_patience_has_an_end(table: Table) -> None:
    """Whoever does not want to wait for long is told that others hold the file."""
    keep(table, "a")
    with closing(connect(table.path)) as holder:
        holder.execute("BEGIN EXCLUSIVE")

        with pytest.raises(BlockingIOError, match="locked"):
            await in_turn(keep, table, "b", patience=0.05)
