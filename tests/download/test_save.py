from __future__ import annotations

import errno
import json
import os
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest

from tests.fakes import (
    BASE,
    JPEG,
    TOKEN,
    FakeWeChat,
    Pieces,
    client_of,
    error,
    media,
    names_in,
)
from tests.sockets.server import (
    Server,
    answers,
    client_to,
    response,
    stalls_after,
    whole,
)
from wxmedia_async import (
    MINI_PROGRAM,
    WECOM,
    APIError,
    AppToken,
    CredentialsError,
    MediaError,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    Progress,
    QuotaExceeded,
    RateLimited,
    RetryPolicy,
    SavedMedia,
    ServerBusy,
    TokenRejected,
    TooLarge,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
    UnsafeURL,
)

ATTACHED = {"Content-Disposition": 'attachment; filename="ID.jpg"'}
PUBLIC = "http://203.205.137.89"


def reply(content: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.Response(200, headers=headers, stream=Pieces(content))


def link(url: str) -> httpx.Response:
    return httpx.Response(200, text=json.dumps({"video_url": url}))


def moved(location: str) -> httpx.Response:
    return httpx.Response(302, headers={"Location": location})


def cut(content: bytes = JPEG, size: int = 1000) -> httpx.Response:
    """A body that ends too early, as httpx tells it."""
    gone = httpx.RemoteProtocolError(
        "peer closed connection without sending complete message body"
    )
    response = media(content)
    response.stream = Pieces(content[:size], fails=gone)
    return response


def stalled() -> httpx.Response:
    """A body that stops, without an end."""
    response = media(JPEG)
    response.stream = Pieces(JPEG[:1000], fails=httpx.ReadTimeout(""))
    return response


async def test_into_a_folder(tmp_path: Path) -> None:
    """In a folder a download is called by its media_id, with a fitting suffix."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        saved = await client.download("ID", tmp_path)

    path = tmp_path / "ID.jpg"
    assert saved == SavedMedia(
        "ID", path, str(path), len(JPEG), "image/jpeg", "ID.jpg", True
    )
    assert path.read_bytes() == JPEG
    assert names_in(tmp_path) == ["ID.jpg"]


async def test_folder_that_is_made(tmp_path: Path) -> None:
    """A str with a slash at its end is a folder, which is made where it lacks."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        saved = await client.download("ID", f"{tmp_path}/new/inbox/")

    assert saved.path == tmp_path / "new" / "inbox" / "ID.jpg"
    assert saved.path.read_bytes() == JPEG


@pytest.mark.parametrize("kind", [str, Path])
async def test_to_a_file(kind: Any, tmp_path: Path) -> None:
    """Any other path is the file, whatever WeChat calls it."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        saved = await client.download("ID", kind(tmp_path / "photo"))

    assert (tmp_path / "photo").read_bytes() == JPEG
    assert (saved.path, saved.filename) == (tmp_path / "photo", "ID.jpg")


async def test_request(tmp_path: Path) -> None:
    """A download is one GET for an unencoded body; what is odd in an id is quoted."""
    service = FakeWeChat({"a/b&c=d é": JPEG})

    async with client_of(service) as client:
        await client.download("a/b&c=d é", tmp_path)

    [request] = service.requests
    assert (request.method, request.url.path) == ("GET", "/cgi-bin/media/get")
    assert request.url.raw_path.endswith(b"&media_id=a%2Fb%26c%3Dd%20%C3%A9")
    assert dict(request.url.params) == {"access_token": TOKEN, "media_id": "a/b&c=d é"}
    assert request.headers["accept-encoding"] == "identity"


async def test_hd_voice(tmp_path: Path) -> None:
    """The speex recording of a voice has a path of its own."""
    speex = media(b"Speex   " + bytes(100), Content_Type="voice/speex")
    speex.headers["content-disposition"] = 'attachment; filename="ID"'
    service = FakeWeChat(answers=[speex, media(JPEG)])

    async with client_of(service) as client:
        saved = await client.download("ID", tmp_path, hd_voice=True)
        await client.read("ID", hd_voice=True)

    assert saved.path == tmp_path / "ID.speex"
    assert [request.url.path for request in service.requests] == [
        "/cgi-bin/media/get/jssdk"
    ] * 2


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


@pytest.mark.parametrize(
    "name",
    [
        "../../x.jpg",
        "/abs.jpg",
        "..\\x.jpg",
        "CON.jpg",
        ".jpg",
        "\u202ea.jpg",
        "x" * 5000,
    ],
    ids=range(7),
)
async def test_hostile_names(name: str, tmp_path: Path) -> None:
    """Fault 17: neither the sent name nor the id leads out of the folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    raw = b'attachment; filename="' + name.encode() + b'"'
    named = httpx.Response(200, headers=[(b"Content-Disposition", raw)], content=JPEG)
    service = FakeWeChat(answers=[named, media(JPEG)])

    async with client_of(service) as client:
        first = await client.download("ID", folder)
        second = await client.download(name, folder)

    assert first.path == folder / "ID.jpg"
    assert second.path is not None
    assert second.path.parent == folder
    assert len(second.path.name.encode()) <= 200
    assert second.path.suffix == ".jpg"
    assert first.filename is None or "/" not in first.filename
    assert names_in(tmp_path) == ["in"]


async def test_file_that_exists(tmp_path: Path) -> None:
    """A file that exists is refused before any request, unless it may be replaced."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"mine")
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(FileExistsError):
            await client.download("ID", path)
        assert (service.requests, path.read_bytes()) == ([], b"mine")

        await client.download("ID", path, overwrite=True)

    assert path.read_bytes() == JPEG
    assert names_in(tmp_path) == ["photo.jpg"]


async def test_file_that_exists_in_a_folder(tmp_path: Path) -> None:
    """In a folder the name is known with the reply's head, and is refused then."""
    path = tmp_path / "ID.jpg"
    path.write_bytes(b"mine")
    body = Pieces(JPEG)
    answer = media(JPEG)
    answer.stream = body
    service = FakeWeChat({"ID": JPEG}, answers=[answer])

    async with client_of(service) as client:
        with pytest.raises(FileExistsError):
            await client.download("ID", tmp_path)
        assert (body.closed, path.read_bytes()) == (True, b"mine")

        await client.download("ID", tmp_path, overwrite=True)

    assert path.read_bytes() == JPEG
    assert len(service.requests) == 2


async def test_large_media_for_a_file_that_exists(tmp_path: Path) -> None:
    """Where a body is yet to come, nobody waits for it to find the name taken."""
    (tmp_path / "ID.jpg").write_bytes(b"mine")
    reply = response(JPEG, "Content-Type: image/jpeg", "Content-Length: 999999")

    with Server(stalls_after(reply)) as server:
        async with client_to(server) as client:
            with anyio.fail_after(20), pytest.raises(FileExistsError):
                await client.download("ID", tmp_path)

    assert names_in(tmp_path) == ["ID.jpg"]


async def test_targets_that_cannot_be(tmp_path: Path) -> None:
    """Fault 29: a folder that lacks or is none is an OSError before any request."""
    (tmp_path / "file").write_bytes(b"")
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(FileNotFoundError):
            await client.download("ID", tmp_path / "missing" / "photo.jpg")
        with pytest.raises(NotADirectoryError):
            await client.download("ID", tmp_path / "file" / "photo.jpg")
        with pytest.raises(NotADirectoryError):
            await client.download("ID", f"{tmp_path}/file/")
        with pytest.raises(ValueError, match="path"):
            await client.download("ID", "")

    assert service.requests == []


async def test_two_into_one_path(tmp_path: Path) -> None:
    """Fault 31: of two downloads into one path one wins, the other is refused."""
    service = FakeWeChat({"A": JPEG, "B": JPEG[:500]}, gate=anyio.Event())
    path, ended = tmp_path / "photo.jpg", list[SavedMedia | FileExistsError]()

    async def download(media_id: str) -> None:
        try:
            ended.append(await client.download(media_id, path))
        except FileExistsError as error:
            ended.append(error)

    async with client_of(service) as client, anyio.create_task_group() as both:
        both.start_soon(download, "A")
        both.start_soon(download, "B")
        await anyio.wait_all_tasks_blocked()
        assert service.gate is not None
        service.gate.set()

    won = [each for each in ended if isinstance(each, SavedMedia)]
    assert (len(ended), len(won)) == (2, 1)
    assert path.read_bytes() == service.stored[won[0].media_id]
    assert names_in(tmp_path) == ["photo.jpg"]


async def test_two_replace_one_path(tmp_path: Path) -> None:
    """Fault 31: with overwrite both succeed, and one whole file remains."""
    service = FakeWeChat({"A": JPEG, "B": JPEG[:500]})
    path = tmp_path / "photo.jpg"

    async def download(media_id: str) -> None:
        await client.download(media_id, path, overwrite=True)

    async with client_of(service) as client:
        async with anyio.create_task_group() as both:
            both.start_soon(download, "A")
            both.start_soon(download, "B")

    assert path.read_bytes() in service.stored.values()
    assert names_in(tmp_path) == ["photo.jpg"]


async def test_too_large_by_its_header(tmp_path: Path) -> None:
    """Fault 9: what is announced as too large is refused without reading it."""
    body = Pieces(JPEG)
    answer = media(JPEG)
    answer.stream = body
    service = FakeWeChat(answers=[answer])

    async with client_of(service) as client:
        with pytest.raises(TooLarge) as caught:
            await client.download("ID", tmp_path, max_bytes=len(JPEG) - 1)

    assert (caught.value.limit, caught.value.size) == (len(JPEG) - 1, len(JPEG))
    assert (caught.value.attempts, body.closed) == (1, True)
    assert len(service.requests) == 1
    assert names_in(tmp_path) == []


async def test_too_large_while_reading(tmp_path: Path) -> None:
    """Fault 9: a body without a length is read up to the limit, and then refused."""
    service = FakeWeChat(answers=[reply(bytes(100_000), ATTACHED)])

    async with client_of(service) as client:
        with pytest.raises(TooLarge) as caught:
            await client.download("ID", tmp_path, max_bytes=5000)

    assert caught.value.limit == 5000
    assert 5000 < caught.value.size <= 6000
    assert names_in(tmp_path) == []
    assert service.in_flight == 0


async def test_too_large_over_a_socket(tmp_path: Path) -> None:
    """Fault 9: an endless body is given up at the limit, wherever it comes from."""
    endless = response(JPEG * 1000, 'Content-Disposition: attachment; filename="a.b"')

    with Server(answers(endless)) as server:
        async with client_to(server) as client:
            with pytest.raises(TooLarge) as caught:
                await client.download("ID", tmp_path, max_bytes=500_000)

    assert caught.value.limit == 500_000
    assert names_in(tmp_path) == []


async def test_just_not_too_large(tmp_path: Path) -> None:
    """As many bytes as allowed are allowed."""
    service = FakeWeChat({"ID": JPEG}, answers=[reply(JPEG, ATTACHED)])

    async with client_of(service) as client:
        await client.download("ID", tmp_path / "a", max_bytes=len(JPEG))
        await client.download("ID", tmp_path / "b", max_bytes=len(JPEG))

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == JPEG


async def test_cap_of_the_platform(tmp_path: Path) -> None:
    """Where the caller gives no max_bytes, the platform's cap counts."""
    small = attrs.evolve(MINI_PROGRAM, max_bytes=1000)
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, platform=small) as client:
        with pytest.raises(TooLarge, match="1000"):
            await client.download("ID", tmp_path)
        with pytest.raises(TooLarge, match="1000"):
            await client.read("ID", max_bytes=None)
        content = await client.read("ID")

    assert content.content == JPEG
    assert (MINI_PROGRAM.max_bytes, WECOM.max_bytes) == (64 * 1024**2, 256 * 1024**2)


async def test_read() -> None:
    """A media is read into memory, with what WeChat says about it."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        found = await client.read("ID")

    assert (found.media_id, found.content) == ("ID", JPEG)
    assert (found.content_type, found.filename) == ("image/jpeg", "ID.jpg")
    assert repr(JPEG)[2:10] not in repr(found)


async def test_read_is_bounded() -> None:
    """Into memory go 32 MiB and no more, unless the caller says otherwise."""
    announced = media(JPEG, Content_Length=str(32 * 1024**2 + 1))
    service = FakeWeChat({"ID": JPEG}, answers=[announced])

    async with client_of(service) as client:
        with pytest.raises(TooLarge) as caught:
            await client.read("ID")

    assert caught.value.limit == 32 * 1024**2


@pytest.mark.parametrize("media_id", ["", None, 7, "\ud800"], ids=range(4))
async def test_odd_media_ids(media_id: Any, tmp_path: Path) -> None:
    """What cannot be a media_id is refused before any request."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises((ValueError, TypeError)):
            await client.download(media_id, tmp_path)
        with pytest.raises((ValueError, TypeError)):
            await client.read(media_id)
        with pytest.raises((ValueError, TypeError)):
            client.stream(media_id)

    assert service.requests == []


@pytest.mark.parametrize("max_bytes", [-1, "1", 1.5], ids=range(3))
async def test_odd_max_bytes(max_bytes: Any, tmp_path: Path) -> None:
    """What cannot be a number of bytes is refused before any request."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises((ValueError, TypeError)):
            await client.download("ID", tmp_path, max_bytes=max_bytes)
        with pytest.raises((ValueError, TypeError)):
            await client.read("ID", max_bytes=max_bytes)
        with pytest.raises((ValueError, TypeError)):
            client.stream("ID", max_bytes=max_bytes)

    assert service.requests == []


@pytest.mark.parametrize("file_io", ["inline", "thread"])
async def test_truncated_is_tried_again(file_io: str, tmp_path: Path) -> None:
    """Fault 4: a body that was cut is fetched again from its beginning."""
    short = media(JPEG)
    short.stream = Pieces(JPEG[:700])
    service = FakeWeChat({"ID": JPEG}, answers=[cut(), short])

    async with client_of(service, file_io=file_io) as client:
        await client.download("ID", tmp_path)

    assert (tmp_path / "ID.jpg").read_bytes() == JPEG
    assert names_in(tmp_path) == ["ID.jpg"]
    assert len(service.requests) == 3


async def test_truncated_every_time(tmp_path: Path) -> None:
    """Fault 4: a body that is cut each time is Truncated, and leaves no file."""
    service = FakeWeChat(answers=[cut(size=1000) for _ in range(4)])

    async with client_of(service) as client:
        with pytest.raises(Truncated) as caught:
            await client.download("ID", tmp_path)

    assert (caught.value.expected, caught.value.received) == (len(JPEG), 1000)
    assert (caught.value.attempts, caught.value.phase) == (4, "receive")
    assert names_in(tmp_path) == []


async def test_reset_in_the_body(tmp_path: Path) -> None:
    """Fault 3: the error names host, phase and bytes, and nothing is left."""
    service = FakeWeChat()
    for _ in range(4):
        answer = media(JPEG)
        answer.stream = Pieces(JPEG[:1000], fails=httpx.ReadError(""))
        service.answers.append(answer)

    async with client_of(service) as client:
        with pytest.raises(
            TransferError, match=r"1000 bytes from wechat\.test"
        ) as caught:
            await client.download("ID", tmp_path)

    assert (caught.value.phase, caught.value.attempts) == ("receive", 4)
    assert names_in(tmp_path) == []


async def test_timeout_in_the_body(tmp_path: Path) -> None:
    """Fault 6: a body that stalls is TransferTimeout, and is tried again."""
    service = FakeWeChat({"ID": JPEG}, answers=[stalled()])

    async with client_of(service) as client:
        await client.download("ID", tmp_path)
        service.answers = [stalled(), stalled()]
        with pytest.raises(TransferTimeout) as caught:
            await client.with_options(retry=RetryPolicy(attempts=1)).read("ID")

    assert (tmp_path / "ID.jpg").read_bytes() == JPEG
    assert (caught.value.phase, caught.value.attempts) == ("receive", 1)


async def test_verified(tmp_path: Path) -> None:
    """Fault 5: without a length or chunks, nobody knows whether all of it came."""
    service = FakeWeChat()
    service.answers = [
        reply(JPEG, ATTACHED),
        reply(JPEG, ATTACHED | {"Transfer-Encoding": "chunked"}),
        reply(JPEG, ATTACHED | {"Content-Length": str(len(JPEG))}),
    ]

    async with client_of(service) as client:
        saved = [await client.download("ID", tmp_path / f"{n}") for n in range(3)]

    assert [each.verified for each in saved] == [False, True, True]


async def test_progress(tmp_path: Path) -> None:
    """Progress grows up to the total, and names the media."""
    service, told = FakeWeChat({"ID": JPEG}), list[Progress]()

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    size = len(JPEG)
    assert [each.done for each in told] == [1000, 2000, size]
    assert told[-1] == Progress("ID", size, size)


@pytest.mark.parametrize("to", ["file", "destination"])
async def test_progress_over_a_socket(to: str, tmp_path: Path) -> None:
    """Progress is the same where the bytes go from a socket to a file."""
    content, told = JPEG * 1000, list[Progress]()
    target: Any = tmp_path if to == "file" else Bucket()
    cut_off = whole(content)[:1_000_000]

    with Server(answers(cut_off), answers(whole(content))) as server:
        async with client_to(server) as client:
            await client.download("ID", target, progress=told.append)

    done = [each.done for each in told]
    again = done.index(0)
    for one_try in (done[:again], done[again:]):
        assert one_try == sorted(set(one_try))
    assert {each.total for each in told} <= {None, len(content)}
    assert told[-1] == Progress("ID", len(content), len(content))


async def test_progress_without_a_length(tmp_path: Path) -> None:
    """Where no length is known, the total is None until the last call."""
    told = list[Progress]()
    service = FakeWeChat(answers=[reply(JPEG, ATTACHED)])

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    size = len(JPEG)
    assert [each.total for each in told] == [None, None, None, size]
    assert [each.done for each in told] == [1000, 2000, size, size]


async def test_progress_of_nothing(tmp_path: Path) -> None:
    """An empty media has a last call as well."""
    told = list[Progress]()
    service = FakeWeChat({"ID": b""})

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    assert told == [Progress("ID", 0, 0)]


async def test_progress_over_two_tries(tmp_path: Path) -> None:
    """Progress goes back to 0 when a download is tried again."""
    told = list[Progress]()
    service = FakeWeChat({"ID": JPEG}, answers=[cut()])

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    assert [each.done for each in told] == [1000, 0, 1000, 2000, len(JPEG)]


async def test_progress_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 32: what a progress callback raises is logged, and harms no download."""
    service = FakeWeChat({"ID": JPEG})

    def fail(_: Progress) -> None:
        raise ZeroDivisionError("callback")

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=fail)

    assert (tmp_path / "ID.jpg").read_bytes() == JPEG
    assert "ZeroDivisionError: callback" in caplog.text


async def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 29: a full disk is the OSError that it is; no other try, no file."""
    service = FakeWeChat({"ID": JPEG})

    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with client_of(service) as client:
        with monkeypatch.context() as patch:
            patch.setattr("wxmedia_async._files.part.write_all", refuse)
            with pytest.raises(OSError, match="No space left") as caught:
                await client.download("ID", tmp_path)

    assert caught.value.errno == errno.ENOSPC
    assert len(service.requests) == 1
    assert names_in(tmp_path) == []


@attrs.define
class Bucket:
    """Object storage that keeps what was read to its end."""

    stored: dict[str, bytes] = attrs.Factory(dict)
    told: list[tuple[str | None, int | None]] = attrs.Factory(list)

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        content = b"".join([chunk async for chunk in body])
        self.stored[name] = content
        self.told.append((content_type, size))
        return f"s3://bucket/{name}"


async def test_destination() -> None:
    """A Destination gets a safe name, the bytes, and what WeChat says of them."""
    service, bucket = FakeWeChat({"ID": JPEG}), Bucket()

    async with client_of(service) as client:
        saved = await client.download("ID", bucket)

    assert saved == SavedMedia(
        "ID",
        None,
        "s3://bucket/ID.jpg",
        len(JPEG),
        "image/jpeg",
        "ID.jpg",
        True,
    )
    assert bucket.stored == {"ID.jpg": JPEG}
    assert bucket.told == [("image/jpeg", len(JPEG))]


async def test_destination_of_a_cut_body() -> None:
    """A Destination sees the failure of a body, and is given the next try whole."""
    service, bucket = FakeWeChat({"ID": JPEG}, answers=[cut()]), Bucket()
    told = list[Progress]()

    async with client_of(service) as client:
        await client.download("ID", bucket, progress=told.append)

    assert bucket.stored == {"ID.jpg": JPEG}
    assert [each.done for each in told] == [1000, 0, 1000, 2000, len(JPEG)]


async def test_destination_is_given_no_error() -> None:
    """Fault 14: an error that WeChat sends never reaches a Destination."""
    service, bucket = FakeWeChat(), Bucket()

    async with client_of(service) as client:
        with pytest.raises(MediaNotFound):
            await client.download("ID", bucket)

    assert bucket.stored == {}


class Lazy(Bucket):
    """Says that it stored what it did not read."""

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        async for _ in body:
            break
        return "nowhere"


class Broken(Bucket):
    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        raise LookupError("no such bucket")


async def test_destination_that_fails() -> None:
    """What a Destination raises comes out as it is, once, and frees the slot."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, max_concurrency=1) as client:
        with pytest.raises(LookupError, match="no such bucket"):
            await client.download("ID", Broken())
        await client.read("ID")

    assert len(service.requests) == 2
    assert service.in_flight == 0


async def test_destination_that_stops_half_way() -> None:
    """A Destination that did not read all of the body has not stored the media."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(RuntimeError, match="did not read the body"):
            await client.download("ID", Lazy())

    assert service.in_flight == 0


async def test_link(tmp_path: Path) -> None:
    """A video is fetched where the link leads, with one slot, and nothing of ours."""
    url = f"{PUBLIC}/vweixinp.tc.qq.com/1007_a.f10.mp4?vkey=K&b=%2F"
    mp4 = b"\0\0\0\x18ftypmp42" + bytes(1000)
    service = FakeWeChat(answers=[link(url), reply(mp4, {"Content-Type": "video/mp4"})])
    http = httpx.AsyncClient(
        transport=service,
        headers={"Authorization": "Basic b3Vy", "X-Ours": "1"},
        cookies={"session": "ours"},
        auth=("us", "ours"),
        params={"ours": "1"},
    )

    async with client_of(service, http=http, max_concurrency=1) as client:
        saved = await client.download("ID", tmp_path)

    asked, followed = service.requests
    assert saved.path == tmp_path / "ID.mp4"
    assert saved.path.read_bytes() == mp4
    assert (asked.headers["x-ours"], asked.headers["cookie"]) == ("1", "session=ours")
    assert asked.headers["authorization"] == "Basic b3Vy"
    assert dict(asked.url.params)["ours"] == "1"
    assert (followed.method, followed.content) == ("GET", b"")
    assert followed.url == httpx.URL(url)
    assert followed.url.raw_path == b"/vweixinp.tc.qq.com/1007_a.f10.mp4?vkey=K&b=%2F"
    assert set(followed.headers) == {"host", "accept", "accept-encoding"}


async def test_link_after_redirects() -> None:
    """Fault 16: a link may be redirected three times."""
    service = FakeWeChat(
        answers=[
            link(f"{PUBLIC}/1"),
            moved("/2?vkey=K"),
            moved("//203.205.137.90/3?vkey=K"),
            moved("https://video.qq.com/4"),
            media(JPEG),
        ]
    )

    async with client_of(service, max_concurrency=1) as client:
        found = await client.read("ID")

    assert found.content == JPEG
    assert [(each.url.host, each.url.path) for each in service.requests[1:]] == [
        ("203.205.137.89", "/1"),
        ("203.205.137.89", "/2"),
        ("203.205.137.90", "/3"),
        ("video.qq.com", "/4"),
    ]
    assert dict(service.requests[2].url.params) == {"vkey": "K"}


async def test_too_many_redirects() -> None:
    """Fault 16: the fourth redirect of a link is one too many."""
    service = FakeWeChat(
        answers=[link(f"{PUBLIC}/0"), *[moved(f"/{n}") for n in range(1, 9)]]
    )

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply, match="redirects") as caught:
            await client.read("ID")

    assert caught.value.attempts == 1
    assert len(service.requests) == 5


UNSAFE = [
    "file:///etc/passwd",
    "ftp://203.205.137.89/a",
    "//203.205.137.89/a",
    "http:///a",
    "a.mp4",
    "http://user:pw@203.205.137.89/a",
    "http://127.0.0.1/a",
    "http://2130706433/a",
    "http://0x7f.1/a",
    "http://[::1]/a",
    "http://[::ffff:10.0.0.1]/a",
    "http://10.0.0.1/a",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/a",
    "http://localhost/a",
    "http://LOCALHOST./a",
    "http://intranet/a",
    "http://printer.local/a",
    "http://metadata.google.internal/a",
    "http://0/a",
    "https://api.weixin.qq.com@127.0.0.1/a",
    "http://[::1",
    "http://a b/",
    "http://203.205.137.89:port/",
]


@pytest.mark.parametrize("url", UNSAFE, ids=range(len(UNSAFE)))
async def test_unsafe_link(url: str, tmp_path: Path) -> None:
    """Fault 16: a link to anything but a public address is not followed."""
    service = FakeWeChat(answers=[link(url)])

    async with client_of(service) as client:
        with pytest.raises(UnsafeURL) as caught:
            await client.download("ID", tmp_path)

    assert (caught.value.attempts, caught.value.retryable) == (1, False)
    assert len(service.requests) == 1
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/a",
        "http://user:pw@203.205.137.89/a",
        "http://169.254.169.254/latest/meta-data",
        "ftp://203.205.137.89/a",
        "http://localhost/",
    ],
)
async def test_redirect_to_an_unsafe_place(location: str) -> None:
    """Fault 16: each redirect is checked as the link is."""
    service = FakeWeChat(answers=[link(f"{PUBLIC}/1"), moved(location)])

    async with client_of(service) as client:
        with pytest.raises(UnsafeURL):
            await client.read("ID")

    assert len(service.requests) == 2


async def test_redirect_that_is_no_url() -> None:
    """Fault 16: a redirect that cannot be understood is not followed."""
    service = FakeWeChat(answers=[link(f"{PUBLIC}/1"), moved("http://[::1")])

    async with client_of(service) as client:
        with pytest.raises(MediaError):
            await client.read("ID")

    assert len(service.requests) == 2


async def test_link_to_our_own_origin() -> None:
    """Fault 16: the exact origin of base_url is allowed, and no other of its kind."""
    service = FakeWeChat(answers=[link(f"{BASE}/video"), media(JPEG)])

    async with client_of(service) as client:
        found = await client.read("ID")
        service.answers = [link("https://wechat.test@localhost/video")]
        with pytest.raises(UnsafeURL):
            await client.read("ID")
        service.answers = [link(f"{BASE.replace('//', '//a:b@')}/video")]
        with pytest.raises(UnsafeURL):
            await client.read("ID")

    assert found.content == JPEG
    assert "access_token" not in service.requests[1].url.params


async def test_link_that_leads_to_an_error() -> None:
    """What a link leads to is told from an error like any other reply."""
    refused = httpx.Response(403, text="key K is over")
    service = FakeWeChat(answers=[link(f"{PUBLIC}/a?vkey=K"), refused])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply) as caught:
            await client.read("ID")

    assert caught.value.status == 403


async def test_link_that_leads_to_a_link() -> None:
    """A link that leads to another link is an unexpected reply."""
    service = FakeWeChat(answers=[link(f"{PUBLIC}/a"), link(f"{PUBLIC}/b")])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply, match="media was expected"):
            await client.read("ID")

    assert len(service.requests) == 2


async def test_link_is_asked_for_anew() -> None:
    """When a link fails, WeChat is asked for a new one."""
    service = FakeWeChat(
        answers=[
            link(f"{PUBLIC}/old"),
            httpx.Response(503),
            link(f"{PUBLIC}/new"),
            media(JPEG),
        ]
    )

    async with client_of(service) as client:
        await client.read("ID")

    assert service.requests[3].url.path == "/new"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (40164, CredentialsError),
        (41004, CredentialsError),
        (50002, PermissionDenied),
        (40118, MediaNotFound),
        (45009, QuotaExceeded),
        (48006, QuotaExceeded),
        (40004, MediaRejected),
        (43001, APIError),
    ],
)
async def test_not_tried_again(
    code: int, expected: type[APIError], tmp_path: Path
) -> None:
    """What another try cannot mend is raised after the first."""
    service = FakeWeChat(answers=[error(code), error(code)])

    async with client_of(service) as client:
        with pytest.raises(APIError) as caught:
            await client.download("ID", tmp_path)

    assert type(caught.value) is expected
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert caught.value.attempts == 1


async def test_wecom_differences() -> None:
    """In WeCom 40001 is a wrong secret, and 45009 no more than a pause."""
    service = FakeWeChat(answers=[error(40001), error(45009)])

    async with client_of(service, platform=WECOM, deadline=1.0) as client:
        with pytest.raises(CredentialsError):
            await client.read("ID")
        with pytest.raises(RateLimited):
            await client.read("ID")

    assert len(service.requests) == 2


@pytest.mark.parametrize("code", [-1, -1000, 6000, 45033, 61450])
async def test_busy(code: int) -> None:
    """ServerBusy: tried again, as often as the policy says, and counted."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(code)] * 3)

    async with client_of(service) as client:
        await client.read("ID")
        service.answers = [error(code)] * 4
        with pytest.raises(ServerBusy) as caught:
            await client.read("ID")

    assert caught.value.attempts == 4
    assert len(service.requests) == 8


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
async def test_busy_by_its_status(status: int) -> None:
    """ServerBusy: statuses that say so are tried again as well."""
    service = FakeWeChat({"ID": JPEG}, answers=[httpx.Response(status)])

    async with client_of(service) as client:
        found = await client.read("ID")

    assert found.content == JPEG


async def test_rate_limited_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """RateLimited: with time enough, a transfer is tried again after the pause."""
    monkeypatch.setattr(RateLimited, "retry_after", 0.02)
    service = FakeWeChat({"ID": JPEG}, answers=[error(45011)])

    async with client_of(service) as client:
        started = anyio.current_time()
        await client.read("ID")

    # uvloop's clock ticks once a millisecond.
    assert anyio.current_time() - started >= 0.019
    assert len(service.requests) == 2


async def test_pause_counts_for_those_who_wait_for_a_slot() -> None:
    """RateLimited: whoever has been waiting for a slot starts nothing either."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())
    service.answers = [error(45011)]
    failures = list[RateLimited]()

    async def read() -> None:
        try:
            await client.read("ID")
        except RateLimited as failure:
            failures.append(failure)

    async with client_of(service, max_concurrency=1, deadline=5.0) as client:
        async with anyio.create_task_group() as readers:
            for _ in range(5):
                readers.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert len(failures) == 5
    assert len(service.requests) == 1


async def test_quota_is_no_pause() -> None:
    """QuotaExceeded: it fails at once, and stops nobody else's transfer."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(45009)])

    async with client_of(service) as client:
        with pytest.raises(QuotaExceeded):
            await client.read("ID")
        await client.read("ID")

    assert len(service.requests) == 2


@pytest.mark.parametrize("token", [TOKEN, None])
async def test_token_that_cannot_be_renewed(token: str | None) -> None:
    """TokenRejected: without a way to renew, the refusal is raised at once."""
    service = FakeWeChat(valid="another")

    async with client_of(service, token=token) as client:
        with pytest.raises(TokenRejected) as caught:
            await client.read("ID")

    assert (caught.value.code, caught.value.attempts) == (40001, 1)
    assert len(service.requests) == 1


async def test_provider_that_repeats_its_token() -> None:
    """TokenRejected: a renewal that brings the same token is no renewal."""
    service = FakeWeChat(valid="another")

    async def get() -> str:
        return TOKEN

    async with client_of(service, token=get) as client:
        with pytest.raises(TokenRejected) as caught:
            await client.read("ID")

    assert caught.value.attempts == 1
    assert len(service.requests) == 1


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_three_refused_in_a_row(code: int) -> None:
    """TokenRejected: raised when the third fetched token in a row is refused."""
    service = FakeWeChat({"ID": JPEG})
    refusals = 3

    def refuse(request: httpx.Request) -> httpx.Response:
        nonlocal refusals
        if request.url.path.endswith("token"):
            return service._answer(request, {}, b"")
        refusals -= 1
        return error(code)

    token = AppToken("wx1", "s", endpoint="token")
    async with client_of(service, token=token) as client:
        await client.read("ID")
        service.answers = [refuse] * 5
        with pytest.raises(TokenRejected) as caught:
            await client.read("ID")

    assert (caught.value.code, caught.value.attempts) == (code, 3)
    assert (refusals, service.tokens) == (0, 3)


async def test_renewal_costs_no_attempt_of_the_policy() -> None:
    """A renewal comes on top of the tries that the policy allows."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        await client.read("ID")
        service.valid = "somebody fetched another one"
        found = await client.with_options(retry=RetryPolicy(attempts=1)).read("ID")

    assert found.content == JPEG


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
