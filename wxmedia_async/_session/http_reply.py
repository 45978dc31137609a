"""What a transport answers with, whichever it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple, Protocol, cast

import attrs
import httpx

Write = Callable[[memoryview], object]

# Chunks that an abandoned body may still hold before it ends: httpx receives
# 64 KiB at a time, and the shortest chunk has 6 bytes.
_LEFTOVERS = 64 * 1024 // 6


class ReplyBody(Protocol):
    """The body of a reply, read once."""

    @property
    def settled(self) -> bool:
        """Whether all has come, and nothing is left to be closed."""
        ...

    @property
    def receive_into(self) -> Callable[[Write], Awaitable[int]] | None:
        """
        What hands all the rest to a function, if the transport can do that.

        In pieces that are valid for one call of the function only.
        """
        ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None:
        """Give the connection back, or close it where bytes are left on it."""
        ...


class HttpReply(NamedTuple):
    """A reply whose head is complete, as it came."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: ReplyBody


def http_reply_of(response: httpx.Response) -> HttpReply:
    """Read what httpx has made of a reply."""
    return HttpReply(response.status_code, response.headers.raw, HttpxBody(response))


@attrs.define(eq=False, repr=False)
class HttpxBody:
    """A body that comes through httpx."""

    _response: httpx.Response
    _raw: AsyncIterator[bytes] = attrs.field(init=False)
    _ended: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._raw = _raw(self._response)

    @property
    def settled(self) -> bool:
        return bool(getattr(self._response.stream, "settled", False))

    @property
    def receive_into(self) -> Callable[[Write], Awaitable[int]] | None:
        if self._response.is_stream_consumed:
            return None
        return self._response.extensions.get("receive_into")

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._raw)
        except BaseException:
            self._ended = True
            raise

    async def aclose(self) -> None:
        await self._response.aclose()
        try:
            if not self._ended:
                await self._unwind()
        finally:
            if (aclose := getattr(self._raw, "aclose", None)) is not None:
                await aclose()

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


def _raw(response: httpx.Response) -> AsyncIterator[bytes]:
    """
    Iterate over the body as it came.

    Not by `aiter_raw()`, which refuses a reply that a mock made of bytes, or
    that a hook of the user's has read.
    """
    if response.is_stream_consumed:
        return aiter(httpx.ByteStream(response.content))
    # Of httpx, or of httpx2.
    return aiter(cast("httpx.AsyncByteStream", response.stream))
