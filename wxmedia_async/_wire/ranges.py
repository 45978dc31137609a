"""Byte ranges, for media that WeCom does not give in one piece."""

from __future__ import annotations

import re
from collections.abc import Iterator

import attrs

# https://developer.work.weixin.qq.com/document/path/90254 allows 20 MB, and does
# not say which: this is below either reading.
LONGEST = 16 * 1024 * 1024

# Enough to tell the kind by, and how much there is.
PROBE = 64 * 1024

_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", re.ASCII)


@attrs.frozen
class ByteRange:
    """
    A part of a media: bytes `start` up to, but not including, `stop`.

    >>> ByteRange(0, 100).header
    'bytes=0-99'
    """

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def header(self) -> str:
        """The value of ``Range``; HTTP counts the last byte in."""
        return f"bytes={self.start}-{self.stop - 1}"


def parts(size: int) -> Iterator[ByteRange]:
    """
    Cut *size* bytes into ranges; the last one may be shorter.

    >>> [len(part) for part in parts(LONGEST + 1)]
    [16777216, 1]
    """
    for start in range(0, size, LONGEST):
        yield ByteRange(start, min(start + LONGEST, size))


def whole_size(content_range: str | None, asked: ByteRange) -> int | None:
    """
    Return how many bytes the whole media has, from a part of it.

    Args:
        content_range: The value of ``Content-Range``.

        asked: What was asked for; the reply may be shorter where the media is.

    Returns:
        The size in bytes; None where the reply is not what was asked for.
    """
    found = _CONTENT_RANGE.fullmatch(content_range or "")
    if found is None:
        return None
    first, last, size = map(int, found.groups())
    if first != asked.start or last != min(asked.stop, size) - 1:
        return None
    return size
