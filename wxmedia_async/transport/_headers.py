"""The headers of a request, as they are sent and for what they promise."""

from __future__ import annotations

import re
from collections.abc import Sequence

import attrs
import httpx

TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
"""RFC 9110, section 5.6.2."""

# RFC 9110, section 5.5, without the control characters that h11 lets through.
_LINES = re.compile(
    rb"(?:" + TOKEN + rb": "
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\r\n)*"
)

Raw = list[tuple[bytes, bytes]]


@attrs.frozen(eq=False)
class HeaderBlock:
    """
    All headers of a request.

    Attributes:
        raw: What they were made of.

        lines: What is sent, with the empty line at the end.

        length: Of the body, as announced; None: it goes in chunks.

        keep_alive: Whether they let the connection live.
    """

    raw: Raw = attrs.field(repr=False)
    lines: bytes = attrs.field(repr=False)
    length: int | None
    keep_alive: bool


def header_block(raw: Raw) -> HeaderBlock:
    """
    Check headers, and write them.

    Raises:
        httpx.LocalProtocolError: They are none, or could be read in two ways.
    """
    special = _special(raw)
    if len(special.get(b"host", ())) != 1:
        raise httpx.LocalProtocolError("a request has one Host header")
    keep_alive = not _asks_to_close(special.get(b"connection", ()))
    lines = _written(raw) + b"\r\n"
    return HeaderBlock(raw, lines, _length(special), keep_alive)


_SPECIAL = {b"host", b"connection", b"content-length", b"transfer-encoding"}


def _special(raw: Raw) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in raw:
        lower = name.lower()
        if lower in _SPECIAL:
            found.setdefault(lower, []).append(value)
    return found


def _written(raw: Raw) -> bytes:
    lines = b"".join([b"%b: %b\r\n" % header for header in raw])
    # The line feeds are counted, since a header that holds a whole other one
    # would match.
    if not _LINES.fullmatch(lines) or lines.count(b"\n") != len(raw):
        raise httpx.LocalProtocolError("illegal character in a header")
    return lines


def _length(special: dict[bytes, list[bytes]]) -> int | None:
    lengths = special.get(b"content-length", [])
    encodings = special.get(b"transfer-encoding", [])
    if len(lengths) + len(encodings) > 1:
        raise httpx.LocalProtocolError("the request frames its body twice")
    if not encodings:
        return _number(lengths[0]) if lengths else 0
    if encodings[0].lower() != b"chunked":
        raise httpx.LocalProtocolError("unknown Transfer-Encoding")
    return None


def _number(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise httpx.LocalProtocolError("Content-Length is no length")
    return int(value)


def _asks_to_close(values: Sequence[bytes]) -> bool:
    tokens = b",".join(values).lower().split(b",")
    return b"close" in map(bytes.strip, tokens)
