"""How much of a reply is read, and whether it is media, a link or an error."""

from __future__ import annotations

import json
from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.samples import BROKEN, HEAD, TOKEN, raised
from wxmedia_async._errors import (
    MediaError,
    MediaNotFound,
    QuotaExceeded,
    RateLimited,
    ServerBusy,
    UnexpectedReply,
)
from wxmedia_async._wire.replies import (
    MAX_JSON,
    Media,
    ReplyHead,
    VideoLink,
    enough,
    media_or_link,
)

ATTACHMENT = attrs.evolve(HEAD, disposition=b'attachment; filename="ID.jpg"')
VOICE = attrs.evolve(HEAD, disposition=b'attachment; filename="voice"')
JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
INVALID_MEDIA_ID = b'{"errcode":40007,"errmsg":"invalid media_id rid: 1-2-3"}'
LINK = "http://203.205.137.89/vweixinp.tc.qq.com/1007_a.f10.mp4?vkey=5EC2E7"


def told(head: ReplyHead, body: bytes, *, wecom: bool = False) -> Media | VideoLink:
    """Tell what a whole reply is."""
    return media_or_link(head, body, complete=True, wecom=wecom, secrets=[TOKEN])


def outcome(call: Callable[[], object]) -> object:
    """Return what *call* returns or raises."""
    try:
        return call()
    except MediaError as error:
        return error


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
