"""One download, handed out as it arrives."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator
from contextlib import asynccontextmanager, contextmanager

import anyio

from .._errors import MediaError
from .._session.secrets import cleaned
from .._session.session import Session
from .._session.transfer import Transfer
from .._wire.kinds import kind_of
from .incoming import Incoming, open_media
from .media_request import MediaRequest


@asynccontextmanager
async def open_stream(
    session: Session, wanted: MediaRequest
) -> AsyncGenerator[MediaStream]:
    """Open a media, tried again until its head is there, and hold its slot."""

    async def attempt(transfer: Transfer) -> tuple[Transfer, Incoming]:
        transfer.is_stream = True
        return transfer, await open_media(session, transfer, wanted)

    transfer, incoming = await session.run(attempt, wanted.subject("stream"))
    stream = MediaStream(wanted.media_id, incoming, session, transfer)
    with session.pace.bound.kept_open(transfer), _told(transfer, incoming):
        async with incoming:
            yield stream


@contextmanager
def _told(transfer: Transfer, incoming: Incoming) -> Generator[None]:
    """Tell of the end of the block, which is that of the transfer."""
    try:
        yield
    except BaseException as error:
        transfer.moved(incoming.received)
        if transfer.story is not None:
            transfer.story.failed(error)
        raise
    transfer.moved(incoming.received)
    if transfer.story is not None:
        transfer.story.finished()


class MediaStream(AsyncIterator[bytes]):
    """
    A media as it arrives; made by `MediaClient.stream`.

    Iterating gives its bytes, once, and raises what a download would raise.
    It is not tried again: the bytes before a failure are gone already.

    Attributes:
        media_id: The media that was asked for.

        content_type: As WeChat sent it, which says little, or None.

        filename: The name that WeChat sent, safe to use as a name, or None.

        size: Length in bytes, or None where WeChat does not tell.

        kind: The content type that a look at the first bytes confirms, or None.
            Unlike `content_type` it can be relied on.
    """

    def __init__(
        self, media_id: str, incoming: Incoming, session: Session, transfer: Transfer
    ) -> None:
        self.media_id = media_id
        self.content_type: str | None = incoming.content_type
        self.filename: str | None = incoming.filename
        self.size: int | None = incoming.size
        self.kind: str | None = _confirmed(incoming.first)
        self._incoming = incoming
        self._session = session
        self._transfer = transfer
        self._left = transfer.time_left()
        self._is_read = False

    async def __anext__(self) -> bytes:
        if self._is_read:
            raise RuntimeError("another task is waiting for this stream's next chunk")
        self._is_read = True
        try:
            chunk = await self._chunk()
        finally:
            self._is_read = False
        if chunk:
            return chunk
        raise StopAsyncIteration

    async def _chunk(self) -> bytes:
        # The deadline counts our waiting alone, not what is done with a chunk;
        # and the scope ends here, as another task may ask for the next one.
        self._session.lifetime.check()
        failure: MediaError | None = None
        started = anyio.current_time()
        with anyio.move_on_after(self._left) as scope:
            self._session.lifetime.enter(scope)
            try:
                return await self._incoming.chunk()
            except MediaError as error:
                failure = error
            finally:
                self._session.lifetime.leave(scope)
                self._left -= anyio.current_time() - started
        raise cleaned(failure or self._session.interrupted(), self._transfer.attempts)


def _confirmed(first: bytes) -> str | None:
    kind = kind_of(first)
    return None if kind is None else kind.content_type
