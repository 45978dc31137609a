"""A media on its way: asked for, told from an error, found behind a link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self, TypeAlias

import attrs

from .._errors import APIError, TooLarge, UnexpectedReply
from .._files.part import Part
from .._session.links import follow
from .._session.reply import Reply
from .._session.session import Session
from .._session.transfer import Transfer
from .._wire import errcodes, ranges, replies
from .media_request import MediaRequest
from .parts import MediaInParts, read_part

_OK = 200


@attrs.define(eq=False, repr=False)
class WholeMedia:
    """A media on its way: what is known of it, and its bytes, once; to be closed."""

    content_type: str | None
    filename: str | None
    limit: int
    reply: Reply

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give back the slot, and the connection or what is left of it."""
        await self.reply.aclose()

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

    @property
    def complete(self) -> bool:
        """Whether all bytes have come already."""
        return self.reply.complete

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


async def open_media(
    session: Session, transfer: Transfer, wanted: MediaRequest
) -> Incoming:
    """
    Ask for a media, tell it from an error, and follow a link to it.

    Raises:
        MediaError: Whatever else the reply turned out to be.
    """
    reply = await session.exchange(transfer, wanted.exchange())
    try:
        found = await _first_reply(session, reply, wanted)
        if isinstance(found, replies.Media):
            return _whole(found, reply, wanted)
    except BaseException:
        await reply.aclose()
        raise
    # The slot is free again by now: what follows is an exchange of its own.
    await reply.aclose()
    if found is None:
        return await _in_parts(session, transfer, wanted)
    reply = await follow(session, transfer, found.url)
    return await reply.unless_fails(_last(session, reply, wanted))


async def _last(session: Session, reply: Reply, wanted: MediaRequest) -> WholeMedia:
    return _whole(await _media(session, reply, wanted), reply, wanted)


async def _in_parts(
    session: Session, transfer: Transfer, wanted: MediaRequest
) -> Incoming:
    probe = ranges.ByteRange(0, ranges.PROBE)
    reply = await session.exchange(transfer, wanted.exchange(probe))
    work = _probed(session, transfer, wanted, reply, probe)
    return await reply.unless_fails(work)


async def _probed(
    session: Session,
    transfer: Transfer,
    wanted: MediaRequest,
    reply: Reply,
    probe: ranges.ByteRange,
) -> Incoming:
    """Read the reply to the *probe*, which tells how many parts there are."""
    if reply.head.status == _OK:
        # It knows no ranges, and sends all of it.
        return await _last(session, reply, wanted)
    size = await read_part(reply, probe, wecom=session.platform.wecom)
    await reply.aclose()
    if size > wanted.max_bytes:
        raise TooLarge(limit=wanted.max_bytes, size=size)
    return MediaInParts(session, transfer, wanted, reply, size)


async def _first_reply(
    session: Session, reply: Reply, wanted: MediaRequest
) -> replies.Media | replies.VideoLink | None:
    """Tell what came; None: WeCom wants to be asked for parts."""
    try:
        return await _classified(session, reply, wanted)
    except APIError as error:
        if error.code != errcodes.RANGE_NEEDED:
            raise
        return None


async def _classified(
    session: Session, reply: Reply, wanted: MediaRequest
) -> replies.Media | replies.VideoLink:
    if reply.head.attachment:
        # Before its first bytes, which may never come.
        reply.check_size(wanted.max_bytes)
    await reply.peek()
    return reply.media_or_link(wecom=session.platform.wecom)


async def _media(session: Session, reply: Reply, wanted: MediaRequest) -> replies.Media:
    """Return what is media; everything else is one reply too far."""
    found = await _classified(session, reply, wanted)
    if isinstance(found, replies.Media):
        return found
    raise UnexpectedReply(
        "WeChat named a link where the media was expected",
        status=reply.head.status,
    )


def _whole(media: replies.Media, reply: Reply, wanted: MediaRequest) -> WholeMedia:
    if reply.head.status != _OK:
        raise UnexpectedReply(
            "WeChat sent a part of the media, though all of it was asked for",
            status=reply.head.status,
        )
    reply.check_size(wanted.max_bytes)
    return WholeMedia(media.content_type, media.filename, wanted.max_bytes, reply)
