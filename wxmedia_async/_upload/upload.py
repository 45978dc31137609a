"""One upload, start to finish."""

from __future__ import annotations

import secrets
import sys
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

import anyio
import attrs

from .._errors import MediaError, MediaRejected, TooLarge
from .._events import Subject
from .._foreign import Raised
from .._local.disk import FileIO
from .._models import UploadedMedia
from .._platforms import Limit, Platform
from .._progress import Reporter
from .._session.session import Session
from .._session.transfer import Exchange, Transfer
from .._sources.source import OpenSource, open_source
from .._wire import filenames, kinds, multipart, replies
from .body import FromFile, MultipartBody
from .reuse import Reuse

_UNLIMITED = Limit(sys.maxsize, min_bytes=0)


@attrs.frozen(kw_only=True, eq=False)
class Means:
    """
    What uploads need beside the session.

    Attributes:
        file_io: Where files are read.

        open_sources: Leave to have a source open. Its length must be known before
            there is a slot, and thousands of uploads that wait for one must not use
            up the descriptors of the process.

        reuse: What remembers uploads, if anything does.
    """

    file_io: FileIO
    open_sources: anyio.Semaphore
    reuse: Reuse | None


@attrs.frozen
class UploadAs:
    """What an upload is, as its caller says; None: as the source says, or made up."""

    type: str
    filename: str | None = None
    content_type: str | None = None
    replayable: bool = False


async def upload(
    session: Session,
    means: Means,
    source: object,
    label: UploadAs,
    *,
    size: int | None,
    reporter: Reporter,
) -> UploadedMedia:
    """Send one source, as `MediaClient.upload` promises."""
    limit = _limit(session.platform, label.type)
    one = _Upload(session, means, source, label, size, limit, reporter)
    only_ours = means.reuse is None and _is_plain(source)
    return await session.bounded(one.with_leave, Subject("upload", only_ours=only_ours))


@attrs.define(eq=False)
class _Upload:
    """An upload whose source is to be opened."""

    session: Session
    means: Means
    source: object
    label: UploadAs
    size: int | None
    limit: Limit
    reporter: Reporter

    async def with_leave(self, transfer: Transfer) -> UploadedMedia:
        await _leave_to_open(self.means.open_sources, transfer)
        try:
            with _inside(self.session, transfer, self.source):
                return await self._work(transfer)
        finally:
            self.means.open_sources.release()

    async def _work(self, transfer: Transfer) -> UploadedMedia:
        async with open_source(
            self.source,
            size=self.size,
            limit=self.limit.max_bytes,
            file_io=self.means.file_io,
            replayable=self.label.replayable,
        ) as opened:
            uploaded = await self._sent(transfer, opened)
            self.reporter.report(opened.size, opened.size)
            transfer.moved(opened.size)
            return uploaded

    async def _sent(self, transfer: Transfer, opened: OpenSource) -> UploadedMedia:
        session, label, reuse = self.session, self.label, self.means.reuse
        _check_size(opened.size, self.limit, wecom=session.platform.wecom)
        name = _name(opened, label, self.limit)
        body = MultipartBody(_envelope(opened, label, name), opened, self.reporter)
        exchange = _exchange(body, label, self.means)
        sending = _Sending(session, transfer, body, exchange)
        if reuse is None or not opened.replayable:
            return await sending.send()
        return await reuse.upload(opened, label.type, name, sending.send)


@attrs.frozen
class _Sending:
    """An upload that is ready, as often as it has to be sent."""

    session: Session
    transfer: Transfer
    body: MultipartBody
    exchange: Exchange

    async def send(self) -> UploadedMedia:
        return await self.session.tried(
            self._attempt, self.transfer, obstacle=self.body.obstacle
        )

    async def _attempt(self, transfer: Transfer) -> UploadedMedia:
        self.body.begin()
        try:
            async with await self.session.exchange(transfer, self.exchange) as reply:
                answer = await reply.json(wecom=self.session.platform.wecom)
        except (MediaError, OSError, Raised):
            # Whatever a transport has made of it.
            self.body.raise_failure()
            raise
        type = self.exchange.params["type"]
        return replies.uploaded(answer, type=type, now=datetime.now(UTC))


def _exchange(body: MultipartBody, label: UploadAs, means: Means) -> Exchange:
    is_file = body.source.fileno is not None and means.file_io == "inline"
    return Exchange(
        method="POST",
        path="/cgi-bin/media/upload",
        params={"type": label.type},
        headers={
            "Content-Type": body.envelope.content_type,
            # A chunked body gets 412 Precondition Failed.
            "Content-Length": str(body.envelope.length(body.source.size)),
        },
        body=FromFile(body) if is_file else body,
    )


async def _leave_to_open(leave: anyio.Semaphore, transfer: Transfer) -> None:
    """Those who have it wait for slots, so it is a slot that is waited for."""
    try:
        leave.acquire_nowait()
    except anyio.WouldBlock:
        transfer.stand_still()
        try:
            await leave.acquire()
        finally:
            transfer.run_on()


def _inside(
    session: Session, transfer: Transfer, source: object
) -> AbstractContextManager[None]:
    if _is_plain(source):
        return nullcontext()
    return session.pace.bound.inside(transfer)


def _is_plain(source: object) -> bool:
    """Paths and bytes run no code of the user's."""
    return isinstance(source, (str, bytes, bytearray, memoryview, Path))


def _limit(platform: Platform, type: str) -> Limit:
    """Return what the platform accepts; without limits the server decides."""
    if not platform.limits:
        return _UNLIMITED
    limit = platform.limits.get(type)
    if limit is None:
        # https://developer.work.weixin.qq.com/document/path/90313
        code = 40005 if platform.wecom else 40004
        raise MediaRejected(
            f"{platform.name} takes no media of type {type!r}, but"
            f" {', '.join(platform.limits)}",
            code=code,
        )
    return limit


def _check_size(size: int, limit: Limit, *, wecom: bool) -> None:
    if size > limit.max_bytes:
        raise TooLarge(limit=limit.max_bytes, size=size)
    if size >= limit.min_bytes:
        return
    code = 40006 if wecom and size else 44001
    raise MediaRejected(
        f"the source has {size} bytes; at least {limit.min_bytes} are needed", code=code
    )


def _name(opened: OpenSource, label: UploadAs, limit: Limit) -> str:
    return filenames.upload_name(
        label.filename,
        opened.filename,
        type=label.type,
        suffixes=limit.suffixes,
        first=opened.first,
    )


def _envelope(opened: OpenSource, label: UploadAs, name: str) -> multipart.Envelope:
    said = label.content_type
    return multipart.envelope(
        filename=name,
        content_type=said or kinds.content_type_of(opened.first, opened.content_type),
        boundary=secrets.token_hex(16),
    )
