"""
What the bytes of a reply mean: its head, and where its body ends.

The syntax is judged by llhttp in its strict mode. What it leaves to its user is
judged here, and always refused where two readers could disagree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

import attrs
import httptools
import httpx

MAX_HEADERS = 256
"""Lines of one head. Nobody sends so many with a good intent."""

END_OF_HEAD = b"\r\n\r\n"

_BEGINNING = b"HTTP/1."

_BARE = re.compile(rb"(?<!\r)\n|\r[^\n]")
"""One half of what ends a line, without the other."""

_BAD_REASON = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")

# The second is what it makes of a reply that changes the protocol.
_REFUSED = (httptools.HttpParserError, httptools.HttpParserUpgrade)

Pieces = Sequence[bytes | memoryview]


class Decoder(Protocol):
    """
    Finds the body in the bytes that follow a head.

    Attributes:
        complete: Whether the body is whole.

        surplus: Whether bytes came that belong to no reply.
    """

    complete: bool
    surplus: bool

    def room(self, size: int) -> int:
        """Return how many bytes may be received next, *size* at most."""
        ...

    def feed(self, data: memoryview) -> Pieces:
        """Return what of *data* is body; valid for as long as *data* is."""
        ...

    def end(self, *, orderly: bool) -> None:
        """
        Take note that no more bytes come.

        Args:
            orderly: Whether the peer said so: a TLS connection may be cut by
                anybody on the way, but not with a closure alert.

        Raises:
            httpx.RemoteProtocolError: The body is cut short.
        """
        ...


@attrs.define(eq=False)
class Head:
    """The head of one reply."""

    status: int
    version: bytes
    reason: bytes
    headers: list[tuple[bytes, bytes]] = attrs.field(repr=False)
    keep_alive: bool
    _parser: httptools.HttpResponseParser = attrs.field(repr=False)
    _message: _Message = attrs.field(repr=False)

    def body(self, method: str) -> Decoder:
        """
        Return what reads the body of a reply to *method* (RFC 9112, section 6.3).

        Raises:
            httpx.RemoteProtocolError: The framing could be read in two ways.
        """
        framing, value = self._framing()
        if framing == b"transfer-encoding":
            self._check_chunked(value)
        if method == "HEAD" or self.status in (204, 304):
            return LengthDecoder(0)
        if framing == b"transfer-encoding":
            return ChunkedDecoder(self._parser, self._message)
        if framing == b"content-length":
            return LengthDecoder(int(value))
        return CloseDecoder()

    def _framing(self) -> tuple[bytes, bytes]:
        # llhttp has refused a second length and a length with an encoding.
        found = b"", b""
        for name, value in self.headers:
            lower = name.lower()
            if lower in (b"content-length", b"transfer-encoding"):
                if found[0]:
                    raise httpx.RemoteProtocolError("the reply frames its body twice")
                found = lower, value
        return found

    def _check_chunked(self, encoding: bytes) -> None:
        # HTTP/1.0 knows no encodings; an old proxy might have passed one on.
        if encoding.lower() != b"chunked" or self.version != b"HTTP/1.1":
            raise httpx.RemoteProtocolError("unknown Transfer-Encoding")


def parse_head(data: bytes) -> Head:
    """
    Parse a head, from its status line to the empty line that ends it.

    Raises:
        httpx.RemoteProtocolError: It is not HTTP/1, or not strictly so.
    """
    if not data.startswith(_BEGINNING):
        raise _not_http1()
    message = _Message()
    message.parser = parser = httptools.HttpResponseParser(message)
    try:
        parser.feed_data(data)
    except _REFUSED as error:
        if parser.get_status_code() == 101:
            raise httpx.RemoteProtocolError("nobody asked for an upgrade") from None
        raise _not_http(error) from None
    finally:
        del message.parser  # or each reply would be garbage in a circle
    return _checked_head(data[:8], parser, message)


def _checked_head(
    version: bytes, parser: httptools.HttpResponseParser, message: _Message
) -> Head:
    status = parser.get_status_code()
    if not message.headed or version not in (b"HTTP/1.1", b"HTTP/1.0") or status < 100:
        raise _not_http1()
    if _BAD_REASON.search(message.reason):
        raise httpx.RemoteProtocolError("control characters in the status line")
    if len(message.headers) > MAX_HEADERS:
        raise httpx.RemoteProtocolError(f"more than {MAX_HEADERS} headers")
    return Head(
        status,
        version,
        message.reason,
        message.headers,
        message.keep_alive,
        parser,
        message,
    )


def check_unfinished(data: bytes, start: int, searched: int) -> None:
    """
    Refuse what is no part of a head and can become none.

    Who speaks another protocol, or ends lines in another way, may never send the
    empty line that ends a head.

    Args:
        data: What has come so far.

        start: Where the head begins.

        searched: Up to where it was looked at before.

    Raises:
        httpx.RemoteProtocolError: It is not HTTP/1.
    """
    if not _BEGINNING.startswith(data[start : start + len(_BEGINNING)]):
        raise _not_http1()
    if _BARE.search(data, max(start, searched - 1)):
        raise httpx.RemoteProtocolError("a line of the head does not end in CR LF")


class _Message:
    """
    What llhttp found so far; its callbacks.

    It goes on to the next message by itself where bytes are left. That one is
    surplus, and nothing of it is kept.
    """

    __slots__ = (
        "complete",
        "headed",
        "headers",
        "keep_alive",
        "parser",
        "pieces",
        "reason",
        "surplus",
    )

    def __init__(self) -> None:
        self.parser: httptools.HttpResponseParser
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.headed = self.keep_alive = self.complete = self.surplus = False

    def on_message_begin(self) -> None:
        self.surplus = self.complete

    def on_status(self, reason: bytes) -> None:
        if not self.headed:
            self.reason = reason

    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers come here as well, and nobody asked for any.
        if not self.headed:
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if not self.headed:
            self.headed = True
            self.keep_alive = self.parser.should_keep_alive()

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.complete = True


@attrs.define(eq=False)
class LengthDecoder:
    """A body of a length that was announced."""

    length: int
    left: int = attrs.field(init=False)
    complete: bool = attrs.field(init=False)
    surplus: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self.left = self.length
        self.complete = not self.length

    def room(self, size: int) -> int:
        return min(size, self.left)

    def feed(self, data: memoryview) -> Pieces:
        if len(data) > self.left:
            self.surplus = True
            data = data[: self.left]
        self.left -= len(data)
        self.complete = not self.left
        return (data,) if data else ()

    def end(self, *, orderly: bool) -> None:
        raise httpx.RemoteProtocolError(
            "incomplete body: connection closed after"
            f" {self.length - self.left} of {self.length} bytes"
        )


@attrs.define(eq=False)
class ChunkedDecoder:
    """
    A body in chunks, each with its length; llhttp reads on where the head ended.

    It takes extensions and trailers of any length, and they count for nothing.
    Bytes without a body in them are therefore limited, as a head is.
    """

    _parser: httptools.HttpResponseParser
    _message: _Message
    _idle: int = attrs.field(default=0, init=False)
    complete: bool = attrs.field(default=False, init=False)
    surplus: bool = attrs.field(default=False, init=False)

    def room(self, size: int) -> int:
        return size

    def feed(self, data: memoryview) -> Pieces:
        message = self._message
        message.complete, message.pieces = False, []
        try:
            self._parser.feed_data(data)
        except _REFUSED as error:
            if not message.complete:
                raise _not_http(error) from None
            message.surplus = True
        self.complete, self.surplus = message.complete, message.surplus
        self._check_progress(len(data))
        return message.pieces

    def end(self, *, orderly: bool) -> None:
        raise httpx.RemoteProtocolError(
            "incomplete body: connection closed before the last chunk"
        )

    def _check_progress(self, size: int) -> None:
        self._idle = 0 if self._message.pieces else self._idle + size
        if self._idle > _MAX_IDLE:
            raise httpx.RemoteProtocolError("chunks without a body")


@attrs.define(eq=False)
class CloseDecoder:
    """A body that ends with the connection."""

    complete: bool = attrs.field(default=False, init=False)
    surplus: bool = attrs.field(default=False, init=False)

    def room(self, size: int) -> int:
        return size

    def feed(self, data: memoryview) -> Pieces:
        return (data,) if data else ()

    def end(self, *, orderly: bool) -> None:
        # RFC 9112, section 9.8: without the alert it may have been cut.
        if not orderly:
            raise httpx.RemoteProtocolError(
                "incomplete body: connection closed without a TLS closure alert"
            )
        self.complete = True


_MAX_IDLE = 64 * 1024


def _not_http(error: Exception) -> httpx.RemoteProtocolError:
    return httpx.RemoteProtocolError(f"not valid HTTP/1.1: {error}")


def _not_http1() -> httpx.RemoteProtocolError:
    return httpx.RemoteProtocolError("not an HTTP/1 reply")
