"""What one item of a batch asks for."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import cast

from .._download import save as _download
from .._download.destination import is_destination, put
from .._download.media_request import MediaRequest
from .._download.save import Publishing
from .._files.target import Target, batch_folder, check_folder
from .._local.disk import FileIO
from .._models import Destination, Download, SavedMedia, Upload, UploadedMedia
from .._progress import Reporter
from .._session.session import Session
from .._upload import upload as _upload
from .batch import Job
from .order import Key, Order, Scope


def upload_jobs(
    session: Session, means: _upload.Means, type: str, scope: Scope
) -> Callable[[object], Job[UploadedMedia]]:
    """Return the function that makes a job of an item of `upload_many`."""

    def understand(item: object) -> Job[UploadedMedia]:
        asked = item if isinstance(item, Upload) else Upload(item)  # type: ignore[arg-type]  # open_source checks it

        def run(reporter: Reporter, _: Publishing) -> Awaitable[UploadedMedia]:
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

        def known_by() -> Order:
            return Order(
                scope,
                {"name": "upload", "type": asked.type or type},
                _source_key(asked),
                {"filename": asked.filename, "content_type": asked.content_type},
            )

        return Job(asked.key, known_by, run)

    return understand


def download_jobs(
    session: Session,
    to: Target | Destination,
    scope: Scope,
    *,
    file_io: FileIO,
    overwrite: bool,
    max_bytes: int | None,
) -> Callable[[object], Job[SavedMedia]]:
    """Return the function that makes a job of an item of `download_many`."""
    batch_cap = session.platform.max_bytes if max_bytes is None else max_bytes

    def understand(item: object) -> Job[SavedMedia]:
        asked = item if isinstance(item, Download) else Download(cast("str", item))
        target = to if asked.to is None else _checked(asked.to)
        cap = batch_cap if asked.max_bytes is None else asked.max_bytes
        wanted = MediaRequest(asked.media_id, cap, asked.hd_voice)

        def run(reporter: Reporter, publishing: Publishing) -> Awaitable[SavedMedia]:
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

        def known_by() -> Order:
            place, by = _place(target)
            return Order(
                scope,
                {"name": "download", "to": place, "hd_voice": asked.hd_voice},
                _checked_key(asked.key, asked.media_id),
                max_bytes=cap,
                folder=target.folder if isinstance(target, Target) else None,
                by=by,
            )

        return Job(asked.key, known_by, run)

    return understand


def batch_target(to: object) -> Target | Destination:
    """
    Return where a batch goes: in a batch a path is always a folder.

    Raises:
        TypeError, ValueError: It is neither a path nor a `Destination`.
    """
    return to if is_destination(to) else batch_folder(to)


def _checked(to: object) -> Target | Destination:
    """What the batch's own folder was asked when it was opened, ask an item's."""
    target = batch_target(to)
    if isinstance(target, Target):
        assert target.folder is not None
        check_folder(target.folder)
    return target


def _place(target: Target | Destination) -> tuple[str, str | None]:
    """
    Tell where a download goes, and by which object if nothing else tells.

    A `Destination` may say by a str, ``identity``, what it is in every process.
    """
    if isinstance(target, Target):
        return os.path.realpath(target.folder or ""), None
    kind = f"{type(target).__module__}.{type(target).__qualname__}"
    identity = getattr(target, "identity", None)
    if isinstance(identity, str):
        return f"{kind} {identity}", None
    return kind, f"{id(target):x}"


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
        raise ValueError(  # noqa: TRY004
            "with a manifest, this item needs a key= that is a str or an int"
        )
    return key
