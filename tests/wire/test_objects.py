"""Replies that are JSON objects: of any call, of uploads and of tokens."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from tests.wire.samples import BROKEN, HEAD, TOKEN, raised
from wxmedia_async._errors import (
    APIError,
    CredentialsError,
    ServerBusy,
    TokenRejected,
    UnexpectedReply,
)
from wxmedia_async._wire.replies import MAX_JSON, access_token, parse_object, uploaded

NOW = datetime(2026, 11, 1, tzinfo=UTC)


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
