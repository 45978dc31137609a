"""What one item of a batch asks for."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from .._download import save as _download
from .._download.destination import is_destination, put
from .._download.media_request import MediaRequest
from .._files.target import Target
from .._local.disk import FileIO
from .._models import Destination, Download, SavedMedia, Upload, UploadedMedia
from .._progress import Reporter
from .._session.session import Session
from .._upload import upload as _upload
from .manifest import Key
from .outcomes import Job


def upload_jobs(
    session: Session, means: _upload.Means, type: str
) -> Callable[[object], Job[UploadedMedia]]:
    """Return the function that makes a job of an item of `upload_many`."""

    def understand(item: object) -> Job[UploadedMedia]:
        asked = item if isinstance(item, Upload) else Upload(item)  # type: ignore[arg-type]  # open_source checks it

        def run(reporter: Reporter, _: object) -> Awaitable[UploadedMedia]:
            return _upload.upload(
                session,
                means,
                asked.source,
                _upload.UploadAs(
                    asked.type or type,
                    asked.filename,
                    asked.content_type,
                    asked.replayable,
                ),
                size=asked.size,
                reporter=reporter,
            )

        return Job(asked.key, lambda: _source_key(asked), run)

    return understand


def download_jobs(
    session: Session,
    to: str | os.PathLike[str] | Destination,
    *,
    file_io: FileIO,
    overwrite: bool,
    max_bytes: int | None,
) -> Callable[[object], Job[SavedMedia]]:
    """Return the function that makes a job of an item of `download_many`."""
    batch_target = _folder(to)
    batch_cap = session.platform.max_bytes if max_bytes is None else max_bytes

    def understand(item: object) -> Job[SavedMedia]:
        asked = item if isinstance(item, Download) else Download(cast("str", item))
        target = batch_target if asked.to is None else _folder(asked.to)
        cap = batch_cap if asked.max_bytes is None else asked.max_bytes
        wanted = MediaRequest(asked.media_id, cap, asked.hd_voice)

        def run(
            reporter: Reporter, publishing: Callable[[SavedMedia], None]
        ) -> Awaitable[SavedMedia]:
            if not isinstance(target, Target):
                return put(session, wanted, target, reporter=reporter)
            return _download.save(
                session,
                wanted,
                target,
                file_io=file_io,
                overwrite=overwrite,
                reporter=reporter,
                publishing=publishing,
            )

        return Job(asked.key, lambda: _checked_key(asked.key, asked.media_id), run)

    return understand


def _folder(to: str | os.PathLike[str] | Destination) -> Target | Destination:
    """In a batch a path is always a folder."""
    if is_destination(to):
        return to
    return Target(folder=str(Path(cast("str", to))), path=None)


def _source_key(asked: Upload) -> Key:
    if asked.key is not None or not isinstance(asked.source, (str, os.PathLike)):
        return _checked_key(asked.key, None)
    status = os.stat(asked.source)
    name = os.path.abspath(os.fsdecode(asked.source))
    return name, status.st_size, status.st_mtime_ns


def _checked_key(key: object, otherwise: str | None) -> Key:
    if key is None:
        key = otherwise
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise ValueError("a manifest needs a str or int key of each item")  # noqa: TRY004
    return key
