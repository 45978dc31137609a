"""One reply: its head, and its body as it comes."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection

import attrs
import httpx

from ._errors import MediaError, TooLarge, Truncated
from ._failures import HTTPX_ERRORS, HTTPXError, translated
from ._speed import Speed, within_window
from ._wire import replies

# Buffered chunks that an abandoned body may still hold before it ends.
_LEFTOVERS = 64


@attrs.define(eq=False, repr=False)
class Reply:
    """
    A reply whose head is complete.

    Attributes:
        head: What its headers say.

        first: The beginning of the body, as far as `peek()` has read it.

        received: Bytes of the body so far.
    """

    head: replies.Head
    _response: httpx.Response
    _secrets: Collection[str]
    _raw: AsyncIterator[bytes] = attrs.field(init=False)
    _speed: Speed = attrs.field(factory=lambda: Speed("receive"), init=False)
    first: bytes = attrs.field(default=b"", init=False)
    received: int = attrs.field(default=0, init=False)
    _ended: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._raw = _body(self._response)
        timeouts = self._response.request.extensions["timeout"]
        timeouts["read"] = within_window(timeouts["read"])

    @property
    def redirect(self) -> str | None:
        """Where a redirect leads."""
        if not self._response.has_redirect_location:
            return None
        # A plain URL: joined to a SecretURL, the location would be redacted.
        asked = httpx.URL(self._response.request.url)
        return str(asked.join(self._response.headers["location"]))

    @property
    def content_range(self) -> str | None:
        """Which part of the media this is."""
        value = self._response.headers.get("content-range")
        return None if value is None else str(value)

    async def peek(self) -> bool:
        """Read `first`, as much as telling media from errors takes; True: all."""
        while not self._ended and not replies.enough(self.head, self.first):
            self.first += await self._pull()
        # What an attachment is called may hang on its first bytes, and they
        # are read next in any case.
        if not self._ended and not self.first:
            self.first = await self._pull()
        return self._ended

    async def json(
        self, *, wecom: bool, token_call: bool = False, limit: int = replies.MAX_JSON
    ) -> dict[str, object]:
        """Return a reply that is a JSON object without an errcode."""
        body = bytearray()
        while not self._ended and len(body) <= limit:
            body += await self._pull()
        return replies.parse_object(
            self.head,
            bytes(body),
            wecom=wecom,
            token_call=token_call,
            secrets=self._secrets,
            limit=limit,
        )

    def media_or_link(self, *, wecom: bool) -> replies.Media | replies.VideoLink:
        """Tell what a download's reply is, after `peek()`; raise what is an error."""
        return replies.media_or_link(
            self.head,
            self.first,
            complete=self._ended,
            wecom=wecom,
            secrets=self._secrets,
        )

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
        while not chunk and not self._ended:
            chunk = await self._pull()
        self._check_limit(limit)
        return chunk

    def _check_limit(self, limit: int) -> None:
        if self.received > limit:
            raise TooLarge(limit=limit, size=self.received)

    @property
    def can_hand_over(self) -> bool:
        """Whether the transport gives bytes right from its buffer."""
        extensions = self._response.extensions
        return "receive_into" in extensions and not self._response.is_stream_consumed

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
        asked = time.monotonic()

        def take(piece: memoryview) -> None:
            nonlocal asked
            self._counted(len(piece), time.monotonic() - asked)
            self._check_limit(limit)
            write(piece)
            asked = time.monotonic()

        if self._ended:
            return
        try:
            await self._response.extensions["receive_into"](take)
        except HTTPX_ERRORS as error:
            failure = self._translated(error)
        else:
            self._check_end()
            return
        raise failure

    async def aclose(self) -> None:
        """Give the connection back, or close it where bytes are left on it."""
        await self._response.aclose()
        try:
            if not self._ended:
                await self._unwind()
        finally:
            if (aclose := getattr(self._raw, "aclose", None)) is not None:
                await aclose()

    async def _pull(self) -> bytes:
        started = time.monotonic()
        try:
            chunk = await anext(self._raw, None)
        except HTTPX_ERRORS as error:
            failure = self._translated(error)
        else:
            if chunk is None:
                self._check_end()
                return b""
            self._counted(len(chunk), time.monotonic() - started)
            return chunk
        self._ended = True
        raise failure

    def _translated(self, error: HTTPXError) -> MediaError:
        return translated(
            error,
            host=self._response.request.url.host,
            phase="receive",
            received=self.received,
            expected=self.head.length,
            secrets=self._secrets,
        )

    def _counted(self, size: int, waited: float) -> None:
        self.received += size
        self._speed.moved(size, waited)

    def _check_end(self) -> None:
        """Not every transport counts."""
        self._ended = True
        if self.head.length not in (None, self.received):
            raise Truncated(expected=self.head.length, received=self.received)

    async def _unwind(self) -> None:
        # httpx reads through a chain of async generators. Closing the outer one
        # leaves the inner ones to the garbage collector, which on trio is a
        # ResourceWarning. The connection is closed by now, so that reading on
        # fails at the far end of the chain, and all of it unwinds.
        try:
            for _ in range(_LEFTOVERS):
                if await anext(self._raw, None) is None:
                    return
        # A closed connection may raise anything, depending on the transport, and
        # none of it is news.
        except Exception:  # noqa: BLE001
            return


def _body(response: httpx.Response) -> AsyncIterator[bytes]:
    """
    Iterate over the body as it came.

    Not by `aiter_raw()`, which refuses a reply that a mock made of bytes, or
    that a hook of the user's has read.
    """
    if response.is_stream_consumed:
        return aiter(httpx.ByteStream(response.content))
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return aiter(response.stream)
