"""The media that the simulator keeps, for three days each."""

from __future__ import annotations

import io
import secrets
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import attrs

LIFETIME = 3 * 86_400.0
_IN_MEMORY = 256 * 1024
_IN_MEMORY_OF_ALL = 32 * 1024 * 1024
_PIECE = 256 * 1024


@attrs.frozen(eq=False)
class StoredMedia:
    """
    One media.

    Attributes:
        type: ``image``, ``voice``, ``video``, ``thumb`` or ``file``.

        filename: As it was uploaded.

        content_type: As it was uploaded.

        size: Length in bytes.

        created_at: On the simulator's clock, in seconds.
    """

    type: str
    filename: str
    content_type: str
    size: int
    created_at: float
    _kept: bytes | Path = attrs.field(repr=False)

    @property
    def content(self) -> bytes:
        """All its bytes."""
        return b"".join(self.pieces(0, self.size))

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """Read from *start* up to *stop*; many may read at the same time."""
        # A file for each reader: one that has begun comes to its end, even if
        # the media grows too old meanwhile.
        with self._open() as file:
            file.seek(start)
            while start < stop:
                piece = file.read(min(_PIECE, stop - start))
                start += len(piece)
                yield piece

    def _open(self) -> IO[bytes]:
        kept = self._kept
        return io.BytesIO(kept) if isinstance(kept, bytes) else kept.open("rb")


def new_file() -> IO[bytes]:
    """Make room for a media: in memory while it is small, then on disk."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


_SCHEMA = f"""
PRAGMA cache_size = -{_IN_MEMORY_OF_ALL // 1024};
PRAGMA journal_mode = OFF;
CREATE TABLE media (
    media_id TEXT PRIMARY KEY, type TEXT, filename TEXT, content_type TEXT,
    size INTEGER, created_at REAL, kept BLOB
);
CREATE INDEX by_age ON media (created_at);
"""


@attrs.define(eq=False, repr=False)
class Shelf(Mapping[str, StoredMedia]):
    """
    All media that are not too old, by media_id.

    They are in a database that is in memory until it has grown large, and from
    then on in a temporary file, so memory is bounded however many there are. A
    media that is large itself has a file of its own. None of these is open while
    nobody reads it, so there may be more media than files that may be open.
    """

    _clock: Callable[[], float]
    _database: sqlite3.Connection | None = attrs.field(default=None, init=False)
    _folder: Path | None = attrs.field(default=None, init=False)
    # A server has a thread of its own, and whoever looks at it another one.
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def add(self, file: IO[bytes], type: str, filename: str, content_type: str) -> str:
        """Keep what *file* holds, close it, and return its media_id."""
        size, media_id = file.seek(0, 2), secrets.token_urlsafe(48)
        self._rows(
            "INSERT INTO media VALUES (?, ?, ?, ?, ?, ?, ?)",
            *(media_id, type, filename, content_type, size, self._clock()),
            self._keep(file, size),
        )
        return media_id

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None
            if self._folder is not None:
                shutil.rmtree(self._folder)
                self._folder = None

    def __getitem__(self, media_id: str) -> StoredMedia:
        rows = self._rows(
            "SELECT type, filename, content_type, size, created_at, kept"
            " FROM media WHERE media_id = ?",
            media_id,
        )
        if not rows:
            raise KeyError(media_id)
        [(type, filename, content_type, size, created_at, kept)] = rows
        if isinstance(kept, str):
            kept = Path(kept)
        return StoredMedia(type, filename, content_type, size, created_at, kept)

    def __iter__(self) -> Iterator[str]:
        for (media_id,) in self._rows("SELECT media_id FROM media ORDER BY rowid"):
            yield media_id

    def __len__(self) -> int:
        [(count,)] = self._rows("SELECT count(*) FROM media")
        return int(count)

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Do something to what is not too old."""
        with self._lock:
            if self._database is None:
                self._database = _new_database()
            self._forget_old(self._database)
            return self._database.execute(statement, values).fetchall()

    def _forget_old(self, database: sqlite3.Connection) -> None:
        old = (self._clock() - LIFETIME,)
        files = "SELECT kept FROM media WHERE created_at <= ? AND typeof(kept) = 'text'"
        for (path,) in database.execute(files, old).fetchall():
            Path(path).unlink(missing_ok=True)
        database.execute("DELETE FROM media WHERE created_at <= ?", old)

    def _keep(self, file: IO[bytes], size: int) -> bytes | str:
        with file:
            file.seek(0)
            if size <= _IN_MEMORY:
                return file.read()
            path = self._new_path()
            with path.open("xb") as kept:
                shutil.copyfileobj(file, kept, _PIECE)
        return str(path)

    def _new_path(self) -> Path:
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="wxmedia-simulator-"))
            return self._folder / secrets.token_hex(16)


def _new_database() -> sqlite3.Connection:
    # Without a name it is a temporary one, which is gone when it is closed.
    database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    database.executescript(_SCHEMA)
    return database
