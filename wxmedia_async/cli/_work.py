"""What a batch of the command line does, as values that another process can be given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import attrs

from .. import Download, MediaClient, Outcome, Progress, SavedMedia, UploadedMedia

Outcomes: TypeAlias = (
    AsyncIterator[Outcome[object, UploadedMedia]]
    | AsyncIterator[Outcome[object, SavedMedia]]
)
Note: TypeAlias = Callable[[Progress], None]
"""Is told how far each transfer is."""


class Work(Protocol):
    """One kind of transfer, with the options that it alone has."""

    @property
    def cache(self) -> Path | None:
        """The file that remembers uploads."""
        ...

    def item(self, text: str) -> object:
        """Return the item for what a line or an argument says."""
        ...

    def repeated(self) -> Work:
        """Return it for items that somebody who is gone may have done."""
        ...

    def begin(
        self,
        client: MediaClient,
        items: AsyncIterator[Any],
        manifest: Path | None,
        note: Note,
    ) -> AbstractAsyncContextManager[Outcomes]:
        """Begin a batch of *items*, which `item` has made."""
        ...


@attrs.frozen(kw_only=True)
class Uploads:
    """What the options of uploads alone say."""

    type: str
    cache: Path | None

    def item(self, text: str) -> Path:
        return Path(text)

    def repeated(self) -> Uploads:
        return self

    def begin(
        self,
        client: MediaClient,
        items: AsyncIterator[Any],
        manifest: Path | None,
        note: Note,
    ) -> AbstractAsyncContextManager[Outcomes]:
        return client.upload_many(items, self.type, progress=note, manifest=manifest)


@attrs.frozen(kw_only=True)
class Downloads:
    """What the options of downloads alone say."""

    to: Path
    overwrite: bool
    max_bytes: int | None
    hd_voice: bool
    cache: None = attrs.field(default=None, init=False)

    def item(self, text: str) -> str | Download:
        # The bytes that are no text, as file names have them, are none of an id.
        known = text.encode("utf-8", "surrogateescape")
        media_id = known.decode("utf-8", "replace").strip()
        return Download(media_id, hd_voice=True) if self.hd_voice else media_id

    def repeated(self) -> Downloads:
        # The file may be there by now; a media_id stands for the same bytes always.
        return attrs.evolve(self, overwrite=True)

    def begin(
        self,
        client: MediaClient,
        items: AsyncIterator[Any],
        manifest: Path | None,
        note: Note,
    ) -> AbstractAsyncContextManager[Outcomes]:
        return client.download_many(
            items,
            self.to,
            overwrite=self.overwrite,
            max_bytes=self.max_bytes,
            progress=note,
            manifest=manifest,
        )
