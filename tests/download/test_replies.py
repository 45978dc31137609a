"""Whatever a reply looks like: a media is saved, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.download.replies import ATTACHED, moved, reply
from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, names_in
from wxmedia_async import (
    MediaError,
    MediaNotFound,
    PermissionDenied,
    ServerBusy,
    UnexpectedReply,
)

JSON_FILE = b'{"errcode":40007,"errmsg":"a file about errors"}'


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (JPEG, {"Content-Type": "text/plain"}),
        (JPEG, {}),
        (JSON_FILE, {"Content-Type": "text/plain"} | ATTACHED),
        (b"12345", {"Content-Type": "text/plain"} | ATTACHED),
        (b"{" + bytes(100_000), {"Content-Type": "image/x-raw"}),
        (b'{"a":1}', {"Content-Type": "application/octet-stream"}),
        (b"#!AMR\n", {"Content-Disposition": 'attachment; filename=".amr"'}),
        (b"", {"Content-Length": "0"} | ATTACHED),
        (b"x", {"Content-Disposition": "attachment"}),
    ],
    ids=range(9),
)
async def test_media_of_all_kinds(
    content: bytes, headers: dict[str, str], tmp_path: Path
) -> None:
    """Fault 14: whatever its type is said to be, a media is saved as it came."""
    service = FakeWeChat(answers=[reply(content, headers)])

    async with client_of(service) as client:
        saved = await client.download("ID", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == content
    assert saved.size == len(content)


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b'{"errcode":40007}', {"Content-Type": "text/plain"}, MediaNotFound),
        (b'{"errcode":40007}', {"Content-Type": "image/jpeg"}, MediaNotFound),
        (b'\xef\xbb\xbf {"errcode":"40007"}', {}, MediaNotFound),
        (b'{"errcode":48001,"errmsg":"a\nb\xff"}', {}, PermissionDenied),
        (b'{"errcode":40007', {"Content-Type": "image/jpeg"}, UnexpectedReply),
        (b'{"errcode":true}', {}, UnexpectedReply),
        (b'{"video_url":7}', {}, UnexpectedReply),
        (b'{"errcode":0,"errmsg":"ok"}', {}, UnexpectedReply),
        (b'{"a":1}', {"Content-Type": "text/plain"}, UnexpectedReply),
        (b"[" * 200_000, {}, UnexpectedReply),
        (b'{"errcode":' + b"9" * 10_000 + b"}", {}, UnexpectedReply),
        (b"<html>Log in</html>", {"Content-Type": "text/html"}, UnexpectedReply),
        (b"", {"Content-Type": "text/plain"}, UnexpectedReply),
        (JPEG, {"Content-Encoding": "gzip"} | ATTACHED, UnexpectedReply),
        (JPEG, {"Content-Length": "many"}, UnexpectedReply),
    ],
    ids=range(15),
)
async def test_what_is_no_media(
    content: bytes, headers: dict[str, str], expected: type[MediaError], tmp_path: Path
) -> None:
    """Faults 10-14: errors and odd replies are raised at once, and never saved."""
    service = FakeWeChat(answers=[reply(content, headers)])

    async with client_of(service) as client:
        with pytest.raises(MediaError) as caught:
            await client.download("ID", tmp_path)

    assert type(caught.value) is expected
    assert caught.value.attempts == 1
    assert len(service.requests) == 1
    assert names_in(tmp_path) == []


async def test_gateway_that_quotes_the_url(tmp_path: Path) -> None:
    """Fault 12: a page is shown in 200 characters, without the token in it."""
    page = f"<html><a href='/get?access_token={TOKEN}'>{TOKEN}</a>" + "x" * 1000
    login = httpx.Response(200, text=page)
    service = FakeWeChat(answers=[login, *[httpx.Response(502, text=page)] * 4])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply) as unexpected:
            await client.download("ID", tmp_path)
        with pytest.raises(ServerBusy) as busy:
            await client.download("ID", tmp_path)

    assert len(unexpected.value.excerpt) == 200
    assert unexpected.value.status == 200
    assert len(busy.value.message) == 200
    assert (busy.value.code, busy.value.status, busy.value.attempts) == (None, 502, 4)
    assert TOKEN not in f"{unexpected.value} {busy.value}"


@pytest.mark.parametrize("location", ["https://example.com/", "/login", "http://["])
async def test_redirect_of_the_api(location: str, tmp_path: Path) -> None:
    """Fault 15: a redirect from the API is not followed, but an unexpected reply."""
    service = FakeWeChat({"ID": JPEG}, answers=[moved(location)])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply) as caught:
            await client.download("ID", tmp_path)

    assert caught.value.attempts == 1
    assert len(service.requests) == 1


async def test_reply_that_a_hook_has_read() -> None:
    """A client whose hook reads each reply, as many do to log it, works as well."""

    async def read(response: httpx.Response) -> None:
        await response.aread()

    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service, event_hooks={"response": [read]})

    async with client_of(service, http=http) as client:
        found = await client.read("ID")

    assert found.content == JPEG


@pytest.mark.parametrize(
    ("status", "expected"), [(502, ServerBusy), (403, UnexpectedReply)]
)
async def test_hook_that_raises_for_the_status(
    status: int, expected: type[MediaError]
) -> None:
    """A hook that calls raise_for_status(), as many do, does not hide the status."""

    async def check(response: httpx.Response) -> None:
        response.raise_for_status()

    service = FakeWeChat(answers=[httpx.Response(status) for _ in range(4)])
    http = httpx.AsyncClient(transport=service, event_hooks={"response": [check]})

    async with client_of(service, http=http) as client:
        with pytest.raises(expected) as caught:
            await client.read("ID")

    assert getattr(caught.value, "status", None) == status
    assert TOKEN not in f"{caught.value} {caught.value.__cause__!r}"
