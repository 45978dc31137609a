from __future__ import annotations

import io
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, error
from tests.sockets.server import UPLOADED, Server, answers, client_to
from tests.sockets.server import said as said_on_the_wire
from wxmedia_async import (
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    WECOM,
    APIError,
    AppToken,
    ClientClosed,
    CredentialsError,
    Limit,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    Progress,
    QuotaExceeded,
    RateLimited,
    ServerBusy,
    SourceChanged,
    TokenRejected,
    TooLarge,
    TransferError,
    UnexpectedReply,
    UploadedMedia,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


async def flow(content: bytes = JPEG) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 700):
        await anyio.lowlevel.checkpoint()
        yield content[start : start + 700]


def said(text: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, text=text)


def busy() -> bytes:
    return said_on_the_wire('{"errcode":-1,"errmsg":"system error"}')


async def test_result() -> None:
    """An upload gives the media_id, its type, and how long it will live, in UTC."""
    service = FakeWeChat(created_at=1_700_000_000)

    async with client_of(service) as client:
        uploaded = await client.upload(JPEG)

    created_at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    expires_at = created_at + timedelta(days=3)
    assert uploaded == UploadedMedia("m0", "image", created_at, expires_at)
    assert uploaded.created_at.tzinfo is UTC
    assert service.stored == {"m0": JPEG}


async def test_request() -> None:
    """An upload is one POST with its length, its type and the token."""
    service = FakeWeChat()

    async with client_of(service, platform=OFFICIAL_ACCOUNT) as client:
        await client.upload(b"#!AMR\nsound", "voice")

    [request] = service.requests
    assert request.method == "POST"
    assert request.url.path == "/cgi-bin/media/upload"
    assert dict(request.url.params) == {"access_token": TOKEN, "type": "voice"}
    assert request.headers["content-length"] == str(len(service.bodies[0]))
    assert "transfer-encoding" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


async def test_kinds_of_sources(tmp_path: Path) -> None:
    """Whatever holds bytes can be uploaded, and arrives whole."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    service = FakeWeChat()
    sources: list[Any] = [JPEG, bytearray(JPEG), memoryview(JPEG), path, str(path)]

    async with client_of(service) as client:
        with path.open("rb") as file:
            async with await anyio.open_file(path, "rb") as async_file:
                for source in [*sources, file, async_file, flow(), io.BytesIO(JPEG)]:
                    await client.upload(source)
        await client.upload(flow(), size=len(JPEG))

    assert list(service.stored.values()) == [JPEG] * 10


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, "cat.jpg"),
        ({"filename": "dog.png"}, "dog.png"),
        ({"filename": "in/some/folder/dog.png"}, "dog.png"),
        ({"filename": "dog"}, "dog.jpg"),
        ({"filename": "狗.jpg"}, "狗.jpg"),
        ({"filename": 'a"b.jpg'}, "a%22b.jpg"),
        ({"filename": ""}, "cat.jpg"),
    ],
)
async def test_filename(options: dict[str, Any], sent: str, tmp_path: Path) -> None:
    """Fault 18: the name is the argument, else the source's own, and never a path."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    service = FakeWeChat()

    async with client_of(service) as client:
        await client.upload(path, **options)

    assert service.names == {"m0": sent}


@pytest.mark.parametrize(
    ("content", "type", "sent"),
    [
        (JPEG, "image", "media.jpg"),
        (PNG, "image", "media.png"),
        (b"what is this?", "image", "media.jpg"),
        (b"what is this?", "video", "media.mp4"),
        (b"what is this?", "file", "media.bin"),
        (PNG, "file", "media.png"),
    ],
)
async def test_made_up_filename(content: bytes, type: str, sent: str) -> None:
    """A source without a name gets one from its type and its first bytes."""
    service = FakeWeChat()

    async with client_of(service, platform=WECOM) as client:
        await client.upload(content, type)

    assert service.names == {"m0": sent}


@pytest.mark.parametrize(
    ("source", "options", "content_type"),
    [
        (PNG, {}, b"image/png"),
        (b"what is this?", {}, b"application/octet-stream"),
        (PNG, {"content_type": "image/x-own"}, b"image/x-own"),
    ],
)
async def test_content_type(
    source: bytes, options: dict[str, Any], content_type: bytes
) -> None:
    """The part's type is the argument, else what the first bytes say."""
    service = FakeWeChat()

    async with client_of(service) as client:
        await client.upload(source, **options)

    assert b"\r\nContent-Type: " + content_type + b"\r\n\r\n" in service.bodies[0]


@pytest.mark.parametrize("char", ["\r", "\n", "\0"])
@pytest.mark.parametrize("option", ["filename", "content_type"])
async def test_header_injection(option: str, char: str) -> None:
    """Fault 18: CR, LF and NUL in a name or a type are refused before a request."""
    service = FakeWeChat()
    options: Any = {option: f"a{char}b"}

    async with client_of(service) as client:
        with pytest.raises(ValueError, match=r"CR, LF|media type"):
            await client.upload(JPEG, **options)

    assert service.requests == []


@pytest.mark.parametrize(
    ("platform", "type", "size", "code"),
    [
        (MINI_PROGRAM, "voice", 10, 40004),
        (MINI_PROGRAM, "file", 10, 40004),
        (OFFICIAL_ACCOUNT, "file", 10, 40004),
        (WECOM, "thumb", 10, 40005),
        (MINI_PROGRAM, "image", 0, 44001),
        (OFFICIAL_ACCOUNT, "thumb", 0, 44001),
        (WECOM, "file", 0, 44001),
        (WECOM, "file", 5, 40006),
    ],
)
async def test_rejected_before_any_request(
    platform: Any, type: str, size: int, code: int
) -> None:
    """Fault 22: an unknown type or too small a file gets the server's own code."""
    service = FakeWeChat()

    async with client_of(service, platform=platform) as client:
        with pytest.raises(MediaRejected) as caught:
            await client.upload(bytes(size), type)

    assert (caught.value.code, caught.value.attempts) == (code, 0)
    assert not caught.value.retryable
    assert service.requests == []


@pytest.mark.parametrize(
    ("platform", "type", "limit"),
    [
        (MINI_PROGRAM, "image", 10 * 1024**2),
        (OFFICIAL_ACCOUNT, "image", 10 * 1024**2),
        (OFFICIAL_ACCOUNT, "voice", 2 * 1024**2),
        (OFFICIAL_ACCOUNT, "video", 10 * 1024**2),
        (OFFICIAL_ACCOUNT, "thumb", 64 * 1024),
        (WECOM, "image", 10 * 1024**2),
        (WECOM, "voice", 2 * 1024**2),
        (WECOM, "video", 10 * 1024**2),
        (WECOM, "file", 20 * 1024**2),
    ],
)
async def test_too_large(platform: Any, type: str, limit: int) -> None:
    """Fault 22: one byte above the type's limit is refused before any request."""
    service = FakeWeChat()

    async with client_of(service, platform=platform) as client:
        with pytest.raises(TooLarge) as caught:
            await client.upload(bytes(limit + 1), type)

    assert (caught.value.limit, caught.value.size) == (limit, limit + 1)
    assert caught.value.attempts == 0
    assert service.requests == []


async def test_spooled_no_further_than_the_limit() -> None:
    """An endless flow is given up at the type's limit, before any request."""
    platform = attrs.evolve(MINI_PROGRAM, limits={"image": Limit(5000)})
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield bytes(1000)

    service = FakeWeChat()

    async with client_of(service, platform=platform) as client:
        with pytest.raises(TooLarge):
            await client.upload(endless())

    assert read == 6000
    assert service.requests == []


async def test_changed_limits() -> None:
    """Fault 22: limits can be changed, and without any the server decides."""
    service = FakeWeChat()
    larger = attrs.evolve(OFFICIAL_ACCOUNT, limits={"thumb": Limit(100_000)})
    unchecked = attrs.evolve(MINI_PROGRAM, limits={})

    async with client_of(service, platform=larger) as client:
        await client.upload(bytes(99_999), "thumb")
        with pytest.raises(MediaRejected):
            await client.upload(JPEG, "image")
    async with client_of(service, platform=unchecked) as client:
        uploaded = await client.upload(b"", "whatever")

    assert uploaded.type == "whatever"
    assert [len(content) for content in service.stored.values()] == [99_999, 0]


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


@pytest.mark.parametrize(
    "answer",
    [
        error(-1, "system error"),
        error(-1000),
        error(45033),
        said("<html>Bad Gateway</html>", 502),
        said("slow down", 429),
        httpx.ConnectError("refused"),
        httpx.ReadError(""),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.ReadTimeout(""),
    ],
    ids=range(9),
)
async def test_tried_again(answer: httpx.Response | Exception) -> None:
    """Fault 19: what may pass is tried again, with all the bytes."""
    service = FakeWeChat(answers=[answer])

    async with client_of(service) as client:
        await client.upload(JPEG)

    assert service.stored == {"m0": JPEG}
    assert len(service.requests) == 2
    assert service.bodies[0] == service.bodies[1]


async def test_tries_are_counted() -> None:
    """After the last try its error is raised, and says how many there were."""
    service = FakeWeChat(answers=[error(-1, "system error")] * 9)

    async with client_of(service) as client:
        with pytest.raises(ServerBusy) as caught:
            await client.upload(JPEG)

    assert (caught.value.code, caught.value.attempts) == (-1, 4)
    assert caught.value.retryable
    assert len(service.requests) == 4


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


async def test_renewed_token_sends_everything_again() -> None:
    """Fault 19: after a renewal of the token the whole body is sent once more."""
    service = FakeWeChat()

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        await client.upload(JPEG)
        service.valid = "somebody fetched another one"
        await client.upload(JPEG)

    assert service.stored == {"m0": JPEG, "m1": JPEG}
    assert service.tokens == 2


async def test_what_cannot_be_read_again() -> None:
    """Fault 19: a flow of known size is sent once, and the error says why."""
    service = FakeWeChat(answers=[error(-1)])

    async with client_of(service) as client:
        with pytest.raises(ServerBusy, match="cannot be read twice") as caught:
            await client.upload(flow(), size=len(JPEG))

    assert caught.value.attempts == 1
    assert len(service.requests) == 1


async def test_refused_token_and_a_flow() -> None:
    """Fault 19: a flow that was sent with a dead token is not sent again either."""
    service = FakeWeChat()

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        await client.upload(JPEG)
        service.valid = "somebody fetched another one"
        with pytest.raises(TokenRejected, match="cannot be read twice"):
            await client.upload(flow(), size=len(JPEG))

    assert service.stored == {"m0": JPEG}


async def test_flow_that_was_not_begun() -> None:
    """A flow is tried again as long as nothing of it was read."""

    class Unreachable(FakeWeChat):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not self.answers:
                return await super().handle_async_request(request)
            self.answers.pop()
            raise httpx.ConnectError("refused")

    service = Unreachable(answers=[error(-1)])

    async with client_of(service) as client:
        await client.upload(flow(), size=len(JPEG))

    assert service.stored == {"m0": JPEG}


async def test_spooled_flow_is_tried_again() -> None:
    """Fault 19: a flow of unknown size is spooled, and can so be sent again."""
    service = FakeWeChat(answers=[error(-1)])

    async with client_of(service) as client:
        await client.upload(flow())

    assert service.stored == {"m0": JPEG}


async def test_file_object(tmp_path: Path) -> None:
    """Fault 20: a file is sent from where it stands, on each try, and left behind."""
    service = FakeWeChat(answers=[error(-1)])
    file = io.BytesIO(b"head" + JPEG)
    file.seek(4)

    async with client_of(service) as client:
        await client.upload(file)

    assert service.stored == {"m0": JPEG}
    assert file.tell() == 4 + len(JPEG)


async def test_file_object_after_a_failure() -> None:
    """Fault 20: after a failure a file stands where it stood."""
    service = FakeWeChat(answers=[error(40009)])
    file = io.BytesIO(b"head" + JPEG)
    file.seek(4)

    async with client_of(service) as client:
        with pytest.raises(MediaRejected):
            await client.upload(file)

    assert file.tell() == 4


@pytest.mark.parametrize("size", [len(JPEG) - 1, len(JPEG) + 1])
async def test_wrong_size(size: int) -> None:
    """Fault 21: a size that is wrong is SourceChanged, before any request if known."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(SourceChanged):
            await client.upload(JPEG, size=size)

    assert service.requests == []


@pytest.mark.parametrize("size", [len(JPEG) - 1, len(JPEG) + 1])
async def test_wrong_size_of_a_flow(size: int) -> None:
    """Fault 21: a flow of another length is found out, and not tried again."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(SourceChanged) as caught:
            await client.upload(flow(), size=size)

    assert caught.value.attempts == 1
    assert service.stored == {}
    assert len(service.requests) == 1


async def test_progress() -> None:
    """Progress grows up to the total, and names the source."""
    service, told = FakeWeChat(), list[Progress]()
    source = io.BytesIO(bytes(200_000))

    async with client_of(service) as client:
        await client.upload(source, progress=told.append)

    assert [each.done for each in told] == sorted({each.done for each in told})
    assert len(told) > 2
    assert told[-1] == Progress(source, 200_000, 200_000)
    assert {each.total for each in told} == {200_000}


async def test_progress_goes_back_to_0_on_a_new_try() -> None:
    """Progress begins again at 0 when an upload is tried again."""
    service, told = FakeWeChat(answers=[error(-1)]), list[Progress]()

    async with client_of(service) as client:
        await client.upload(JPEG, progress=told.append)

    size = len(JPEG)
    assert [each.done for each in told] == [size, 0, size]


@pytest.mark.parametrize("kind", ["path", "bytes"])
async def test_progress_over_a_socket(kind: str, tmp_path: Path) -> None:
    """Progress is the same where a file is sent without being read."""
    content, told = bytes(2_000_000), list[Progress]()
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    source: Any = path if kind == "path" else content

    with Server(answers(busy(), UPLOADED)) as server:
        async with client_to(server) as client:
            await client.upload(source, progress=told.append)

    done = [each.done for each in told]
    again = done.index(0)
    for one_try in (done[:again], done[again:]):
        assert one_try == sorted(set(one_try))
        assert len(one_try) > 1
    assert told[-1] == Progress(source, len(content), len(content))


async def test_progress_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Fault 32: what a progress callback raises is logged, and harms no upload."""
    service = FakeWeChat()

    def fail(_: Progress) -> None:
        raise ZeroDivisionError("callback")

    with caplog.at_level(logging.ERROR, "wxmedia_async"):
        async with client_of(service) as client:
            await client.upload(JPEG, progress=fail)

    assert service.stored == {"m0": JPEG}
    assert "progress callback failed" in caplog.text
    assert "ZeroDivisionError: callback" in caplog.text


@pytest.mark.parametrize("source", [3, None, object(), ["a.jpg"], io.StringIO("text")])
async def test_not_a_source(source: Any) -> None:
    """What cannot be uploaded is a TypeError, before any request."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(TypeError):
            await client.upload(source)

    assert service.requests == []


async def test_negative_size() -> None:
    """A negative size is a ValueError, before any request."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(ValueError, match="negative"):
            await client.upload(JPEG, size=-1)

    assert service.requests == []


async def test_missing_file(tmp_path: Path) -> None:
    """Fault 29: a file that is not there is the OSError that it is."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(FileNotFoundError):
            await client.upload(tmp_path / "missing.jpg")

    assert service.requests == []


async def test_source_that_fails() -> None:
    """An exception of the source itself comes out as it is, and frees the slot."""

    async def failing() -> AsyncIterator[bytes]:
        yield bytes(100)
        raise LookupError("mine")

    service = FakeWeChat()

    async with client_of(service, max_concurrency=1) as client:
        with pytest.raises(LookupError, match="mine"):
            await client.upload(failing(), size=1000)
        await client.upload(JPEG)

    assert service.stored == {"m0": JPEG}


async def test_unretryable_transfer_error() -> None:
    """A request that httpx itself refuses is not tried again."""
    service = FakeWeChat(answers=[httpx.LocalProtocolError("illegal header")])

    async with client_of(service) as client:
        with pytest.raises(TransferError, match="illegal header") as caught:
            await client.upload(JPEG)

    assert (caught.value.attempts, caught.value.retryable) == (1, False)


async def test_after_close(tmp_path: Path) -> None:
    """Fault 33: a closed client does not even look at the source."""
    service, read = FakeWeChat(), False

    async def source() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield JPEG

    client = client_of(service)
    await client.aclose()

    with pytest.raises(ClientClosed):
        await client.upload(tmp_path / "missing.jpg")
    with pytest.raises(ClientClosed):
        await client.upload(source())
    assert not read


async def test_rate_limited_pauses_the_whole_client() -> None:
    """RateLimited: nobody starts within retry_after; who cannot wait fails so."""
    service = FakeWeChat(answers=[error(45011)])

    async with client_of(service, deadline=1.0) as client:
        with pytest.raises(RateLimited) as first:
            await client.upload(JPEG)
        with pytest.raises(RateLimited) as second:
            await client.upload(JPEG)

    assert first.value.retry_after == 60.0
    assert 55.0 < second.value.retry_after < 60.1
    assert len(service.requests) == 1


async def test_few_sources_are_open_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for leave to open a source gets it, and its deadline stands still."""
    monkeypatch.setattr("wxmedia_async._assembly._OPEN_SOURCES", 1)
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    service = FakeWeChat(gate=anyio.Event())

    async with client_of(service, deadline=2.0) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(client.upload, path)
            await anyio.wait_all_tasks_blocked()
            waiting = len(service.requests)
            assert service.gate is not None
            service.gate.set()

    assert (waiting, len(service.stored), service.peak) == (1, 3, 1)
