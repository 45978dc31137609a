from __future__ import annotations

import attrs
import httpx
import pytest

from tests.transport.test_uploads import Chunks, Part
from wxmedia_async.transport._content import Stream
from wxmedia_async.transport._stale import may_be_resent, went_stale


@attrs.frozen
class Seen:
    """What was seen of a connection."""

    reused: bool = True
    lost: bool = True
    received: bool = False


@pytest.mark.parametrize(
    ("link", "stale"),
    [
        (Seen(), True),
        (Seen(reused=False), False),
        (Seen(lost=False), False),
        (Seen(received=True), False),
    ],
)
def test_went_stale(link: Seen, stale: bool) -> None:
    """Stale is what served before, broke, and has not answered with a byte."""
    assert went_stale(link) is stale


def leave() -> bool:
    return True


@pytest.mark.parametrize(
    ("method", "extensions", "resent"),
    [
        ("GET", {}, True),
        ("HEAD", {}, True),
        ("OPTIONS", {}, True),
        ("PUT", {}, True),
        ("DELETE", {}, True),
        ("TRACE", {}, True),
        ("POST", {}, False),
        ("PATCH", {}, False),
        ("get", {}, False),
        ("WHATEVER", {}, False),
        ("POST", {"may_resend": leave}, True),
        ("GET", {"may_resend": lambda: False}, False),
        ("GET", {"no_stale_retry": True, "may_resend": leave}, False),
    ],
)
def test_leave(method: str, extensions: dict[str, object], resent: bool) -> None:
    """Where the caller says nothing, only idempotent methods are sent again."""
    assert may_be_resent(method, b"", extensions) is resent


class Replayable(Chunks):
    """A stream that says so."""

    replayable = True


@pytest.mark.parametrize(
    ("body", "resent"),
    [
        (b"bytes", True),
        (httpx.ByteStream(b"bytes"), True),
        (Part(0, 0, 1), True),
        (Chunks([]), False),
        (Stream(Chunks([])), False),
        (Replayable([]), True),
        (Stream(Replayable([])), True),
        (Stream(httpx.ByteStream(b"bytes")), True),
    ],
)
def test_body(body: object, resent: bool) -> None:
    """A stream that does not say so cannot be read a second time."""
    assert may_be_resent("PUT", body, {}) is resent
