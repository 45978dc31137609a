"""The media that the simulator keeps, for three days each."""

from __future__ import annotations

import io
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import attrs

LIFETIME = 3 * 86_400.0
_IN_MEMORY = 256 * 1024
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

    def forget(self) -> None:
        """Remove the bytes from the disk."""
        if isinstance(self._kept, Path):
            self._kept.unlink()

    def _open(self) -> IO[bytes]:
        kept = self._kept
        return io.BytesIO(kept) if isinstance(kept, bytes) else kept.open("rb")


def new_file() -> IO[bytes]:
    """Make room for a media: in memory while it is small, then on disk."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


@attrs.define(eq=False)
class Shelf:
    """
    All media, by media_id.

    None of them has a file open while nobody reads it, so there may be more
    media than files that a process may have open.
    """

    _clock: Callable[[], float] = attrs.field(repr=False)
    media: dict[str, StoredMedia] = attrs.field(factory=dict[str, StoredMedia])
    _folder: Path | None = None

    def add(self, file: IO[bytes], type: str, filename: str, content_type: str) -> str:
        """Keep what *file* holds, close it, and return its media_id."""
        size = file.seek(0, 2)
        media_id = secrets.token_urlsafe(48)
        self.media[media_id] = StoredMedia(
            type, filename, content_type, size, self._clock(), self._keep(file, size)
        )
        return media_id

    def find(self, media_id: str) -> StoredMedia | None:
        """Return a media that is not too old."""
        found = self.media.get(media_id)
        if found is None or self._clock() < found.created_at + LIFETIME:
            return found
        self.media.pop(media_id).forget()
        return None

    def clear(self) -> None:
        """Forget everything."""
        self.media.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder)
            self._folder = None

    def _keep(self, file: IO[bytes], size: int) -> bytes | Path:
        with file:
            file.seek(0)
            if size <= _IN_MEMORY:
                return file.read()
            path = self._new_path()
            with path.open("xb") as kept:
                shutil.copyfileobj(file, kept, _PIECE)
        return path

    def _new_path(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="wxmedia-simulator-"))
        return self._folder / secrets.token_hex(16)
