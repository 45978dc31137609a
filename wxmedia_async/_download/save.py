"""One download, start to finish."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

from .._files.part import open_part
from .._files.target import Target, check_free, child
from .._models import Destination, MediaContent, SavedMedia
from .._progress import Reporter
from .._session.session import Session
from .._session.transfer import Transfer
from .._wire import filenames
from .incoming import Incoming, open_media
from .media_request import MediaRequest


async def save(
    session: Session,
    wanted: MediaRequest,
    target: Target | Destination,
    *,
    overwrite: bool,
    reporter: Reporter,
    publishing: Callable[[SavedMedia], None],
) -> SavedMedia:
    """
    Download to *target*, as `MediaClient.download` promises.

    *publishing* is called right before a file appears under its final name.
    """

    async def to_file(transfer: Transfer) -> SavedMedia:
        assert isinstance(target, Target)
        reporter.begin(None)
        async with await open_media(session, transfer, wanted) as incoming:
            path = _final_path(target, incoming, wanted, overwrite=overwrite)
            async with open_part(
                path, file_io=session.file_io, folder=target.folder
            ) as part:
                await incoming.write_to(
                    part, lambda: reporter.report(incoming.received, incoming.size)
                )
                saved = _saved(wanted, incoming, Path(path), path)
                publishing(saved)
                await part.publish(overwrite=overwrite)
        return saved

    async def to_destination(transfer: Transfer) -> SavedMedia:
        assert isinstance(target, Destination)
        reporter.begin(None)
        async with await open_media(session, transfer, wanted) as incoming:
            body = _Body(incoming, reporter)
            location = await target.put(
                _name(incoming, wanted),
                body,
                content_type=incoming.content_type,
                size=incoming.size,
            )
        body.check_read()
        return _saved(wanted, incoming, None, location)

    attempt = to_file if isinstance(target, Target) else to_destination
    saved = await session.run(attempt)
    reporter.report(saved.size, saved.size)
    return saved


async def read(session: Session, wanted: MediaRequest) -> MediaContent:
    """Download into memory."""

    async def attempt(transfer: Transfer) -> MediaContent:
        content = bytearray()
        async with await open_media(session, transfer, wanted) as incoming:
            while chunk := await incoming.chunk():
                content += chunk
        return MediaContent(
            wanted.media_id, bytes(content), incoming.content_type, incoming.filename
        )

    return await session.run(attempt)


def _final_path(
    target: Target, incoming: Incoming, wanted: MediaRequest, *, overwrite: bool
) -> str:
    if target.path is not None:
        return target.path
    assert target.folder is not None
    path = child(target.folder, _name(incoming, wanted))
    if not incoming.complete:
        check_free(path, overwrite=overwrite)
    return path


def _name(incoming: Incoming, wanted: MediaRequest) -> str:
    return filenames.saved_name(
        wanted.media_id,
        filename=incoming.filename,
        content_type=incoming.content_type,
        first=incoming.first,
    )


def _saved(
    wanted: MediaRequest, incoming: Incoming, path: Path | None, location: str
) -> SavedMedia:
    return SavedMedia(
        wanted.media_id,
        path,
        location,
        incoming.received,
        incoming.content_type,
        incoming.filename,
        incoming.verified,
    )


class _Body(AsyncIterator[bytes]):
    """What a `Destination` reads."""

    def __init__(self, incoming: Incoming, reporter: Reporter) -> None:
        self._incoming = incoming
        self._reporter = reporter
        self._read = False

    async def __anext__(self) -> bytes:
        chunk = await self._incoming.chunk()
        self._reporter.report(self._incoming.received, self._incoming.size)
        if chunk:
            return chunk
        self._read = True
        raise StopAsyncIteration

    def check_read(self) -> None:
        """A destination that stopped half-way has not stored the media."""
        if not self._read:
            raise RuntimeError("the destination did not read the body to its end")
