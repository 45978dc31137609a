"""One download, start to finish."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

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

    async def attempt(transfer: Transfer) -> SavedMedia:
        reporter.begin(None)
        async with await open_media(session, transfer, wanted) as incoming:
            path = _final_path(target, incoming, wanted, overwrite=overwrite)
            async with open_part(path, file_io=file_io, folder=target.folder) as part:
                await incoming.write_to(
                    part, lambda: reporter.report(incoming.received, incoming.size)
                )
                transfer.moved(incoming.received)
                result = saved(wanted, incoming, Path(path), path)
                await publishing(result, part)
                await part.publish(overwrite=overwrite)
        return result

    result = await session.run(attempt, wanted.subject("download"))
    reporter.report(result.size, result.size)
    return result


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


def _final_path(
    target: Target, incoming: Incoming, wanted: MediaRequest, *, overwrite: bool
) -> str:
    if target.path is not None:
        return target.path
    assert target.folder is not None
    path = child(target.folder, name_of(incoming, wanted))
    if not incoming.complete:
        check_free(path, overwrite=overwrite)
    return path


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
