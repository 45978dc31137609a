"""Remembering what was uploaded."""

from __future__ import annotations

import os
import sqlite3
from collections import OrderedDict
from contextlib import closing
from datetime import UTC, datetime
from typing import Protocol

import anyio.to_thread
import attrs

from .._models import UploadedMedia


class UploadCache(Protocol):
    """
    Keeps what WeChat made of earlier uploads.

    A key is a hash of content, type and account, and tells nothing of them.
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


_SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    key TEXT PRIMARY KEY, media_id TEXT, type TEXT, created_at REAL, expires_at REAL
) WITHOUT ROWID
"""


@attrs.frozen
class FileUploadCache:
    """
    Remembers uploads in an SQLite file, for all processes of one host.

    What has expired is deleted as new uploads come.

    Attributes:
        path: The file; made where there is none. Not on a network disk.
    """

    path: str | os.PathLike[str]

    async def load(self, key: str) -> UploadedMedia | None:
        return await anyio.to_thread.run_sync(self._load, key)

    async def save(self, key: str, media: UploadedMedia) -> None:
        await anyio.to_thread.run_sync(self._save, key, media)

    def _load(self, key: str) -> UploadedMedia | None:
        query = (
            "SELECT media_id, type, created_at, expires_at FROM uploads WHERE key = ?"
        )
        with closing(self._connect()) as database:
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
        with closing(self._connect()) as database, database:
            database.execute("DELETE FROM uploads WHERE expires_at < ?", (now,))
            database.execute("REPLACE INTO uploads VALUES (?, ?, ?, ?, ?)", row)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=30.0)
        try:
            database.execute(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
