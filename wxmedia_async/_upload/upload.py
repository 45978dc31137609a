"""One upload, start to finish."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import attrs
import httpx

from .._errors import MediaError, MediaRejected, TooLarge
from .._models import UploadedMedia
from .._platforms import Limit, Platform
from .._progress import Reporter
from .._session.session import Session
from .._session.speed import Speed
from .._session.transfer import Exchange, Transfer
from .._sources.source import OpenSource, open_source
from .._wire import filenames, kinds, multipart, replies

_UNKNOWN_TYPE = "application/octet-stream"


async def upload(
    session: Session,
    source: object,
    *,
    type: str,
    filename: str | None,
    content_type: str | None,
    size: int | None,
    reporter: Reporter,
) -> UploadedMedia:
    """Send one source, as `MediaClient.upload` promises."""
    session.lifetime.check()
    limit = _limit(session.platform, type)
    async with (
        session.open_sources,
        open_source(
            source, size=size, limit=limit.max_bytes, file_io=session.file_io
        ) as opened,
    ):
        _check_size(opened.size, limit, wecom=session.platform.wecom)
        envelope = _envelope(opened, type, filename, content_type, limit)
        body = MultipartBody(envelope, opened, reporter)
        exchange = Exchange(
            method="POST",
            path="/cgi-bin/media/upload",
            params={"type": type},
            headers={
                "Content-Type": envelope.content_type,
                # A chunked body gets 412 Precondition Failed.
                "Content-Length": str(envelope.length(opened.size)),
            },
            body=_FromFile(body) if _is_file(opened, session) else body,
        )

        async def attempt(transfer: Transfer) -> UploadedMedia:
            reporter.begin(opened.size)
            async with await session.exchange(transfer, exchange) as reply:
                answer = await reply.json(wecom=session.platform.wecom)
            now = datetime.now(UTC)
            return replies.uploaded(answer, type=type, now=now)

        async def send() -> UploadedMedia:
            return await session.run(attempt, obstacle=body.obstacle)

        if session.reuse is not None and opened.replayable:
            uploaded = await session.reuse.upload(opened, type, send)
        else:
            uploaded = await send()
        reporter.report(opened.size, opened.size)
        return uploaded


@attrs.define(eq=False, repr=False)
class MultipartBody(httpx.AsyncByteStream):
    """
    The body of an upload, read from its source while it is sent.

    Can be iterated again where the source can be read again.
    """

    envelope: multipart.Envelope
    source: OpenSource
    reporter: Reporter
    _begun: bool = attrs.field(default=False, init=False)

    @property
    def replayable(self) -> bool:
        """Whether a transport may send it once more."""
        return self.source.replayable or not self._begun

    def obstacle(self, _: MediaError) -> str | None:
        """Tell why it must not be sent again, if so."""
        if self.replayable:
            return None
        return "not tried again: the source cannot be read twice"

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._begun = True
        return _Pass(self.envelope, self.source, self.reporter)


class _FromFile(httpx.AsyncByteStream):
    """
    The same body, for transports that send a file without reading it.

    See `transport.FileBody`; for all others it is an ordinary stream.
    """

    def __init__(self, body: MultipartBody) -> None:
        assert body.source.fileno is not None
        self.head = body.envelope.head
        self.tail = body.envelope.tail
        self.fileno = body.source.fileno
        self.offset = body.source.offset or 0
        self.size = body.source.size
        self.replayable = True
        self._body = body
        self._sent = 0
        self._since = 0.0
        self._speed = Speed("send")

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    def progress(self, sent: int) -> None:
        """Take note of how many of the file's bytes have been sent."""
        now = time.monotonic()
        if sent <= self._sent:  # another try
            self._sent, self._since, self._speed = 0, now, Speed("send")
        waited = now - self._since if self._sent else 0.0
        self._speed.moved(sent - self._sent, waited)
        self._sent, self._since = sent, now
        self._body.reporter.report(sent, self.size)

    def check(self) -> None:
        """Raise SourceChanged if the file is another by now."""
        self._body.source.check()


def _is_file(opened: OpenSource, session: Session) -> bool:
    """Whether a plain file may be read by the transport, and on the loop."""
    return opened.fileno is not None and session.file_io == "inline"


class _Pass(AsyncIterator[bytes]):
    """
    One sending of the body.

    Not an async generator: transports abandon those when a write fails, and
    then nobody closes them.
    """

    def __init__(
        self, envelope: multipart.Envelope, source: OpenSource, reporter: Reporter
    ) -> None:
        self._head, self._tail = envelope.head, envelope.tail
        self._chunks = source.chunks()
        self._size = source.size
        self._reporter = reporter
        self._speed = Speed("send")
        self._handed = 0
        self._last: tuple[float, int] | None = None

    async def __anext__(self) -> bytes:
        self._account()
        if self._handed == self._size and not self._tail:
            raise StopAsyncIteration
        chunk = await anext(self._chunks, b"")
        self._handed += len(chunk)
        wrapped = self._wrapped(chunk)
        self._last = time.monotonic(), len(chunk)
        return wrapped

    def _wrapped(self, chunk: bytes) -> bytes:
        """Head and tail travel with the first and last bytes: fewer packets."""
        head, self._head = self._head, b""
        if self._handed < self._size:
            return head + chunk if head else chunk
        tail, self._tail = self._tail, b""
        return head + chunk + tail

    def _account(self) -> None:
        """Whoever comes for the next chunk has sent the last one."""
        if self._last is None:
            return
        handed_at, size = self._last
        self._reporter.report(self._handed, self._size)
        self._speed.moved(size, time.monotonic() - handed_at)


def _limit(platform: Platform, type: str) -> Limit:
    """Return what the platform accepts; without limits the server decides."""
    if not platform.limits:
        return Limit(sys.maxsize, min_bytes=0)
    limit = platform.limits.get(type)
    if limit is None:
        # https://developer.work.weixin.qq.com/document/path/90313
        code = 40005 if platform.wecom else 40004
        raise MediaRejected(f"{platform.name} has no media type {type!r}", code=code)
    return limit


def _check_size(size: int, limit: Limit, *, wecom: bool) -> None:
    if size > limit.max_bytes:
        raise TooLarge(limit=limit.max_bytes, size=size)
    if size >= limit.min_bytes:
        return
    code = 40006 if wecom and size else 44001
    raise MediaRejected(f"{size} bytes, at least {limit.min_bytes} needed", code=code)


def _envelope(
    opened: OpenSource,
    type: str,
    filename: str | None,
    content_type: str | None,
    limit: Limit,
) -> multipart.Envelope:
    name = filenames.upload_name(
        filename or opened.filename,
        type=type,
        suffixes=limit.suffixes,
        first=opened.first,
    )
    kind = kinds.kind_of(opened.first)
    return multipart.envelope(
        filename=name,
        content_type=content_type
        or opened.content_type
        or (kind.content_type if kind else _UNKNOWN_TYPE),
        boundary=secrets.token_hex(16),
    )
