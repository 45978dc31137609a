"""One download, start to finish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import attrs

from .._files.part import Part, open_part
from .._files.target import Target, check_free, child
from .._local.disk import FileIO
from .._models import MediaContent, SavedMedia
from .._progress import Reporter
from .._session.session import Session
from .._session.transfer import Transfer
from .._wire import filenames
from .incoming import Incoming, open_media
from .media_request import MediaRequest

Publishing: TypeAlias = Callable[[SavedMedia, Part], Awaitable[None]]
"""Called right before a file appears under its final name."""


async def unnoted(_: SavedMedia, __: Part) -> None:
    """Note nothing of a file that is about to appear."""


async def save(
    session: Session,
    wanted: MediaRequest,
    target: Target,
    *,
    file_io: FileIO,
    overwrite: bool,
    reporter: Reporter,
    publishing: Publishing = unnoted,
) -> SavedMedia:
    """Download to a file, as `MediaClient.download` promises."""
    one = _Save(session, wanted, target, file_io, overwrite, reporter, publishing)
    result = await session.run(one.attempt, wanted.subject("download"))
    reporter.report(result.size, result.size)
    return result


@attrs.define(eq=False)
class _Save:
    """A download to a file."""

    session: Session
    wanted: MediaRequest
    target: Target
    file_io: FileIO
    overwrite: bool
    reporter: Reporter
    publishing: Publishing

    async def attempt(self, transfer: Transfer) -> SavedMedia:
        self.reporter.begin(None)
        async with await open_media(self.session, transfer, self.wanted) as incoming:
            path = self._final_path(incoming)
            folder = self.target.folder
            async with open_part(path, file_io=self.file_io, folder=folder) as part:
                await incoming.write_to(part, partial(self._report, incoming))
                transfer.moved(incoming.received)
                result = saved(self.wanted, incoming, Path(path), path)
                await self.publishing(result, part)
                await part.publish(overwrite=self.overwrite)
        return result

    def _report(self, incoming: Incoming) -> None:
        self.reporter.report(incoming.received, incoming.size)

    def _final_path(self, incoming: Incoming) -> str:
        if self.target.path is not None:
            return self.target.path
        assert self.target.folder is not None
        path = child(self.target.folder, name_of(incoming, self.wanted))
        if not incoming.complete:
            check_free(path, overwrite=self.overwrite)
        return path


async def read(session: Session, wanted: MediaRequest) -> MediaContent:
    """Download into memory."""

    async def attempt(transfer: Transfer) -> MediaContent:
        content = bytearray()
        async with await open_media(session, transfer, wanted) as incoming:
            while chunk := await incoming.chunk():
                content += chunk
            transfer.moved(len(content))
        return MediaContent(
            wanted.media_id, bytes(content), incoming.content_type, incoming.filename
        )

    return await session.run(attempt, wanted.subject("download"))


def name_of(incoming: Incoming, wanted: MediaRequest) -> str:
    """Return the file name that a media gets."""
    return filenames.saved_name(
        wanted.media_id,
        filename=incoming.filename,
        content_type=incoming.content_type,
        first=incoming.first,
    )


def saved(
    wanted: MediaRequest, incoming: Incoming, path: Path | None, location: str
) -> SavedMedia:
    """Tell what was saved."""
    return SavedMedia(
        wanted.media_id,
        path,
        location,
        incoming.received,
        incoming.content_type,
        incoming.filename,
        incoming.verified,
    )
