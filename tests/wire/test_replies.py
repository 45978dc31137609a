from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxmedia_async._errors import (
    APIError,
    CredentialsError,
    MediaError,
    MediaNotFound,
    QuotaExceeded,
    RateLimited,
    ServerBusy,
    TokenRejected,
    UnexpectedReply,
)
from wxmedia_async._wire.replies import (
    MAX_JSON,
    Media,
    ReplyHead,
    VideoLink,
    access_token,
    check_status,
    enough,
    media_or_link,
    parse_head,
    parse_object,
    uploaded,
)

HEAD = ReplyHead(
    status=200,
    content_type="text/plain",
    disposition=None,
    length=None,
    chunked=True,
    encoding=None,
)
ATTACHMENT = attrs.evolve(HEAD, disposition=b'attachment; filename="ID.jpg"')
VOICE = attrs.evolve(HEAD, disposition=b'attachment; filename="voice"')
JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
INVALID_MEDIA_ID = b'{"errcode":40007,"errmsg":"invalid media_id rid: 1-2-3"}'
LINK = "http://203.205.137.89/vweixinp.tc.qq.com/1007_a.f10.mp4?vkey=5EC2E7"
TOKEN = "57_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"
NOW = datetime(2026, 11, 1, tzinfo=UTC)

# Fault 13, each of them a body that no JSON parser should be trusted with.
BROKEN = [
    pytest.param(b'{"errcode":40007,"errmsg":"invalid"', id="no last brace"),
    pytest.param(b'{"errcode":' + b"9" * 10_000 + b"}", id="a 10 000-digit number"),
    pytest.param(b'{"errcode":' + b"[" * 60_000, id="nested brackets"),
    pytest.param(b'{"errcode":true}', id="errcode true"),
    pytest.param(b'{"errcode":null}', id="errcode null"),
    pytest.param(b'{"errcode":"none"}', id="errcode in words"),
    pytest.param(b'{"errcode":40007.5}', id="errcode a fraction"),
    pytest.param(b'{"errcode":99999999999}', id="errcode too long"),
    pytest.param(b'[{"errcode":40007}]', id="a list"),
    pytest.param(b"<html>errcode</html>", id="html"),
]


def told(head: ReplyHead, body: bytes, *, wecom: bool = False) -> Media | VideoLink:
    """Tell what a whole reply is."""
    return media_or_link(head, body, complete=True, wecom=wecom, secrets=[TOKEN])


def outcome(call: Callable[[], object]) -> object:
    """Return what *call* returns or raises."""
    try:
        return call()
    except MediaError as error:
        return error


def raised(call: Callable[[], object]) -> MediaError:
    """Return what *call* raises."""
    with pytest.raises(MediaError) as caught:
        call()
    return caught.value


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


# How much to read


@pytest.mark.parametrize(
    ("head", "first", "is_enough"),
    [
        pytest.param(HEAD, b"", False, id="nothing yet"),
        pytest.param(HEAD, b" \r\n" * 100, False, id="only space"),
        pytest.param(HEAD, b"{" + b"x" * 1000, False, id="may be JSON"),
        pytest.param(HEAD, b"\xef\xbb\xbf {" + b"x" * 1000, False, id="BOM, JSON"),
        pytest.param(HEAD, b"{".ljust(MAX_JSON), False, id="as long as JSON gets"),
        pytest.param(HEAD, b"{".ljust(MAX_JSON + 1), True, id="too long for JSON"),
        pytest.param(
            attrs.evolve(HEAD, length=MAX_JSON + 1), b"{", True, id="announced too long"
        ),
        pytest.param(attrs.evolve(HEAD, length=9), b"{", False, id="announced short"),
        pytest.param(HEAD, JPEG[:63], False, id="not all of the magic"),
        pytest.param(HEAD, JPEG[:64], True, id="all of the magic"),
        pytest.param(HEAD, b"\xef\xbb\xbf" + b"x" * 61, True, id="BOM, text"),
        pytest.param(ATTACHMENT, b"", True, id="attachment"),
        pytest.param(VOICE, b"{".ljust(63), False, id="attachment without suffix"),
        pytest.param(VOICE, b"{".ljust(64), True, id="attachment, magic"),
        pytest.param(attrs.evolve(HEAD, encoding="gzip"), b"", True, id="encoded"),
    ],
)
def test_how_much_of_a_body_is_enough(
    head: ReplyHead, first: bytes, is_enough: bool
) -> None:
    """What may be an error is read whole, of media only the magic numbers."""
    assert enough(head, first) is is_enough


# Media, link or error


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(JPEG, id="bytes"),
        pytest.param(INVALID_MEDIA_ID, id="a JSON document like an error"),
        pytest.param(b'{"video_url":"http://1.2.3.4/"}', id="a document like a link"),
        pytest.param(b'{"errcode":', id="a broken document"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"12345", id="a number"),
    ],
)
def test_an_attachment_is_media_whatever_it_holds(body: bytes) -> None:
    """Fault 14: a JSON document that somebody sent as a file is that file."""
    assert told(ATTACHMENT, body) == Media("text/plain", "ID.jpg")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("text/plain", JPEG, id="image as text"),
        pytest.param(None, JPEG, id="image without a type"),
        pytest.param("text/html", b"#!AMR\n", id="short voice as html"),
        pytest.param("image/jpeg", b"?", id="unknown bytes as an image"),
        pytest.param("voice/speex", b"?", id="headless speex"),
        pytest.param("Audio/AMR", b"?", id="capitals"),
        pytest.param("video/mp4; x=y", b"?", id="parameters"),
        pytest.param("application/octet-stream", b"12345", id="octets"),
        pytest.param("application/pdf", b"%PDF", id="document"),
        pytest.param("image/jpeg", b'{"a":1}', id="an object that is no reply"),
        pytest.param("image/jpeg", b'{"a":', id="almost an object"),
        pytest.param("application/jsonish", b"?", id="not quite json"),
    ],
)
def test_media_is_known_by_its_bytes_or_its_type(
    content_type: str | None, body: bytes
) -> None:
    """Fault 14: without a disposition, a known kind or a media type makes media."""
    head = attrs.evolve(HEAD, content_type=content_type)

    assert told(head, body) == Media(content_type, None)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        pytest.param("text/html", b"<!DOCTYPE html><title>Log in</title>", id="html"),
        pytest.param(None, b"12345", id="text without a type"),
        pytest.param("text/plain", b"", id="nothing"),
        pytest.param("image/jpeg", b"", id="an empty image"),
        pytest.param("application/json", b"[1]", id="list"),
        pytest.param("application/json; encoding=utf-8", b"1", id="number"),
        pytest.param("application/problem+json", b"1", id="+json"),
        pytest.param("application/xml", b"<a/>", id="xml"),
        pytest.param("application/xhtml+xml", b"<html/>", id="xhtml"),
        pytest.param("application/javascript", b"x()", id="javascript"),
        pytest.param("application/x-javascript", b"x()", id="x-javascript"),
        pytest.param("image", b"?", id="half a type"),
        pytest.param("text/plain", b'{"a":1}', id="an object that is no reply"),
        pytest.param(
            "text/plain", b'{"errcode":0,"errmsg":"ok"}', id="success of what"
        ),
        pytest.param("image/jpeg", b'{"errcode":0}', id="success as an image"),
        pytest.param("image/jpeg", b'{"video_url":""}', id="an empty link"),
        pytest.param("image/jpeg", b'{"video_url":7}', id="a link that is a number"),
        pytest.param("image/jpeg", b'{"video_url":"http://a\\n"}', id="a broken link"),
        pytest.param(
            "image/jpeg", b'{"errcode":"x","video_url":"y"}', id="both broken"
        ),
    ],
)
def test_anything_else_is_unexpected(content_type: str | None, body: bytes) -> None:
    """Fault 12: a login page with status 200 is neither media nor an error."""
    head = attrs.evolve(HEAD, content_type=content_type)
    error = raised(lambda: told(head, body))

    assert isinstance(error, UnexpectedReply)
    assert error.status == 200
    assert error.excerpt == body.decode()


@pytest.mark.parametrize("body", BROKEN)
@pytest.mark.parametrize("content_type", ["text/plain", None])
def test_a_broken_reply_is_unexpected(content_type: str | None, body: bytes) -> None:
    """Fault 13: whatever the JSON, there is one kind of exception."""
    head = attrs.evolve(HEAD, content_type=content_type)
    error = raised(lambda: told(head, body))

    assert isinstance(error, UnexpectedReply)
    assert len(error.excerpt) <= 200
    assert error.__context__ is None


@pytest.mark.parametrize("body", BROKEN[:8])
def test_a_broken_error_is_not_saved(body: bytes) -> None:
    """Fault 14: half an error that claims to be an image is not the user's file."""
    head = attrs.evolve(HEAD, content_type="image/jpeg")

    assert isinstance(raised(lambda: told(head, body)), UnexpectedReply)


@pytest.mark.parametrize("content_type", ["text/plain", "image/jpeg", None])
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(INVALID_MEDIA_ID, id="plain"),
        pytest.param(b"\xef\xbb\xbf" + INVALID_MEDIA_ID, id="BOM"),
        pytest.param(b"\r\n " + INVALID_MEDIA_ID, id="space"),
        pytest.param(INVALID_MEDIA_ID.replace(b"40007", b'"40007"'), id="a str"),
        pytest.param(INVALID_MEDIA_ID.replace(b"rid", b"\x01\xff rid"), id="raw bytes"),
        pytest.param(
            INVALID_MEDIA_ID.replace(b"}", b',"video_url":"http://1.2.3.4/"}'),
            id="with a link",
        ),
    ],
)
def test_an_error_is_told_whatever_its_type(
    content_type: str | None, body: bytes
) -> None:
    """Fault 14: an error as text/plain or image/jpeg is the error that it is."""
    head = attrs.evolve(HEAD, content_type=content_type)
    error = raised(lambda: told(head, body))

    assert isinstance(error, MediaNotFound)
    assert (error.code, error.rid, error.status) == (40007, "1-2-3", 200)


def test_an_error_is_read_in_the_platforms_dialect() -> None:
    """Rows quota and rate: 45009 ends the day, or in WeCom the minute."""
    body = b'{"errcode":45009,"errmsg":"reach max api daily quota limit"}'

    assert isinstance(raised(lambda: told(HEAD, body)), QuotaExceeded)
    assert isinstance(raised(lambda: told(HEAD, body, wecom=True)), RateLimited)


@pytest.mark.parametrize(
    "body",
    [
        {"video_url": LINK},
        {"errcode": 0, "errmsg": "ok", "video_url": LINK},
        {"errcode": "0", "video_url": LINK, "title": "?"},
    ],
    ids=["bare", "with a success", "with a success in quotes"],
)
def test_a_video_is_a_link(body: dict[str, object]) -> None:
    """A video_url is followed, and its key is not shown."""
    link = told(HEAD, json.dumps(body).encode())

    assert link == VideoLink(LINK)
    assert "vkey" not in repr(link)


@pytest.mark.parametrize("complete", [False, True])
def test_a_large_document_is_not_parsed(complete: bool) -> None:
    """Fault 13: what begins like JSON and goes on is media, if its type says so."""
    first = b'{"a":"' + b"x" * MAX_JSON + b'"}'
    head = attrs.evolve(HEAD, content_type="application/octet-stream")

    found = media_or_link(head, first, complete=complete, wecom=False)

    assert found == Media("application/octet-stream", None)


def test_the_beginning_of_a_document_is_not_the_document() -> None:
    """Fault 14: what looks like a link, and goes on, is not followed."""
    head = attrs.evolve(HEAD, content_type="application/pdf", length=MAX_JSON + 1)
    first = b'{"video_url":"http://1.2.3.4/"}'

    found = media_or_link(head, first, complete=False, wecom=False)

    assert found == Media("application/pdf", None)


@pytest.mark.parametrize("content_type", ["text/plain", "image/jpeg"])
def test_a_large_error_is_not_saved(content_type: str) -> None:
    """Fault 14: an error that is too large to be parsed is still no media."""
    first = INVALID_MEDIA_ID[:-1].ljust(MAX_JSON + 1)
    head = attrs.evolve(HEAD, content_type=content_type)
    error = raised(lambda: media_or_link(head, first, complete=False, wecom=False))

    assert isinstance(error, UnexpectedReply)


@pytest.mark.parametrize("head", [HEAD, ATTACHMENT], ids=["plain", "attachment"])
def test_an_encoded_body_is_unexpected(head: ReplyHead) -> None:
    """Fault 10: we asked for identity, so a gzip body is not decoded."""
    error = raised(lambda: told(attrs.evolve(head, encoding="gzip"), JPEG))

    assert isinstance(error, UnexpectedReply)
    assert "gzip" in str(error)


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


def test_a_busy_server_sends_no_media() -> None:
    """Fault 12: the status counts before the disposition."""
    head = attrs.evolve(ATTACHMENT, status=503)

    assert isinstance(raised(lambda: told(head, JPEG)), ServerBusy)


@given(body=st.binary(max_size=200) | st.binary(max_size=200).map(b"{".__add__))
def test_no_body_raises_anything_else(body: bytes) -> None:
    """Fault 13: any body is media, a link, or an error of ours without a secret."""
    found = outcome(lambda: told(HEAD, body + TOKEN.encode()))

    assert isinstance(found, (Media, VideoLink, MediaError))
    assert TOKEN not in f"{found} {found!r}"


# Objects


@pytest.mark.parametrize("errcode", ["", '"errcode":0,', '"errcode":"0",'])
def test_an_object_without_an_error_is_returned(errcode: str) -> None:
    """errcode 0 is WeCom's way to say success."""
    body = f'{{{errcode}"a":"b"}}'.encode()

    assert parse_object(HEAD, body, wecom=True)["a"] == "b"


@pytest.mark.parametrize("body", [*BROKEN, pytest.param(b"", id="empty")])
def test_a_reply_that_is_no_object_is_unexpected(body: bytes) -> None:
    """Fault 13: broken JSON is an UnexpectedReply, and never the parser's error."""
    error = raised(lambda: parse_object(HEAD, body, wecom=False))

    assert isinstance(error, UnexpectedReply)
    assert error.__context__ is None


def test_a_reply_has_a_largest_size() -> None:
    """Fault 13: no more than the limit is ever parsed."""
    body = b'{"a":"' + b"x" * MAX_JSON + b'"}'

    assert parse_object(HEAD, body, wecom=False, limit=len(body))
    with pytest.raises(UnexpectedReply):
        parse_object(HEAD, body, wecom=False)


@pytest.mark.parametrize(
    ("wecom", "token_call", "error"),
    [
        (False, False, TokenRejected),
        (False, True, CredentialsError),
        (True, False, CredentialsError),
        (True, True, CredentialsError),
    ],
)
def test_an_object_with_an_error_raises_it(
    wecom: bool, token_call: bool, error: type[APIError]
) -> None:
    """Rows token and credentials: 40001 means an old token or a wrong secret."""
    body = b'{"errcode":40001,"errmsg":"invalid credential"}'
    seen = raised(lambda: parse_object(HEAD, body, wecom=wecom, token_call=token_call))

    assert type(seen) is error


def test_a_reply_is_checked_before_it_is_parsed() -> None:
    """Faults 10 and 12: neither a 502 nor a gzip body is taken for an object."""
    body = b'{"access_token":"x"}'
    busy = attrs.evolve(HEAD, status=502)
    encoded = attrs.evolve(HEAD, encoding="gzip")

    assert isinstance(raised(lambda: parse_object(busy, body, wecom=False)), ServerBusy)
    assert isinstance(
        raised(lambda: parse_object(encoded, body, wecom=False)), UnexpectedReply
    )


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(f'{{"access_token":"{TOKEN}","expires_in":72', id="cut later"),
        pytest.param(f'{{"access_token":"{TOKEN}', id="cut in the token"),
        pytest.param(f'[{{"access_token":"{TOKEN}"}}]', id="a list"),
        pytest.param(f'{{"errcode":true,"access_token":"{TOKEN}"}}', id="bad errcode"),
    ],
)
def test_a_broken_token_reply_does_not_show_the_token(body: str) -> None:
    """Faults 12 and 13: a token that nobody knows yet is redacted by its name."""
    error = raised(
        lambda: parse_object(HEAD, body.encode(), wecom=False, token_call=True)
    )

    assert isinstance(error, UnexpectedReply)
    assert TOKEN[:8] not in f"{error} {error!r} {error.args}"
    assert "***" in error.excerpt


# Uploads


def test_an_upload_is_read() -> None:
    """The documentation's reply gives id, type, creation and three days."""
    media = uploaded(
        {"type": "image", "media_id": "ID", "created_at": 1_700_000_000, "item": []},
        type="voice",
        now=NOW,
    )

    assert (media.media_id, media.type) == ("ID", "image")
    assert media.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert media.expires_at - media.created_at == timedelta(days=3)


def test_wecom_writes_the_time_in_quotes() -> None:
    """created_at is a str in WeCom."""
    media = uploaded({"media_id": "ID", "created_at": "1700000000"}, type="x", now=NOW)

    assert media.created_at.timestamp() == 1_700_000_000


def test_a_thumb_has_an_id_of_its_own_name() -> None:
    """A thumb's reply has thumb_media_id instead of media_id."""
    media = uploaded({"type": "thumb", "thumb_media_id": "ID"}, type="thumb", now=NOW)

    assert media.media_id == "ID"


@pytest.mark.parametrize(
    "created_at",
    [None, 0, -1, True, "", "now", 1.5, 10**10, 10**400, 1_700_000_000_000, [1]],
    ids=lambda value: repr(value)[:20],
)
def test_a_time_that_is_none_is_now(created_at: object) -> None:
    """Without a credible created_at, the media was made now."""
    reply = {"media_id": "ID", "created_at": created_at}

    media = uploaded(reply, type="image", now=NOW)

    assert (media.type, media.created_at) == ("image", NOW)


@pytest.mark.parametrize(
    "reply",
    [{}, {"media_id": ""}, {"media_id": 5}, {"media_id": "\ud800"}, {"id": "ID"}],
    ids=repr,
)
def test_an_upload_without_an_id_is_unexpected(reply: dict[str, object]) -> None:
    """A reply that names no media is no success."""
    error = raised(lambda: uploaded(reply, type="image", now=NOW))

    assert isinstance(error, UnexpectedReply)
    assert error.status == 200


# Tokens


@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [(7200, 7200.0), (345, 345.0), ("345", 345.0), (1, 1.0)]
    + [(odd, 7200.0) for odd in (None, "", "soon", True, 10**10, 1.5)],
    ids=lambda value: repr(value)[:20],
)
def test_a_token_is_read(expires_in: object, seconds: float) -> None:
    """The remaining seconds are the server's, or the documented two hours."""
    reply = {"access_token": TOKEN, "expires_in": expires_in}

    assert access_token(reply) == (TOKEN, seconds)


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": "tok\nen"},
        {"access_token": "tök"},
        {"access_token": TOKEN, "expires_in": 0},
        {"access_token": TOKEN, "expires_in": "-5"},
    ],
    ids=["none", "empty", "null", "line break", "not ASCII", "over", "long over"],
)
def test_no_usable_token_is_unexpected(reply: dict[str, object]) -> None:
    """A reply without a live token is refused, and not quoted."""
    error = raised(lambda: access_token(reply))

    assert isinstance(error, UnexpectedReply)
    assert TOKEN not in f"{error} {error!r}"
    assert error.excerpt == ""
