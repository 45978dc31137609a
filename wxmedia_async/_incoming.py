"""A media on its way: asked for, told from an error, found behind a link."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import attrs

from ._errors import APIError, TooLarge, UnexpectedReply
from ._files import Part
from ._parts import MediaInParts, part_size
from ._reply import Reply
from ._session import Session
from ._transfer import Transfer
from ._wanted import Wanted
from ._wire import errcodes, ranges, replies

_OK = 200
_MAX_REDIRECTS = 3


@attrs.define(eq=False, repr=False)
class WholeMedia:
    """A media on its way: what is known of it, and its bytes, once."""

    content_type: str | None
    filename: str | None
    limit: int
    reply: Reply

    @property
    def first(self) -> bytes:
        """The first bytes, to tell the kind by."""
        return self.reply.first

    @property
    def verified(self) -> bool:
        """Whether the reply says its length, and so cannot be cut unnoticed."""
        return self.reply.head.verified

    @property
    def size(self) -> int | None:
        """Length in bytes, where WeChat tells it."""
        return self.reply.head.length

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self.reply.received

    async def chunk(self) -> bytes:
        """Return the next bytes; none at the end."""
        return await self.reply.chunk(self.limit)

    async def write_to(self, part: Part, moved: Callable[[], None]) -> None:
        """Write all of it to *part*, and call *moved* as the bytes come."""
        if part.writes_at_once and self.reply.can_hand_over:

            def write(chunk: bytes | memoryview) -> None:
                part.append(chunk)
                moved()

            await self.reply.hand_over(write, self.limit)
            return
        while chunk := await self.chunk():
            await part.write(chunk)
            moved()


Incoming: TypeAlias = WholeMedia | MediaInParts
"""In one piece, as nearly always, or in parts, as WeCom wants it above 20 MB."""


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
        found = await _classified(session, reply, wanted)
        if isinstance(found, replies.Media):
            yield _whole(found, reply, wanted)
            return
    if found is None:
        async with _in_parts(session, transfer, wanted) as incoming:
            yield incoming
        return
    # The slot is free again by now: a link is an exchange of its own.
    async with _linked(session, transfer, found.url) as reply:
        yield _whole(await _media(session, reply, wanted), reply, wanted)


@asynccontextmanager
async def _in_parts(
    session: Session, transfer: Transfer, wanted: Wanted
) -> AsyncGenerator[Incoming]:
    probe = ranges.ByteRange(0, ranges.PROBE)
    async with session.exchange(transfer, wanted.exchange(probe)) as reply:
        found = await _media(session, reply, wanted)
        if reply.head.status == _OK:
            # It knows no ranges, and sends all of it.
            yield _whole(found, reply, wanted)
            return
        size = part_size(reply, probe)
    if size > wanted.max_bytes:
        raise TooLarge(limit=wanted.max_bytes, size=size)
    media = MediaInParts(session, transfer, wanted, found, reply.first, size)
    try:
        yield media
    finally:
        await media.aclose()


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
    session: Session, reply: Reply, wanted: Wanted
) -> replies.Media | replies.VideoLink | None:
    """Tell what came; None: WeCom wants to be asked for parts."""
    if reply.head.attachment:
        # Before its first bytes, which may never come.
        reply.check_size(wanted.max_bytes)
    await reply.peek()
    try:
        return reply.media_or_link(wecom=session.platform.wecom)
    except APIError as error:
        if error.code != errcodes.RANGE_NEEDED:
            raise
        return None


async def _media(session: Session, reply: Reply, wanted: Wanted) -> replies.Media:
    """Return what is media; everything else is one reply too far."""
    found = await _classified(session, reply, wanted)
    if isinstance(found, replies.Media):
        return found
    raise UnexpectedReply("media was expected here", status=reply.head.status)


def _whole(media: replies.Media, reply: Reply, wanted: Wanted) -> WholeMedia:
    if reply.head.status != _OK:
        raise UnexpectedReply("a part, all was asked for", status=reply.head.status)
    reply.check_size(wanted.max_bytes)
    return WholeMedia(media.content_type, media.filename, wanted.max_bytes, reply)
