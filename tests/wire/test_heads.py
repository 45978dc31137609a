"""The head of a reply: its framing, when to come again, and its status."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import HEAD, TOKEN, raised
from wxmedia_async._errors import APIError, ServerBusy, UnexpectedReply
from wxmedia_async._wire.replies import ReplyHead, check_status, parse_head

# The head


def test_a_head_of_the_documentation_is_read() -> None:
    """The documentation's own example is an attachment of known length."""
    head = parse_head(
        200,
        [
            (b"Connection", b"close"),
            (b"Content-Type", b"image/jpeg"),
            (b"Content-disposition", b'attachment; filename="MEDIA_ID.jpg"'),
            (b"Content-Length", b" 339721 "),
        ],
    )

    assert head == ReplyHead(
        status=200,
        content_type="image/jpeg",
        disposition=b'attachment; filename="MEDIA_ID.jpg"',
        length=339721,
        chunked=False,
        encoding=None,
    )
    assert head.attachment
    assert head.verified


def test_a_head_may_be_empty() -> None:
    """Fault 5: without any framing the body's end is not verified."""
    head = parse_head(200, [])

    assert head == attrs.evolve(HEAD, content_type=None, chunked=False)
    assert not head.verified
    assert not head.attachment


def test_chunked_framing_is_verified() -> None:
    """Chunks say where a body ends as well as a length does."""
    head = parse_head(200, [(b"transfer-encoding", b"Chunked")])

    assert head.verified


@pytest.mark.parametrize(
    ("disposition", "attachment"),
    [
        (b"attachment", True),
        (b"ATTACHMENT;filename=a", True),
        (b"inline; filename=a", False),
        (b"filename=attachment", False),
    ],
)
def test_only_an_attachment_is_one(disposition: bytes, attachment: bool) -> None:
    """The disposition's type decides, not the word somewhere in it."""
    head = attrs.evolve(HEAD, disposition=disposition)

    assert head.attachment is attachment


@pytest.mark.parametrize(
    ("status", "value", "location"),
    [
        (302, b"https://a.test/x", "https://a.test/x"),
        (307, "/喵".encode(), "/喵"),
        (308, b"/\xe9", "/é"),
        (200, b"https://a.test/x", None),
        (201, b"https://a.test/x", None),
    ],
)
def test_only_a_redirect_leads_elsewhere(
    status: int, value: bytes, location: str | None
) -> None:
    """Fault 16: a Location counts where the status says so, in UTF-8 or Latin-1."""
    assert parse_head(status, [(b"Location", value)]).location == location


@pytest.mark.parametrize(
    ("coding", "encoding"),
    [
        (b"identity", None),
        (b"", None),
        (b"GZIP", "gzip"),
        (b"br, gzip", "br, gzip"),
    ],
)
def test_identity_is_no_encoding(coding: bytes, encoding: str | None) -> None:
    """Fault 10: every Content-Encoding but identity is noted."""
    head = parse_head(200, [(b"Content-Encoding", coding)])

    assert head.encoding == encoding


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([(b"Content-Length", b"5")] * 2, id="twice the same"),
        pytest.param(
            [(b"Content-Length", b"5"), (b"content-length", b"6")], id="two lengths"
        ),
        pytest.param(
            [(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")],
            id="length and chunked",
        ),
        *(
            pytest.param([(b"Content-Length", length)], id=f"length {length!r}"[:40])
            for length in (b"", b"-1", b"+5", b"5, 5", b"0x5", b"1e3", b"9" * 5000)
        ),
        *(
            pytest.param([(b"Transfer-Encoding", coding)], id=f"{coding!r}")
            for coding in (b"gzip", b"gzip, chunked", b"chunked, chunked", b"x")
        ),
        pytest.param([(b"Transfer-Encoding", b"chunked")] * 2, id="chunked twice"),
    ],
)
def test_an_ambiguous_length_is_unexpected(headers: list[tuple[bytes, bytes]]) -> None:
    """Fault 11: a head that two readers may frame in two ways is refused."""
    error = raised(lambda: parse_head(200, headers))

    assert isinstance(error, UnexpectedReply)
    assert error.status == 200


_NOW = b"Mon, 01 Jan 2024 00:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", 7.0),
        (b"Mon, 01 Jan 2024 00:01:00 GMT", 60.0),
        (b"Mon, 01 Jan 2024 00:01:00 -0000", 60.0),
        (b"Mon, 01 Jan 2024 00:01:00 +0100", 0.0),
        (b"Thu, 31 Dec 9999 23:59:59 GMT", 251_698_233_599.0),
        (b"-1", None),
        (b"1.5", None),
        (b"9" * 99, None),
        (b"Mon, 99 Jan 2024 00:00:00 GMT", None),
        (b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        (b"Mon, 01 Jan 2024 00:00:99999999999999999999 GMT", None),
        (b"Mon, 01 Jan 2024 00:00:00 +99999999999999999999", None),
        (b"\xe9", None),
        (b"", None),
    ],
)
def test_retry_after(value: bytes, seconds: float | None) -> None:
    """Seconds or a date; all else, numbers that no machine holds too, says nothing."""
    head = parse_head(503, [(b"Retry-After", value), (b"Date", _NOW)])

    assert head.retry_after == seconds


@given(st.binary(max_size=60), st.binary(max_size=60))
def test_any_retry_after(value: bytes, date: bytes) -> None:
    """Whatever a service sends, it is a number of seconds or nothing."""
    head = parse_head(503, [(b"Retry-After", value), (b"Date", date)])

    assert head.retry_after is None or head.retry_after >= 0


# The status


@pytest.mark.parametrize("status", [200, 206])
def test_success_passes(status: int) -> None:
    """A whole media and a range of one are successes."""
    check_status(attrs.evolve(HEAD, status=status), b"")


@pytest.mark.parametrize("status", [429, 500, 501, 502, 503, 504, 599])
def test_a_busy_status_is_a_busy_server(status: int) -> None:
    """Fault 12, row busy: 429 and 5xx may pass, and show what the gateway said."""
    body = b"<html>\r\nBad Gateway " + b"x" * 1000
    error = raised(lambda: check_status(attrs.evolve(HEAD, status=status), body))

    assert isinstance(error, ServerBusy)
    assert (error.code, error.status) == (None, status)
    assert error.message.startswith("<html> Bad Gateway")
    assert len(error.message) == 200


def test_a_refused_chunked_request_is_an_api_error() -> None:
    """Row request: 412 is our own mistake, told with all facts."""
    error = raised(lambda: check_status(attrs.evolve(HEAD, status=412), b"no length"))

    assert type(error) is APIError
    assert (error.code, error.status, error.message) == (None, 412, "no length")
    assert not error.retryable


@pytest.mark.parametrize("status", [100, 201, 204, 301, 302, 307, 400, 401, 404, 600])
def test_any_other_status_is_unexpected(status: int) -> None:
    """Faults 12 and 15: redirects and login walls are no replies of WeChat's."""
    body = f"<a href='/x?access_token={TOKEN}'>".encode()
    error = raised(lambda: check_status(attrs.evolve(HEAD, status=status), body))

    assert isinstance(error, UnexpectedReply)
    assert error.status == status
    assert error.excerpt == "<a href='/x?access_token=***'>"


def test_a_status_quotes_no_secret() -> None:
    """Fault 12: a gateway that prints our URL does not make us print it."""
    head = attrs.evolve(HEAD, status=502)
    error = raised(lambda: check_status(head, TOKEN.encode(), secrets=[TOKEN]))

    assert str(error) == "HTTP 502: ***"
