"""A request, from what httpx made of it to what can be sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs
import httpx

from ._connect import Guard
from ._content import Content, content_of, size_of, stream_of
from ._headers import TOKEN, HeaderBlock, Raw, header_block
from ._origin import Origin, origin_of
from ._stale import may_be_resent

_LINE = re.compile(TOKEN + rb" [\x21-\x7e]+ HTTP/1\.1\r\n")

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
        return may_be_resent(self.method, self.content, self.extensions)


_NO_TIMEOUTS: Timeouts = {}


@attrs.define(eq=False)
class Writer:
    """Makes requests ready, and knows the last parts, since they hardly change."""

    _block: HeaderBlock | None = attrs.field(default=None, init=False, repr=False)
    _origin: Origin | None = attrs.field(default=None, init=False)
    _url: httpx.URL | None = attrs.field(default=None, init=False)

    def outgoing(
        self,
        method: str,
        url: httpx.URL,
        headers: Raw,
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        extensions: Mapping[str, Any],
    ) -> Outgoing:
        """
        Check a request, and write its head.

        Raises:
            httpx.LocalProtocolError: It cannot be sent as HTTP/1.1, or could
                be read in two ways.

            httpx.UnsupportedProtocol: Its URL is neither http nor https.
        """
        origin = self._origin_of(url, extensions)
        block = self._block_of(headers)
        return Outgoing(
            method,
            origin,
            _line(method, extensions.get("target") or url.raw_path) + block.lines,
            _content(stream, block.length),
            block.length,
            block.keep_alive,
            extensions.get("timeout") or _NO_TIMEOUTS,
            extensions,
        )

    def _block_of(self, raw: Raw) -> HeaderBlock:
        last = self._block
        # To compare all of them takes longer than to see that they are the same.
        if last is None or (last.raw is not raw and last.raw != raw):
            last = self._block = header_block(raw)
        return last

    def _origin_of(self, url: httpx.URL, extensions: Mapping[str, Any]) -> Origin:
        if "sni_hostname" in extensions:
            return origin_of(url, extensions)
        # By identity: to compare URLs takes longer than to read one.
        if self._origin is None or url is not self._url:
            self._origin, self._url = origin_of(url, extensions), url
        return self._origin


def _line(method: str, target: bytes) -> bytes:
    if method == "CONNECT":
        # What follows its reply is no body, and the tunnel would be left unused.
        raise httpx.LocalProtocolError("this transport makes no tunnels")
    line = b"%b %b HTTP/1.1\r\n" % (method.encode(), target)
    if not _LINE.fullmatch(line):
        raise httpx.LocalProtocolError("illegal character in the request line")
    return line


def _content(
    stream: httpx.SyncByteStream | httpx.AsyncByteStream, announced: int | None
) -> Content:
    if announced is None:
        return stream_of(stream)
    content = content_of(stream)
    size = size_of(content)
    if size not in (None, announced):
        raise httpx.LocalProtocolError(
            f"the body has {size} bytes, Content-Length says {announced}"
        )
    return content
