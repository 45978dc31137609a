from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import content_disposition_filename, parse_content_disposition
from hypothesis import given
from hypothesis import strategies as st

import wxmedia_async
from tests.contrib.browsing import JPEG, MP4
from tests.fakes import FakeWeChat, client_of, media
from wxmedia_async import (
    APIError,
    ClientClosed,
    CredentialsError,
    MediaContent,
    MediaError,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    SavedMedia,
    ServerBusy,
    SourceChanged,
    TokenRejected,
    TooLarge,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
    UnsafeURL,
)
from wxmedia_async.contrib.web import _until_midnight as until_midnight
from wxmedia_async.contrib.web import detail_of, etag_of, headers_of, status_of

KINDS = {
    "image/jpeg": JPEG,
    "image/png": b"\x89PNG\r\n\x1a\n" + bytes(30),
    "image/gif": b"GIF89a" + bytes(30),
    "image/webp": b"RIFF\0\0\0\0WEBPVP8 " + bytes(30),
    "audio/amr": b"#!AMR\n" + bytes(30),
    "audio/mpeg": b"ID3\x03" + bytes(30),
    "video/mp4": MP4,
}
OTHERS = {
    "html": b"<!DOCTYPE html><script>alert(1)</script>",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "svg with a prolog": b"<?xml version='1.0'?><svg/>",
    "pdf": b"%PDF-1.7" + bytes(30),
    "zip": b"PK\x03\x04" + bytes(30),
    "text": b"hello",
    "nothing": b"",
}


def content_of(
    content: bytes = JPEG,
    *,
    filename: str | None = "cat.jpg",
    content_type: str | None = "text/html",
    media_id: str = "ID",
) -> MediaContent:
    return MediaContent(media_id, content, content_type, filename)


def saved_of(path: Path | None, size: int, filename: str | None) -> SavedMedia:
    location = "s3" if path is None else str(path)
    return SavedMedia("ID", path, location, size, "text/html", filename, True)


def read_by_another(disposition: str) -> tuple[str | None, str | None]:
    """What aiohttp's reader makes of a header; it warns of what is not right."""
    kind, parameters = parse_content_disposition(disposition)
    return kind, content_disposition_filename(parameters)


@pytest.mark.parametrize("kind", KINDS)
def test_shown(kind: str) -> None:
    """Pictures, voices and videos are shown as what their bytes say they are."""
    headers = headers_of(content_of(KINDS[kind]))

    assert headers["Content-Type"] == kind
    assert headers["Content-Disposition"] == 'inline; filename="cat.jpg"'


@pytest.mark.parametrize("other", OTHERS)
def test_saved(other: str) -> None:
    """Everything else is saved, and nobody is to guess what it is."""
    headers = headers_of(content_of(OTHERS[other], content_type="image/png"))

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="cat.jpg"'
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_all_headers() -> None:
    """A media in memory has these headers and no others."""
    assert headers_of(content_of()) == {
        "Content-Type": "image/jpeg",
        "Content-Length": str(len(JPEG)),
        "Content-Disposition": 'inline; filename="cat.jpg"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=86400, immutable",
        "ETag": etag_of("ID"),
    }


@pytest.mark.parametrize("content", [JPEG, OTHERS["html"], b""])
async def test_each_kind_of_media(content: bytes, tmp_path: Path) -> None:
    """A stream, a media in memory and a saved file have the same headers."""
    (tmp_path / "cat.jpg").write_bytes(content)
    service = FakeWeChat(
        answers=[media(content, Content_Disposition='attachment; filename="cat.jpg"')]
    )

    async with client_of(service) as client, client.stream("ID") as stream:
        streamed = headers_of(stream)
    saved = headers_of(saved_of(tmp_path / "cat.jpg", len(content), "cat.jpg"))

    assert streamed == saved == headers_of(content_of(content))


def test_saved_elsewhere() -> None:
    """What went to a destination cannot be looked at, and so is never shown."""
    headers = headers_of(saved_of(None, 12, "cat.jpg"))

    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["Content-Disposition"] == 'attachment; filename="cat.jpg"'
    assert headers["Content-Length"] == "12"


def test_saved_file_that_is_gone(tmp_path: Path) -> None:
    """A saved file that cannot be read is an OSError."""
    with pytest.raises(FileNotFoundError):
        headers_of(saved_of(tmp_path / "gone.jpg", 1, None))


@pytest.mark.parametrize(
    ("filename", "plain", "read"),
    [
        ("cat.jpg", "cat.jpg", "cat.jpg"),
        ("my cat.jpg", "my cat.jpg", "my cat.jpg"),
        ("照片.jpg", "__.jpg", "照片.jpg"),
        ("naïve €.txt", "na_ve _.txt", "naïve €.txt"),
        ('a"b.txt', "a_b.txt", "a_b.txt"),
        ("a\r\nSet-Cookie: x=y.txt", "aSet-Cookie_ x=y.txt", "aSet-Cookie_ x=y.txt"),
        ("100%41.txt", "100_41.txt", "100%41.txt"),
        ("a;b='c'.txt", "a;b='c'.txt", "a;b='c'.txt"),
        ("../../etc/passwd", "passwd", "passwd"),
        ("a\u202egpj.exe", "agpj.exe", "agpj.exe"),
        ("😀" * 90 + ".png", "_" * 49 + ".png", "😀" * 49 + ".png"),
        (None, "ID.jpg", "ID.jpg"),
        ("", "ID.jpg", "ID.jpg"),
        ("\r\n", "ID.jpg", "ID.jpg"),
        ("...", "ID.jpg", "ID.jpg"),
    ],
)
def test_names(filename: str | None, plain: str, read: str) -> None:
    """Old browsers get a name in ASCII, others the name as it is; both are safe."""
    disposition = headers_of(content_of(filename=filename))["Content-Disposition"]

    assert disposition.startswith(f'inline; filename="{plain}"')
    assert read_by_another(disposition) == ("inline", read)
    assert ("filename*" in disposition) == (plain != read)


@given(filename=st.text() | st.none(), media_id=st.text(min_size=1), data=st.binary())
def test_headers_are_always_valid(
    filename: str | None, media_id: str, data: bytes
) -> None:
    """Whatever a media is called, each header is one line of visible ASCII."""
    headers = headers_of(content_of(data, filename=filename, media_id=media_id))

    assert all(re.fullmatch("[ -~]+", value) for value in headers.values())
    _, read = read_by_another(headers["Content-Disposition"])
    assert read


def test_etag() -> None:
    """An ETag names the media and which recording of it, and tells no id."""
    tags = {etag_of("A"), etag_of("B"), etag_of("A", hd_voice=True), etag_of("A\n0")}

    assert len(tags) == 4
    assert etag_of("A") == etag_of("A", hd_voice=False)
    assert all(re.fullmatch('"[0-9a-f]{32}"', tag) for tag in tags)
    assert headers_of(content_of(), hd_voice=True)["ETag"] == etag_of(
        "ID", hd_voice=True
    )


def limited(seconds: float) -> RateLimited:
    error = RateLimited("slow down", code=45011)
    error.retry_after = seconds
    return error


STATUSES: list[tuple[Exception, int, dict[str, str]]] = [
    (MediaNotFound("no", code=40007), 404, {}),
    (TooLarge(limit=1, size=2), 413, {}),
    (MediaRejected("no", code=40006), 422, {}),
    (limited(60), 429, {"Retry-After": "60"}),
    (limited(2.1), 429, {"Retry-After": "3"}),
    (ServerBusy("busy", code=-1), 503, {"Retry-After": "5"}),
    (ServerBusy("busy", status=429), 503, {"Retry-After": "5"}),
    (ClientClosed("closed"), 503, {"Retry-After": "5"}),
    (TransferTimeout("slow"), 504, {}),
    (TransferError("broken"), 502, {}),
    (Truncated(expected=2, received=1), 502, {}),
    (UnexpectedReply("page", status=200), 502, {}),
    (UnsafeURL("local", host="127.0.0.1"), 502, {}),
    (SourceChanged("grew"), 400, {}),
    (TokenRejected("no", code=40001), 500, {}),
    (CredentialsError("no", code=40125), 500, {}),
    (PermissionDenied("no", code=48001), 500, {}),
    (APIError("what", code=99999), 502, {}),
    (MediaError("what"), 502, {}),
    (OSError("disk"), 502, {}),
]


@pytest.mark.parametrize(
    ("error", "status", "headers"), STATUSES, ids=range(len(STATUSES))
)
def test_status(error: Exception, status: int, headers: dict[str, str]) -> None:
    """Each failure has its status, and says when to come back where that helps."""
    assert status_of(error) == (status, headers)


def test_status_of_every_error() -> None:
    """No error of this library is forgotten."""
    tested = {type(error) for error, _, _ in STATUSES} | {QuotaExceeded}
    errors = {
        value
        for value in vars(wxmedia_async).values()
        if isinstance(value, type) and issubclass(value, MediaError)
    }

    assert errors <= tested


def test_busy_service_that_says_how_long() -> None:
    """What a busy service says of the next try is told to the browser."""
    error = ServerBusy("busy", status=503)
    error.retry_after = 17.0

    assert status_of(error) == (503, {"Retry-After": "17"})


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (datetime(2026, 11, 25, 15, 59, 30, tzinfo=UTC), 30),
        (datetime(2026, 11, 25, 16, 0, 0, tzinfo=UTC), 86_400),
        (datetime(2026, 12, 31, 4, 0, 0, tzinfo=UTC), 12 * 3600),
    ],
)
def test_quota(now: datetime, seconds: float) -> None:
    """A quota that is used up comes back at midnight in China."""
    status, headers = status_of(QuotaExceeded("used up", code=45009))

    assert status == 503
    assert 0 < int(headers["Retry-After"]) <= 86_400
    assert math.isclose(until_midnight(now), seconds)


@pytest.mark.parametrize("error", [error for error, _, _ in STATUSES])
def test_detail(error: Exception) -> None:
    """A browser learns what it did wrong, and nothing of what we did."""
    status, _ = status_of(error)

    assert (detail_of(error) == str(error)) == (status < 500)
