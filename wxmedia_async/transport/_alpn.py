"""
Offering HTTP/1.1 by ALPN (RFC 7301) on a context that belongs to somebody else.

Python has the offer on the context alone, and no way of asking for it. But what a
context offers stands in the first message of a handshake, in the clear; so it can
be read from one that goes nowhere, and put back.
"""

from __future__ import annotations

import ssl
import struct
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress

HTTP1 = ["http/1.1"]

_ALPN = 16
"""The number of the extension."""


@contextmanager
def offering_http1(context: ssl.SSLContext) -> Generator[None]:
    """
    Let *context* offer HTTP/1.1 to whatever is made of it in the block.

    Afterwards it offers what it did before. Nothing may wait in the block.
    """
    before = offered(context)
    context.set_alpn_protocols(HTTP1)
    try:
        yield
    finally:
        context.set_alpn_protocols(before)


def offered(context: ssl.SSLContext) -> list[str]:
    """Return the protocols that a client with *context* offers by ALPN."""
    sent = ssl.MemoryBIO()
    hello = context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return _protocols(sent.read())


def _protocols(hello: bytes) -> list[str]:
    # RFC 8446, section 4.1.2: behind the headers of record and message (5 and 4
    # bytes), the version and the random (2 and 32) come a session's id, the suites,
    # the compressions, and the extensions, each with its length before it.
    at = 5 + 4 + 2 + 32
    for width in (1, 2, 1):
        at += width + int.from_bytes(hello[at : at + width])
    at += 2
    while at < len(hello):
        kind, size = struct.unpack_from(">HH", hello, at)
        at += 4
        if kind == _ALPN:
            return list(_names(hello[at + 2 : at + size]))
        at += size
    return []


def _names(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        end = at + 1 + data[at]
        yield data[at + 1 : end].decode("latin-1")
        at = end
