"""Remembering what was uploaded."""

from __future__ import annotations

import os
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Protocol

import attrs

from .._local.sqlite import Table, in_turn
from .._models import UploadedMedia


class UploadCache(Protocol):
    """
    Keeps what WeChat made of earlier uploads.

    A key is a hash of content, type, account and service, and in WeCom of the name;
    it tells nothing of them. A cache is an aid: whatever it raises is logged once
    for a client, and the media is uploaded as if there were none.
    """

    async def load(self, key: str) -> UploadedMedia | None:
        """Return what was saved for *key*, also when it has expired."""
        ...

    async def save(self, key: str, media: UploadedMedia) -> None:
        """Keep *media*, instead of what was kept for *key* before."""
        ...


@attrs.define(eq=False)
class MemoryUploadCache:
    """
    Remembers the latest uploads of this process.

    Attributes:
        max_items: How many; the oldest is forgotten first.
    """

    max_items: int = attrs.field(default=10_000, validator=attrs.validators.ge(1))
    _kept: OrderedDict[str, UploadedMedia] = attrs.field(
        factory=OrderedDict[str, UploadedMedia], init=False, repr=False
    )

    async def load(self, key: str) -> UploadedMedia | None:
        return self._kept.get(key)

    async def save(self, key: str, media: UploadedMedia) -> None:
        self._kept[key] = media
        self._kept.move_to_end(key)
        if len(self._kept) > self.max_items:
            self._kept.popitem(last=False)

    async def forget(self, media_id: str) -> None:
        """Forget *media_id*, so that the next upload of its bytes sends them again."""
        known = [key for key, media in self._kept.items() if media.media_id == media_id]
        for key in known:
            del self._kept[key]


_COLUMNS = (
    "key TEXT PRIMARY KEY, media_id TEXT, type TEXT, created_at REAL, expires_at REAL"
)

# Seconds to wait for other processes; without the cache it goes on as well.
_PATIENCE = 2.0


@attrs.frozen
class FileUploadCache:
    """
    Remembers uploads in an SQLite file, for all processes of one host.

    What has expired is deleted as new uploads come. A client passes over a cache
    that fails; whoever calls it by themselves gets the error.

    Attributes:
        path: The file; made for its owner alone where there is none. Not on a
            network disk.

    Raises:
        OSError: The file is damaged, another program's, of a later version of this
            library, or locked for seconds (BlockingIOError); or the disk fails.
    """

    path: str | os.PathLike[str]

    async def load(self, key: str) -> UploadedMedia | None:
        return await in_turn(self._load, key, patience=_PATIENCE)

    async def save(self, key: str, media: UploadedMedia) -> None:
        await in_turn(self._save, key, media, patience=_PATIENCE)

    async def forget(self, media_id: str) -> None:
        """Forget *media_id*, so that the next upload of its bytes sends them again."""
        await in_turn(self._forget, media_id, patience=_PATIENCE)

    def _load(self, key: str) -> UploadedMedia | None:
        query = (
            "SELECT media_id, type, created_at, expires_at FROM uploads WHERE key = ?"
        )
        with self._table().opened() as database:
            row = database.execute(query, (key,)).fetchone()
        if row is None:
            return None
        media_id, type, created_at, expires_at = row
        return UploadedMedia(media_id, type, _moment(created_at), _moment(expires_at))

    def _save(self, key: str, media: UploadedMedia) -> None:
        created_at, expires_at = media.created_at, media.expires_at
        row = (
            key,
            media.media_id,
            media.type,
            created_at.timestamp(),
            expires_at.timestamp(),
        )
        now = datetime.now(UTC).timestamp()
        with self._table().opened() as database:
            database.execute("DELETE FROM uploads WHERE expires_at < ?", (now,))
            database.execute("REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", row)

    def _forget(self, media_id: str) -> None:
        with self._table().opened() as database:
            database.execute("DELETE FROM uploads WHERE media_id = ?", (media_id,))

    def _table(self) -> Table:
        return Table(os.fspath(self.path), "uploads", _COLUMNS)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
