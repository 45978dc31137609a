"""One download, start to finish."""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
from attrs.validators import instance_of, min_len

from ._errors import UnexpectedReply
from ._files import Target, child, make_folder, open_part
from ._models import Destination, MediaContent, SavedMedia
from ._progress import Reporter
from ._reply import Reply
from ._session import Exchange, Session, Transfer
from ._wire import filenames, replies

_MAX_REDIRECTS = 3


@attrs.frozen
class Wanted:
    """Which media, and how much of it at most."""

    media_id: str = attrs.field(validator=[instance_of(str), min_len(1)])
    max_bytes: int
    hd_voice: bool = False

    def exchange(self) -> Exchange:
        """Ask for it."""
        # https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/kf-mgnt/kf-message/getTempMedia.html
        path = "/cgi-bin/media/get/jssdk" if self.hd_voice else "/cgi-bin/media/get"
        return Exchange(method="GET", path=path, params={"media_id": self.media_id})


@attrs.define(eq=False, repr=False)
class Incoming:
    """A media on its way: what is known of it, and its bytes, once."""

    content_type: str | None
    filename: str | None
    limit: int
    reply: Reply

    @property
    def size(self) -> int | None:
        """Length in bytes, where WeChat tells it."""
        return self.reply.head.length

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self.reply.received

    def saved_name(self, media_id: str) -> str:
        """Name the file for it."""
        return filenames.saved_name(
            media_id,
            filename=self.filename,
            content_type=self.content_type,
            first=self.reply.first,
        )

    async def chunk(self) -> bytes:
        """Return the next bytes; none at the end."""
        return await self.reply.chunk(self.limit)


async def save(
    session: Session,
    wanted: Wanted,
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
        async with open_media(session, transfer, wanted) as incoming:
            path = _final_path(target, incoming, wanted.media_id, overwrite=overwrite)
            async with open_part(path, file_io=session.file_io) as part:
                while chunk := await incoming.chunk():
                    await part.write(chunk)
                    reporter.report(incoming.received, incoming.size)
                saved = _saved(wanted, incoming, path, str(path))
                publishing(saved)
                await part.publish(overwrite=overwrite)
        return saved

    async def to_destination(transfer: Transfer) -> SavedMedia:
        assert isinstance(target, Destination)
        reporter.begin(None)
        async with open_media(session, transfer, wanted) as incoming:
            body = _Body(incoming, reporter)
            location = await target.put(
                incoming.saved_name(wanted.media_id),
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


async def read(session: Session, wanted: Wanted) -> MediaContent:
    """Download into memory."""

    async def attempt(transfer: Transfer) -> MediaContent:
        content = bytearray()
        async with open_media(session, transfer, wanted) as incoming:
            while chunk := await incoming.chunk():
                content += chunk
        return MediaContent(
            wanted.media_id, bytes(content), incoming.content_type, incoming.filename
        )

    return await session.run(attempt)


@asynccontextmanager
async def open_media(
    session: Session, transfer: Transfer, wanted: Wanted
) -> AsyncGenerator[Incoming]:
    """
    Ask for a media, tell it from an error, and follow a link to it.

    Raises:
        MediaError: Whatever else the reply turned out to be.
    """
    async with session.exchange(transfer, wanted.exchange()) as reply:
        found = await _classified(session, reply)
        if isinstance(found, replies.Media):
            yield _incoming(found, reply, wanted)
            return
    # The slot is free again by now: a link is an exchange of its own.
    async with _linked(session, transfer, found.url) as reply:
        found = await _classified(session, reply)
        if isinstance(found, replies.VideoLink):
            raise UnexpectedReply("a link to another link", status=reply.head.status)
        yield _incoming(found, reply, wanted)


@asynccontextmanager
async def _linked(
    session: Session, transfer: Transfer, url: str
) -> AsyncGenerator[Reply]:
    for _ in range(_MAX_REDIRECTS + 1):
        async with session.follow(transfer, url) as reply:
            if reply.redirect is None:
                yield reply
                return
            url = reply.redirect
    raise UnexpectedReply(f"a link with more than {_MAX_REDIRECTS} redirects")


async def _classified(
    session: Session, reply: Reply
) -> replies.Media | replies.VideoLink:
    await reply.peek()
    return reply.media_or_link(wecom=session.platform.wecom)


def _incoming(media: replies.Media, reply: Reply, wanted: Wanted) -> Incoming:
    reply.check_size(wanted.max_bytes)
    return Incoming(media.content_type, media.filename, wanted.max_bytes, reply)


def _final_path(
    target: Target, incoming: Incoming, media_id: str, *, overwrite: bool
) -> Path:
    if target.path is not None:
        return target.path
    assert target.folder is not None
    make_folder(target.folder)
    path = child(target.folder, incoming.saved_name(media_id))
    # Publishing would find out as well, but only after all the bytes.
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    return path


def _saved(
    wanted: Wanted, incoming: Incoming, path: Path | None, location: str
) -> SavedMedia:
    return SavedMedia(
        wanted.media_id,
        path,
        location,
        incoming.received,
        incoming.content_type,
        incoming.filename,
        incoming.reply.head.verified,
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
