"""
Whether a request may be sent once more, as a stale connection seems to have lost it.

The one rule of both stacks. A server closes a kept-alive connection whenever it
likes, and a request may be on its way just then. It is sent again for free only if
not a byte of a reply came, and only by leave: the caller's, or that of HTTP, which
lets anybody repeat what is idempotent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import httpx

from ._content import Stream, is_file_body

IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
"""RFC 9110, section 9.2.2."""


class Link(Protocol):
    """
    What is known of the connection that a request failed on.

    Attributes:
        reused: Whether it has served a request before.

        lost: Whether it broke or was closed, by the other side.

        received: Whether a byte came since the request began.
    """

    @property
    def reused(self) -> bool: ...
    @property
    def lost(self) -> bool: ...
    @property
    def received(self) -> bool: ...


def went_stale(link: Link) -> bool:
    """Whether nobody seems to have seen the request that failed on *link*."""
    return link.reused and link.lost and not link.received


def may_be_resent(method: str, body: object, extensions: Mapping[str, Any]) -> bool:
    """
    Whether a request that went lost on a stale connection may be sent once more.

    Args:
        body: A stream of httpx's, or a `Content`. One that is neither bytes nor a
            file can be read again if it says so: ``replayable = True``.

        extensions: ``no_stale_retry`` forbids it, ``may_resend()`` decides it, in
            this moment. Where neither is given, the method does.
    """
    if extensions.get("no_stale_retry") or not _is_replayable(body):
        return False
    ask = extensions.get("may_resend")
    return method in IDEMPOTENT if ask is None else bool(ask())


def _is_replayable(body: object) -> bool:
    # A stream may answer otherwise once it has been read.
    if isinstance(body, Stream):
        body = body.chunks
    if isinstance(body, (bytes, httpx.ByteStream)) or is_file_body(body):
        return True
    return getattr(body, "replayable", False) is True
