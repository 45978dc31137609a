"""What an upload makes of the reply."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, error
from tests.upload.sending import said
from wxmedia_async import (
    OFFICIAL_ACCOUNT,
    APIError,
    CredentialsError,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    QuotaExceeded,
    ServerBusy,
    UnexpectedReply,
)


@pytest.mark.parametrize(
    ("reply", "media_id", "type"),
    [
        ('{"type":"image","media_id":"a","created_at":1,"item":[]}', "a", "image"),
        ('{"thumb_media_id":"b","created_at":1}', "b", "thumb"),
        ('{"errcode":0,"errmsg":"ok","media_id":"c","created_at":"1"}', "c", "thumb"),
        ('\ufeff{"errcode":"0","media_id":"d","created_at":1}', "d", "thumb"),
    ],
)
async def test_replies_as_they_come(reply: str, media_id: str, type: str) -> None:
    """Every form of the reply that servers were seen to send is understood."""
    service = FakeWeChat(answers=[said(reply)])

    async with client_of(service, platform=OFFICIAL_ACCOUNT) as client:
        uploaded = await client.upload(JPEG, "thumb")

    assert (uploaded.media_id, uploaded.type) == (media_id, type)
    assert uploaded.created_at == datetime.fromtimestamp(1, UTC)


async def test_no_created_at() -> None:
    """Where WeChat tells no time, the time of the upload counts."""
    service = FakeWeChat(answers=[said('{"media_id":"a"}')])
    before = datetime.now(UTC)

    async with client_of(service) as client:
        uploaded = await client.upload(JPEG)

    assert before <= uploaded.created_at <= datetime.now(UTC)


@pytest.mark.parametrize(
    "reply",
    [
        '{"type":"image","media_id":"a","created_at":1',
        '{"type":"image"}',
        '["media_id"]',
        '{"errcode":true}',
        '{"media_id":' + "9" * 10_000 + "}",
        "[" * 60_000,
        "<html>Please log in</html>",
        "",
        '{"media_id":"' + "a" * 70_000 + '"}',
    ],
    ids=range(9),
)
async def test_unexpected_replies(reply: str) -> None:
    """Fault 13: a reply that is none of the documented ones is not tried again."""
    service = FakeWeChat(answers=[said(reply)])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply) as caught:
            await client.upload(JPEG)

    assert (caught.value.status, caught.value.attempts) == (200, 1)
    assert len(caught.value.excerpt) <= 200
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (40164, CredentialsError),
        (48001, PermissionDenied),
        (45009, QuotaExceeded),
        (40007, MediaNotFound),
        (40009, MediaRejected),
        (41005, APIError),
        (99999, APIError),
    ],
)
async def test_errcodes(code: int, expected: type[APIError]) -> None:
    """What another try cannot mend is raised after the first, with WeChat's words."""
    text = f"no, invalid ip 1.2.3.4 hint: [h-1] rid: 6-7-8 {TOKEN}"
    service = FakeWeChat(answers=[error(code, text)])

    async with client_of(service) as client:
        with pytest.raises(APIError) as caught:
            await client.upload(JPEG)

    failure = caught.value
    assert type(failure) is expected
    assert (failure.code, failure.attempts, failure.status) == (code, 1, 200)
    assert (failure.rid, failure.hint) == ("6-7-8", "h-1")
    assert TOKEN not in failure.message
    assert getattr(failure, "ip", "1.2.3.4") == "1.2.3.4"
    assert len(service.requests) == 1


async def test_status_only() -> None:
    """Where only the HTTP status says so, an error has no code."""
    service = FakeWeChat(answers=[said("Bad Gateway", 502)] * 4)

    async with client_of(service) as client:
        with pytest.raises(ServerBusy) as caught:
            await client.upload(JPEG)

    assert (caught.value.code, caught.value.status) == (None, 502)
    assert caught.value.message == "Bad Gateway"


async def test_precondition_failed() -> None:
    """Status 412 is our own mistake, and a plain APIError."""
    service = FakeWeChat(answers=[said("", 412)])

    async with client_of(service) as client:
        with pytest.raises(APIError) as caught:
            await client.upload(JPEG)

    assert type(caught.value) is APIError
    assert (caught.value.code, caught.value.status) == (None, 412)
    assert len(service.requests) == 1
