"""The media that the simulator keeps, for three days each."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

import attrs

LIFETIME = 3 * 86_400.0
_IN_MEMORY = 256 * 1024


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
    _file: IO[bytes] = attrs.field(repr=False)

    @property
    def content(self) -> bytes:
        """All its bytes."""
        return b"".join(self.pieces(0, self.size))

    def pieces(self, start: int, stop: int) -> Iterator[bytes]:
        """Read from *start* up to *stop*; many may read at the same time."""
        while start < stop:
            self._file.seek(start)
            piece = self._file.read(min(256 * 1024, stop - start))
            start += len(piece)
            yield piece

    def close(self) -> None:
        """Forget the bytes."""
        self._file.close()


def new_file() -> IO[bytes]:
    """Make room for a media: in memory while it is small, then on disk."""
    return tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)


@attrs.define(eq=False)
class Shelf:
    """All media, by media_id."""

    _clock: Callable[[], float] = attrs.field(repr=False)
    media: dict[str, StoredMedia] = attrs.field(factory=dict[str, StoredMedia])

    def add(self, file: IO[bytes], type: str, filename: str, content_type: str) -> str:
        """Keep what *file* holds, and return its media_id."""
        size = file.seek(0, 2)
        media_id = secrets.token_urlsafe(48)
        self.media[media_id] = StoredMedia(
            type, filename, content_type, size, self._clock(), file
        )
        return media_id

    def find(self, media_id: str) -> StoredMedia | None:
        """Return a media that is not too old."""
        found = self.media.get(media_id)
        if found is None or self._clock() < found.created_at + LIFETIME:
            return found
        self.media.pop(media_id).close()
        return None

    def clear(self) -> None:
        """Forget everything."""
        for stored in self.media.values():
            stored.close()
        self.media.clear()
