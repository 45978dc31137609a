"""
One media for one browser: whole where it is short, else as it arrives.

A browser may be slow, and a slot that waits for it is missing elsewhere. So a short
media is read first and the slot is back before the browser gets a byte of it; and
while a long one is on its way, the browser may pause for so long only.
"""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import anyio
import attrs

from .. import MediaClient, MediaStream
from .._errors import MediaError, TransferError
from .._models import MediaContent
from .web import detail_of, etag_of, headers_of, status_of, unchanged_headers

logger = logging.getLogger("wxmedia_async")

SHORT = 2 * 1024 * 1024
"""The most bytes of a media that are held in memory for a browser."""

# What a browser must take before `reader_timeout` begins anew.
_PIECE = 64 * 1024

# https://www.rfc-editor.org/rfc/rfc9110#field.if-none-match
_TAG = re.compile(r'(?:W/)?("[^"]*")')
# One range alone; longer numbers are beyond every end, and not worth reading.
_RANGE = re.compile(r"bytes=[ \t]*(?:(\d{1,30})-(\d{0,30})|-(\d{1,30}))", re.ASCII)


@attrs.frozen(kw_only=True)
class Asked:
    """What a browser asks for, as far as it is looked at here; "" where not said."""

    head_only: bool
    if_none_match: str
    if_range: str
    range: str


def _check_timeout(_: object, __: object, value: float | None) -> None:
    if value is not None and not value > 0:  # which NaN is not either
        raise ValueError("reader_timeout is a positive number of seconds")


@attrs.frozen(kw_only=True)
class AskedFor:
    """Which media, and how it is handed on."""

    media_id: str
    max_bytes: int | None
    hd_voice: bool
    reader_timeout: float | None = attrs.field(validator=_check_timeout)


@attrs.frozen
class Shown:
    """
    What the browser gets.

    Attributes:
        content: The bytes that are here already.

        rest: Those that follow, for which a slot is held; None: there are none.
    """

    status: int
    headers: dict[str, str]
    content: bytes = attrs.field(default=b"", repr=False)
    rest: AsyncIterator[bytes] | None = None


@asynccontextmanager
async def open_shown(
    client: MediaClient, wanted: AskedFor, asked: Asked
) -> AsyncGenerator[Shown]:
    """
    Find out what to show, and hold a slot only while there is more to come.

    Raises:
        MediaError: Before the block, where nothing has been shown yet.
    """
    media_id, cap, hd_voice = wanted.media_id, wanted.max_bytes, wanted.hd_voice
    etag = etag_of(media_id, hd_voice=hd_voice)
    if etag in _TAG.findall(asked.if_none_match):
        yield Shown(304, unchanged_headers(etag))
        return
    async with client.stream(media_id, max_bytes=cap, hd_voice=hd_voice) as media:
        shown = await _opened(media, wanted, asked)
        if shown is not None and shown.rest is not None:
            yield shown
            return
    # The slot is back from here on.
    if shown is None:
        content = await client.read(media_id, max_bytes=cap, hd_voice=hd_voice)
        shown = _in_memory(content, wanted, asked)
    yield shown


async def pass_on(
    shown: Shown, wanted: AskedFor, write: Callable[[bytes], Awaitable[None]]
) -> bool:
    """
    Hand the bytes to *write* as they come.

    Returns:
        False where not all of them were taken: the browser has left, or is to be
        cut off, as the head has promised what does not come.
    """
    rest, chunk = shown.rest, shown.content
    while True:
        for start in range(0, len(chunk), _PIECE):
            piece = chunk[start : start + _PIECE]
            if not await taken(partial(write, piece), wanted):
                return False
        try:
            chunk = b"" if rest is None else await anext(rest, b"")
        except (MediaError, OSError) as error:
            logger.warning("media %.80r broke off: %s", wanted.media_id, error)
            return False
        if not chunk:
            return True


async def taken(send: Callable[[], Awaitable[object]], wanted: AskedFor) -> bool:
    """Wait until the browser has taken what *send* sends; False: it did not."""
    try:
        with anyio.fail_after(wanted.reader_timeout):
            await send()
    except TimeoutError:
        logger.warning(
            "media %.80r: the browser took nothing for %s s",
            wanted.media_id,
            wanted.reader_timeout,
        )
    except OSError:
        pass  # it has left
    else:
        return True
    return False


def refusal_of(error: Exception) -> tuple[int, dict[str, str], dict[str, str]]:
    """Give status, headers and a JSON document; what that hides is logged."""
    status, headers = status_of(error)
    detail = detail_of(error)
    if detail != str(error):
        logger.warning("answered with %s: %s: %s", status, type(error).__name__, error)
    return status, headers, {"detail": detail}


async def _opened(media: MediaStream, wanted: AskedFor, asked: Asked) -> Shown | None:
    """Show what can be shown; None: it broke off, and is short enough to begin anew."""
    if asked.head_only or (media.size or 0) > SHORT:
        return _streamed(media, wanted, asked)
    try:
        content, ended = await _beginning(media)
    except TransferError:
        return None
    if not ended:
        return attrs.evolve(_streamed(media, wanted, asked), content=content)
    whole = MediaContent(media.media_id, content, media.content_type, media.filename)
    return _in_memory(whole, wanted, asked)


async def _beginning(media: MediaStream) -> tuple[bytes, bool]:
    """Read until more than `SHORT` bytes are here, or the end is."""
    content = bytearray()
    while len(content) <= SHORT:
        chunk = await anext(media, b"")
        if not chunk:
            return bytes(content), True
        content += chunk
    return bytes(content), False


def _streamed(media: MediaStream, wanted: AskedFor, asked: Asked) -> Shown:
    headers = headers_of(media, hd_voice=wanted.hd_voice)
    if media.size is not None and media.size <= SHORT:
        headers["Accept-Ranges"] = "bytes"
    return Shown(200, headers, rest=None if asked.head_only else media)


def _in_memory(media: MediaContent, wanted: AskedFor, asked: Asked) -> Shown:
    headers = headers_of(media, hd_voice=wanted.hd_voice)
    headers["Accept-Ranges"] = "bytes"
    size = len(media.content)
    part = _part(asked, headers["ETag"], size)
    if part is None:
        return Shown(200, headers, media.content)
    headers["Content-Length"] = str(len(part))
    if not part:
        headers["Content-Range"] = f"bytes */{size}"
        return Shown(416, headers)
    headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
    return Shown(206, headers, media.content[part.start : part.stop])


def _part(asked: Asked, etag: str, size: int) -> range | None:
    """
    Tell which bytes are asked for: none where there are no such, None for all.

    https://www.rfc-editor.org/rfc/rfc9110#name-range-requests
    """
    match = _RANGE.fullmatch(asked.range.strip())
    if match is None or asked.if_range not in ("", etag):
        return None
    first, last, suffix = match.groups()
    if suffix:
        return range(max(size - int(suffix), 0), size) if int(suffix) else range(0)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last or size) + 1, size))
