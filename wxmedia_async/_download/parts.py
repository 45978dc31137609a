"""A media that comes in parts, each an exchange of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import anyio

from .._errors import MediaError, Truncated, UnexpectedReply
from .._files.part import Part
from .._session.reply import Reply
from .._session.session import Session
from .._session.transfer import Transfer
from .._wire import ranges, replies
from .._wire.ranges import ByteRange
from .media_request import MediaRequest

_PARTIAL = 206


async def read_part(reply: Reply, part: ByteRange, *, wecom: bool) -> int:
    """
    Read the beginning of the reply to a request of *part*.

    A 206 for the range that was asked is media, whatever its name or first bytes:
    a part in the middle has neither.

    Returns:
        The size of the whole media, in bytes.

    Raises:
        UnexpectedReply: The reply is another part than was asked for.

        APIError: It is an error.
    """
    await reply.peek()
    size = ranges.whole_size(reply.head.content_range, part)
    if reply.head.status == _PARTIAL and size is not None:
        reply.check_encoding()
        return size
    # Raises what is an error; all else is no part.
    reply.media_or_link(wecom=wecom)
    raise UnexpectedReply(
        "WeChat sent another part of the media than was asked for",
        status=reply.head.status,
    )


def _check_whole(part: ByteRange, received: int) -> None:
    """A part may announce fewer bytes than its range, or no number at all."""
    if received < len(part):
        raise Truncated(expected=len(part), received=received)


class MediaInParts:
    """
    A media whose parts are asked for one by one, or all at once into a file.

    It holds no slot of its own, so its parts can take any.
    """

    verified: bool = True
    complete: bool = False

    def __init__(
        self,
        session: Session,
        transfer: Transfer,
        wanted: MediaRequest,
        probed: Reply,
        size: int,
    ) -> None:
        media = replies.media_of(probed.head)
        self.content_type: str | None = media.content_type
        self.filename: str | None = media.filename
        self.first: bytes = probed.first
        self.size = size
        self.received: int = 0
        self._session = session
        self._transfer = transfer
        self._wanted = wanted
        self._parts = ranges.parts(size)
        self._reply: Reply | None = None
        self._piece = ByteRange(0, 0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def chunk(self) -> bytes:
        """Return the next bytes; none at the end."""
        while self.received < self.size:
            if self._reply is None:
                await self._open_next()
            elif chunk := await self._reply.chunk(len(self._piece)):
                self.received += len(chunk)
                return chunk
            else:
                _check_whole(self._piece, self._reply.received)
                await self.aclose()
        return b""

    async def aclose(self) -> None:
        """Give back the slot of the part that is being read."""
        reply, self._reply = self._reply, None
        if reply is not None:
            await reply.aclose()

    async def write_to(self, part: Part, moved: Callable[[], None]) -> None:
        """Write all parts to their places in *part*, at the same time."""
        # Each is tried again by itself; then there is no use in all once more.
        self._transfer.hopeless = True
        failures: list[MediaError | OSError] = []

        async def save(piece: ByteRange) -> None:
            try:
                await self._save(piece, part, moved)
            except (MediaError, OSError) as error:
                failures.append(error)
                saving.cancel_scope.cancel()

        async with anyio.create_task_group() as saving:
            for piece in ranges.parts(self.size):
                saving.start_soon(save, piece)
        if failures:
            raise failures[0]
        self._transfer.hopeless = False

    async def _open_next(self) -> None:
        self._piece = next(self._parts)
        exchange = self._wanted.exchange(self._piece)
        self._reply = await self._session.exchange(self._transfer, exchange)
        await self._check(self._reply, self._piece)

    async def _save(
        self, piece: ByteRange, part: Part, moved: Callable[[], None]
    ) -> None:
        async def attempt(transfer: Transfer) -> None:
            exchange, done = self._wanted.exchange(piece), 0
            async with await self._session.exchange(transfer, exchange) as reply:
                await self._check(reply, piece)
                try:
                    while chunk := await reply.chunk(len(piece)):
                        await part.write_at(piece.start + done, chunk)
                        done += len(chunk)
                        self.received += len(chunk)
                        moved()
                    _check_whole(piece, done)
                except BaseException:
                    self.received -= done
                    raise

        await self._session.run(attempt)

    async def _check(self, reply: Reply, piece: ByteRange) -> None:
        size = await read_part(reply, piece, wecom=self._session.platform.wecom)
        if size != self.size:
            raise UnexpectedReply(
                "the media changed while its parts were fetched",
                status=reply.head.status,
            )
