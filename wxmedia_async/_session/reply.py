"""One reply: its head, and its body as it comes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from typing import Self, TypeVar

import anyio
import attrs

from .._errors import (
    APIError,
    MediaError,
    MediaNotFound,
    MediaRejected,
    Phase,
    RateLimited,
    TooLarge,
    Truncated,
)
from .._wire import replies
from .._wire.kinds import ENOUGH
from .failures import translated
from .family import httpx_errors
from .http_reply import ReplyBody
from .speed import Speed
from .transfer import Transfer

T = TypeVar("T")

# What WeChat says only after it has looked at the token.
_BEYOND_THE_TOKEN = (MediaNotFound, MediaRejected, RateLimited)


def _nobody_asks() -> None:
    """There was no token."""


@attrs.define(eq=False, repr=False)
class Reply:
    """
    A reply whose head is complete. It holds a slot until it is closed.

    Attributes:
        head: What its headers say.

        host: Who sent it.

        first: The beginning of the body, as far as `peek()` has read it.

        received: Bytes of the body so far.

        complete: Whether those are all.
    """

    head: replies.ReplyHead
    host: str
    _body: ReplyBody
    _secrets: Collection[str]
    _release: Callable[[Transfer], None]
    _transfer: Transfer
    _speed: Speed = attrs.field(factory=lambda: Speed(Phase.RECEIVE), init=False)
    first: bytes = attrs.field(default=b"", init=False)
    received: int = attrs.field(default=0, init=False)
    complete: bool = attrs.field(default=False, init=False)
    _accepted: Callable[[], None] = attrs.field(default=_nobody_asks, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give back the slot, and the connection or what is left of it."""
        if self._closed:
            return
        self._closed = True
        try:
            if not self._body.settled:
                with anyio.CancelScope(shield=True):
                    await self._body.aclose()
        finally:
            self._release(self._transfer)

    def on_acceptance(self, tell: Callable[[], None]) -> None:
        """Call *tell* as soon as the reply shows that WeChat took the token."""
        self._accepted = tell
        if self.head.attachment:
            tell()

    async def unless_fails(self, work: Awaitable[T]) -> T:
        """Stay open for whom *work* hands it to; close if it fails."""
        try:
            return await work
        except BaseException:
            await self.aclose()
            raise

    async def peek(self) -> bool:
        """Read `first`, as much as telling media from errors takes; True: all."""
        while not self.complete and not replies.enough(self.head, self.first):
            self.first += await self._pull()
        # What kind it is, and what an attachment is called, may hang on its first
        # bytes, however they come; and they are read next in any case.
        while not self.complete and len(self.first) < ENOUGH:
            self.first += await self._pull()
        return self.complete

    async def json(
        self, *, wecom: bool, token_call: bool = False, limit: int = replies.MAX_JSON
    ) -> dict[str, object]:
        """Return a reply that is a JSON object without an errcode."""
        body = bytearray()
        while not self.complete and len(body) <= limit:
            body += await self._pull()
        try:
            found = replies.parse_object(
                self.head,
                bytes(body),
                wecom=wecom,
                token_call=token_call,
                secrets=self._secrets,
                limit=limit,
            )
        except APIError as error:
            self._judge(error)
            raise
        self._accepted()
        return found

    def media_or_link(self, *, wecom: bool) -> replies.Media | replies.VideoLink:
        """Tell what a download's reply is, after `peek()`; raise what is an error."""
        try:
            found = replies.media_or_link(
                self.head,
                self.first,
                complete=self.complete,
                wecom=wecom,
                secrets=self._secrets,
            )
        except APIError as error:
            self._judge(error)
            raise
        self._accepted()
        return found

    def _judge(self, error: APIError) -> None:
        if isinstance(error, _BEYOND_THE_TOKEN) and error.code is not None:
            self._accepted()

    def check_encoding(self) -> None:
        """Refuse a body that was encoded, which nobody asked for."""
        replies.check_encoding(self.head)

    def check_size(self, limit: int) -> None:
        """Refuse a body that announces more than *limit* bytes."""
        if self.head.length is not None and self.head.length > limit:
            raise TooLarge(limit=limit, size=self.head.length)

    async def chunk(self, limit: int) -> bytes:
        """
        Return the next bytes of the body, beginning with `first`; none at its end.

        Raises:
            TooLarge: When there are more than *limit* bytes.

            TransferError: When the rest does not arrive.
        """
        chunk, self.first = self.first, b""
        while not chunk and not self.complete:
            chunk = await self._pull()
        self._check_limit(limit)
        return chunk

    def _check_limit(self, limit: int) -> None:
        if self.received > limit:
            raise TooLarge(limit=limit, size=self.received)

    @property
    def can_hand_over(self) -> bool:
        """Whether the transport gives bytes right from its buffer."""
        return self._body.receive_into is not None

    async def hand_over(
        self, write: Callable[[bytes | memoryview], None], limit: int
    ) -> None:
        """
        Hand all the rest to *write*, in pieces that are valid for that call only.

        What *write* raises passes unchanged.

        Raises:
            TooLarge: When there are more than *limit* bytes.

            TransferError: When the rest does not arrive.
        """
        write(await self.chunk(limit))
        receive_into = self._body.receive_into
        if self.complete or receive_into is None:
            return
        asked = time.monotonic()

        def take(piece: memoryview) -> None:
            nonlocal asked
            self._counted(len(piece), time.monotonic() - asked)
            self._check_limit(limit)
            write(piece)
            asked = time.monotonic()

        self._transfer.asked = True
        try:
            await receive_into(take)
        except httpx_errors() as error:
            failure = self._translated(error)
        else:
            self._transfer.asked = False
            self._check_end()
            return
        raise failure

    async def _pull(self) -> bytes:
        started = time.monotonic()
        self._transfer.asked = True
        try:
            chunk = await anext(self._body, None)
        except httpx_errors() as error:
            failure = self._translated(error)
        else:
            self._transfer.asked = False
            if chunk is None:
                self._check_end()
                return b""
            self._counted(len(chunk), time.monotonic() - started)
            if self._body.settled:
                self._check_end()
            return chunk
        self.complete = True
        raise failure

    def _translated(self, error: Exception) -> MediaError:
        return translated(
            error,
            host=self.host,
            phase=Phase.RECEIVE,
            received=self.received,
            expected=self.head.length,
            secrets=self._secrets,
        )

    def _counted(self, size: int, waited: float) -> None:
        self.received += size
        self._speed.moved(size, waited)

    def _check_end(self) -> None:
        """Not every transport counts."""
        self.complete = True
        if self.head.length not in (None, self.received):
            raise Truncated(expected=self.head.length, received=self.received)
