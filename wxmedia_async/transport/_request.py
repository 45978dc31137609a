"""What a request is on the wire: its head, and the body that the head promises."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
import httpx

from ._connect import Guard
from ._origin import Origin, origin_of

# RFC 9110, section 5.5, without the control characters that h11 lets through.
_HEAD = re.compile(
    rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+ [\x21-\x7e]+ HTTP/1\.1\r\n"
    rb"(?:[-!#$%&'*+.^_`|~0-9A-Za-z]+: "
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?\r\n)*"
    rb"\r\n"
)


@runtime_checkable
class FileBody(Protocol):
    """
    A request body that is a part of an open file, with a few bytes around it.

    Such a stream is sent without passing through Python where the connection
    allows it. It is also an ordinary stream, for other transports.

    Attributes:
        head: What comes before the file's bytes.

        tail: What comes after them.

        fileno: The descriptor, open for reading until the request has ended;
            its position is neither used nor moved.

        offset: Where in the file the body begins, in bytes.

        size: How many bytes of the file are sent.

        progress: Called with the number of the file's bytes sent so far.
    """

    @property
    def head(self) -> bytes: ...
    @property
    def tail(self) -> bytes: ...
    @property
    def fileno(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def progress(self) -> Callable[[int], None] | None: ...

    def check(self) -> None:
        """Raise if the file changed; called before the tail is sent."""
        ...


@attrs.frozen(eq=False)
class Stream:
    """A request body that is neither known beforehand nor a file."""

    chunks: AsyncIterable[bytes]


Content = bytes | FileBody | Stream


Timeouts = Mapping[str, float | None]
"""Seconds for connect, read, write and pool, as httpx gives them."""


@attrs.define(eq=False)
class Outgoing:
    """
    A request, checked and ready to be sent.

    Attributes:
        length: Of the body, as announced; None: it goes in chunks.

        keep_alive: Whether the request lets the connection live.

        extensions: What the caller asks of us, rather than of the server.
    """

    method: str
    origin: Origin
    head: bytes = attrs.field(repr=False)
    content: Content = attrs.field(repr=False)
    length: int | None
    keep_alive: bool
    timeouts: Timeouts
    extensions: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def guard(self) -> Guard | None:
        """What is shown the addresses that we connect to."""
        return self.extensions.get("guard_address")

    def may_be_resent(self) -> bool:
        """Whether it may be sent again, as nobody seems to have seen it."""
        if not self._replayable() or self.extensions.get("no_stale_retry"):
            return False
        ask = self.extensions.get("may_resend")
        return ask is None or bool(ask())

    def _replayable(self) -> bool:
        # A stream may answer otherwise once it has been read.
        content = self.content
        if isinstance(content, Stream):
            return getattr(content.chunks, "replayable", False) is True
        return True


_NO_TIMEOUTS: Timeouts = {}


def outgoing(request: httpx.Request) -> Outgoing:
    """
    Check *request*, and write its head.

    Raises:
        httpx.LocalProtocolError: It cannot be sent as HTTP/1.1, or could be
            read in two ways.

        httpx.UnsupportedProtocol: Its URL is neither http nor https.
    """
    origin = origin_of(request)
    headers = request.headers.raw
    special = _special(headers)
    if len(special.get(b"host", ())) != 1:
        raise httpx.LocalProtocolError("a request has one Host header")
    content = _content(request.stream)
    return Outgoing(
        request.method,
        origin,
        _head(request, headers),
        content,
        _length(special, content),
        not _asks_to_close(special.get(b"connection", ())),
        request.extensions.get("timeout") or _NO_TIMEOUTS,
        request.extensions,
    )


_SPECIAL = {b"host", b"connection", b"content-length", b"transfer-encoding"}


def _special(headers: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        lower = name.lower()
        if lower in _SPECIAL:
            found.setdefault(lower, []).append(value)
    return found


def _head(request: httpx.Request, headers: list[tuple[bytes, bytes]]) -> bytes:
    target = request.extensions.get("target") or request.url.raw_path
    line = b" ".join((request.method.encode(), target, b"HTTP/1.1"))
    lines = [line, *map(b": ".join, headers), b"\r\n"]
    head = b"\r\n".join(lines)
    # The line feeds are counted, since a header that holds a whole other one
    # would match.
    if not _HEAD.fullmatch(head) or head.count(b"\n") != len(lines):
        raise httpx.LocalProtocolError("illegal character in the request's head")
    return head


def _content(stream: httpx.SyncByteStream | httpx.AsyncByteStream) -> Content:
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    # Asking the protocol takes as long as half of a small exchange.
    if hasattr(stream, "fileno") and isinstance(stream, FileBody):
        return stream
    if isinstance(stream, httpx.AsyncByteStream):
        return Stream(stream)
    raise httpx.LocalProtocolError("the body of an async request is an async stream")


def _length(special: dict[bytes, list[bytes]], content: Content) -> int | None:
    lengths = special.get(b"content-length", [])
    encodings = special.get(b"transfer-encoding", [])
    if len(lengths) + len(encodings) > 1:
        raise httpx.LocalProtocolError("the request frames its body twice")
    if encodings:
        if encodings[0].lower() != b"chunked":
            raise httpx.LocalProtocolError("unknown Transfer-Encoding")
        return None
    return _announced(lengths[0] if lengths else b"0", content)


def _announced(value: bytes, content: Content) -> int:
    if not value.isdigit() or len(value) > 18:
        raise httpx.LocalProtocolError("Content-Length is no length")
    length = int(value)
    actual = _known_size(content)
    if actual is not None and actual != length:
        raise httpx.LocalProtocolError(
            f"the body has {actual} bytes, Content-Length says {length}"
        )
    return length


def _known_size(content: Content) -> int | None:
    if isinstance(content, bytes):
        return len(content)
    if isinstance(content, Stream):
        return None
    return len(content.head) + content.size + len(content.tail)


def _asks_to_close(values: Sequence[bytes]) -> bool:
    tokens = b",".join(values).lower().split(b",")
    return b"close" in map(bytes.strip, tokens)
