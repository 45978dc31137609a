"""Fault 34: whatever prints, no token, secret or vkey is in it."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import respx
from httpx_aiohttp import AiohttpTransport

from tests.fakes import BASE, EAGER, JPEG, SECRET, TOKEN, FakeWeChat, client_of, media
from tests.sockets.server import CONTEXT, Peer, Server
from wxmedia_async import (
    AccessToken,
    AppToken,
    CorpToken,
    CredentialsError,
    MediaClient,
    MediaError,
    MediaRejected,
    ServerBusy,
    StaticToken,
    TokenRejected,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
    UnsafeURL,
)
from wxmedia_async._session.secrets import SecretURL
from wxmedia_async._session.transfer import Exchange, Transfer
from wxmedia_async._tokens.providers import TokenCall
from wxmedia_async._wire.replies import VideoLink

HIDDEN = "that-must-never-be-seen"
VKEY = f"VKEY-{HIDDEN}"
PASSWORD = f"PASSWORD-{HIDDEN}"

Answers = Callable[[str], httpx.Response]
Way = Callable[[Answers], AbstractAsyncContextManager[MediaClient]]


@pytest.fixture(autouse=True)
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Every logger there is, at DEBUG; nothing hidden may be in any of it."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "wxmedia_async"):
        caplog.set_level(logging.DEBUG, name)
    yield
    assert HIDDEN not in caplog.text


def shown(error: BaseException) -> Iterator[str]:
    """All that people, loggers and error reporters make of an error."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    told = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield "".join(told.format())
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from shown(other)


def assert_hidden(error: MediaError) -> None:
    for text in shown(error):
        assert HIDDEN not in text
    assert HIDDEN.encode() not in pickle.dumps(error)
    for text in shown(pickle.loads(pickle.dumps(error))):
        assert HIDDEN not in text
    assert not holds_request(error)


def holds_request(error: BaseException | None) -> bool:
    """Whether an error, or one that it came of, leads to the request."""
    if error is None:
        return False
    if isinstance(error, httpx.RequestError) and error._request is not None:
        return True
    return holds_request(error.__cause__) or holds_request(error.__context__)


async def failure(work: Callable[[], Awaitable[object]]) -> MediaError:
    """Nothing in these frames is secret, so whatever is found is the library's."""
    with pytest.raises(MediaError) as caught:
        await work()
    return caught.value


def plays(answers: Answers) -> Callable[[Peer], None]:
    """Answer over a socket."""

    def script(peer: Peer) -> None:
        while True:
            reply = answers(peer.read_request().target)
            lines = [f"HTTP/1.1 {reply.status_code} Whatever".encode()]
            lines += [name + b": " + value for name, value in reply.headers.raw]
            peer.send(b"\r\n".join(lines) + b"\r\n\r\n" + reply.content)
            if len(reply.content) < int(reply.headers["content-length"]):
                return

    return script


def token_of() -> AppToken:
    return AppToken("wx1", SECRET)


@asynccontextmanager
async def own_sockets(answers: Answers) -> AsyncGenerator[MediaClient]:
    options: Any = {"verify": CONTEXT, "retry": EAGER}
    with Server(plays(answers)) as server:
        async with MediaClient(token_of(), base_url=server.url, **options) as client:
            yield client


@asynccontextmanager
async def own_sockets_unlogged(answers: Answers) -> AsyncGenerator[MediaClient]:
    """The short way past httpx's client, which is taken where it logs nothing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger("httpx"), "level", logging.WARNING)
        logging.getLogger("httpx").manager._clear_cache()  # type: ignore[attr-defined]
        async with own_sockets(answers) as client:
            yield client


@asynccontextmanager
async def own_lanes(answers: Answers) -> AsyncGenerator[MediaClient]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wxmedia_async.transport._own.supported", lambda: False)
        async with own_sockets(answers) as client:
            yield client


@asynccontextmanager
async def users_client(answers: Answers) -> AsyncGenerator[MediaClient]:
    with Server(plays(answers)) as server:
        async with httpx.AsyncClient(verify=CONTEXT) as http:
            options: Any = {"http": http, "retry": EAGER}
            yield MediaClient(token_of(), base_url=server.url, **options)


@asynccontextmanager
async def mock_transport(answers: Answers) -> AsyncGenerator[MediaClient]:
    def handle(request: httpx.Request) -> httpx.Response:
        return answers(request.url.raw_path.decode())

    transport = httpx.MockTransport(handle)
    async with client_of(transport, token=token_of()) as client:
        yield client


@asynccontextmanager
async def mocked(answers: Answers, **options: Any) -> AsyncGenerator[MediaClient]:
    def handle(request: httpx.Request) -> httpx.Response:
        return answers(request.url.raw_path.decode())

    ours: Any = {"base_url": BASE, "verify": CONTEXT, "retry": EAGER}
    with respx.mock(**options) as router:
        router.route().mock(side_effect=handle)
        async with MediaClient(token_of(), **ours) as client:
            yield client


WAYS: list[Way] = [
    own_sockets,
    own_sockets_unlogged,
    own_lanes,
    users_client,
    mock_transport,
    mocked,
    partial(mocked, using="httpx"),
]
each_way = pytest.mark.parametrize("way", WAYS, ids=range(len(WAYS)))


def said(value: object, status: int = 200) -> httpx.Response:
    return httpx.Response(status, text=json.dumps(value))


def page(known: str, *, status: int) -> httpx.Response:
    """A page of a gateway that quotes the URL, and what else it was given."""
    text = (
        f"<html>No route to /get?access_token={TOKEN}-1&appsecret={SECRET}"
        f"&vkey={VKEY} ({known})" + "x" * 300
    )
    return httpx.Response(status, text=text)


def by_path(replies: Mapping[str, Sequence[httpx.Response]]) -> Answers:
    """Answer by the end of the path, in order; the last reply again and again."""
    left = {path: list(responses) for path, responses in replies.items()}
    left.setdefault("token", [said({"access_token": f"{TOKEN}-1", "expires_in": 7200})])

    def answers(target: str) -> httpx.Response:
        path = target.partition("?")[0]
        responses = next(left[end] for end in left if path.endswith(end))
        return responses.pop(0) if len(responses) > 1 else responses[0]

    return answers


UPLOADED = said({"type": "image", "media_id": "m1", "created_at": 1_700_000_000})


def content() -> httpx.Response:
    return httpx.Response(
        200, content=JPEG, headers={"Content-Disposition": "attachment; filename=a.jpg"}
    )


@each_way
async def test_success(way: Way, tmp_path: Path) -> None:
    """Nothing is told while all goes well, at whatever level is logged."""
    answers = by_path({"/upload": [UPLOADED], "/get": [content()]})

    async with way(answers) as client:
        results = [
            await client.upload(JPEG),
            await client.download("m1", tmp_path),
            await client.read("m1"),
            await client.call("GET", "/cgi-bin/media/get/../upload"),
        ]
        async with client.stream("m1") as stream:
            results.append([chunk async for chunk in stream])
            shown = repr([client, client.token, client._session, stream, results])

    assert HIDDEN not in shown
    assert len(results) == 5


@pytest.mark.parametrize(
    ("replies", "expected"),
    [
        ({"errcode": 40009, "errmsg": f"no {TOKEN}-1"}, MediaRejected),
        ({"errcode": 40001, "errmsg": f"access_token={TOKEN}-1"}, TokenRejected),
        ({"errcode": -1, "errmsg": f"busy {TOKEN}-1 rid: 1"}, ServerBusy),
        ({"errcode": "x", "access_token": f"{TOKEN}-1"}, UnexpectedReply),
        ({"video_url": "", "secret": SECRET}, UnexpectedReply),
    ],
    ids=range(5),
)
@each_way
async def test_api_errors(
    way: Way, replies: dict[str, object], expected: type[MediaError]
) -> None:
    """An error is shown without what WeChat may quote."""
    answers = by_path({"/upload": [said(replies)], "/get": [said(replies)]})

    async with way(answers) as client:
        errors = [
            await failure(partial(client.upload, JPEG)),
            await failure(partial(client.read, "ID")),
        ]

    for error in errors:
        assert isinstance(error, expected)
        assert_hidden(error)


@pytest.mark.parametrize("status", [200, 302, 403, 502])
@each_way
async def test_pages(way: Way, status: int, tmp_path: Path) -> None:
    """A page of a gateway is quoted without the URL's secrets."""
    refusal = page(f"{TOKEN}-1", status=status)
    answers = by_path({"/upload": [refusal], "/get": [refusal]})

    async with way(answers) as client:
        errors = [
            await failure(partial(client.upload, JPEG)),
            await failure(partial(client.download, "ID", tmp_path)),
        ]

    for error in errors:
        assert isinstance(error, (ServerBusy, UnexpectedReply))
        assert_hidden(error)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (said({"errcode": 40125, "errmsg": f"bad {SECRET}"}), CredentialsError),
        (said({"errcode": -1, "errmsg": f"busy {SECRET}"}), ServerBusy),
        (page(SECRET, status=502), ServerBusy),
        (page(SECRET, status=200), UnexpectedReply),
        (said({"access_token": f"{TOKEN}\u00e9"}), UnexpectedReply),
        (said({"access_token": TOKEN, "expires_in": 0}), UnexpectedReply),
        (said([SECRET]), UnexpectedReply),
    ],
    ids=range(7),
)
@each_way
async def test_token_endpoint(
    way: Way, reply: httpx.Response, expected: type[MediaError]
) -> None:
    """Where the token's endpoint fails, neither secret nor token is shown."""
    async with way(by_path({"token": [reply]})) as client:
        error = await failure(partial(client.upload, JPEG))

    assert isinstance(error, expected)
    assert_hidden(error)


@each_way
async def test_token_for_another_sdk(way: Way) -> None:
    """Who takes the token from `client.token` sees no secret in its failures."""
    refusal = said({"errcode": 40125, "errmsg": f"bad {SECRET}"})

    async with way(by_path({"token": [refusal]})) as client:
        assert client.token is not None
        error = await failure(client.token.get)

    assert isinstance(error, CredentialsError)
    assert_hidden(error)


@pytest.mark.parametrize("endpoint", ["stable_token", "token", "gettoken"])
async def test_secret_in_the_query(endpoint: Any) -> None:
    """The older endpoints have the secret in their URL, and do not show it."""
    service = FakeWeChat(answers=[httpx.ConnectError(f"no {BASE}?secret={SECRET}")] * 4)
    token: Any = (
        CorpToken("ww1", SECRET)
        if endpoint == "gettoken"
        else AppToken("wx1", SECRET, endpoint=endpoint)
    )

    async with client_of(service, token=token) as client:
        error = await failure(partial(client.read, "ID"))

    assert len(service.requests) == 4
    assert HIDDEN not in "".join(f"{each.url}{each!r}" for each in service.requests)
    assert_hidden(error)


@each_way
async def test_renewal_that_fails(way: Way) -> None:
    """A renewal that fails shows neither the refused token nor the secret."""
    tokens = [
        said({"access_token": f"{TOKEN}-1", "expires_in": 7200}),
        said({"errcode": 40164, "errmsg": f"invalid ip 1.2.3.4 {SECRET}"}),
    ]
    refused = said({"errcode": 42001, "errmsg": f"expired {TOKEN}-1"})

    async with way(by_path({"token": tokens, "/get": [refused]})) as client:
        error = await failure(partial(client.read, "ID"))

    assert isinstance(error, CredentialsError)
    assert error.ip == "1.2.3.4"
    assert_hidden(error)


@each_way
async def test_truncated(way: Way, tmp_path: Path) -> None:
    """A body that is cut leaves an error that shows nothing."""
    short = media(JPEG)
    cut = httpx.Response(200, content=JPEG, headers=short.headers)
    cut.headers["content-length"] = str(len(JPEG) + 1)

    async with way(by_path({"/get": [cut]})) as client:
        error = await failure(partial(client.download, "ID", tmp_path))

    assert isinstance(error, Truncated)
    assert_hidden(error)


LINK = f"http://203.205.137.89/video.mp4?vkey={VKEY}&sign={VKEY}"


@pytest.mark.parametrize("way", WAYS[4:], ids=range(len(WAYS[4:])))
async def test_link(way: Way) -> None:
    """A link is followed without its keys being told."""
    link = said({"video_url": LINK})

    async with way(by_path({"/get": [link], "/video.mp4": [content()]})) as client:
        found = await client.read("ID")

    assert found.content == JPEG


@pytest.mark.parametrize(
    "reply",
    [
        page(VKEY, status=403),
        httpx.Response(403, text=f"the key {VKEY} is over"),
        httpx.Response(200, text=f"<html>{VKEY}</html>"),
        httpx.Response(302, headers={"Location": f"http://a b/?vkey={VKEY}"}),
        httpx.Response(302, headers={"Location": f"http://localhost/?vkey={VKEY}"}),
        httpx.Response(302, headers={"Location": f"/video.mp4?vkey={VKEY}"}),
    ],
    ids=range(6),
)
@pytest.mark.parametrize("way", WAYS[4:], ids=range(len(WAYS[4:])))
async def test_link_that_fails(way: Way, reply: httpx.Response) -> None:
    """A link that fails is told of without its keys."""
    link = said({"video_url": LINK})

    async with way(by_path({"/get": [link], "/video.mp4": [reply]})) as client:
        error = await failure(partial(client.read, "ID"))

    assert isinstance(error, (UnexpectedReply, UnsafeURL))
    assert_hidden(error)


# httpcore's own log at DEBUG holds the headers of replies, and so a redirect's
# Location: where its stack is used, that is beyond us.
@pytest.mark.parametrize("way", WAYS[:2], ids=range(2))
async def test_redirected_link_over_sockets(way: Way) -> None:
    """A link that is followed over a socket, and its redirects, tell no key."""
    location = {"Location": f"/moved?vkey={VKEY}", "Content-Length": "0"}
    moved = httpx.Response(302, headers=location)
    link = said({"video_url": ""})
    answers = by_path({"/get": [link], "/video": [moved], "/moved": [content()]})

    async with way(answers) as client:
        url = f"{client._session.requests.hosts.current}/video?vkey={VKEY}"
        link._content = json.dumps({"video_url": url}).encode()
        link.headers["content-length"] = str(len(link.content))
        found = await client.read("ID")

    assert found.content == JPEG


@pytest.mark.parametrize(
    "url",
    [
        f"http://user:{PASSWORD}@203.205.137.89/a?vkey={VKEY}",
        f"http://127.0.0.1/a?vkey={VKEY}",
        f"file:///etc/passwd?vkey={VKEY}",
        f"http://a b/?vkey={VKEY}",
        f"http://localhost/{VKEY}",
    ],
    ids=range(5),
)
@each_way
async def test_unsafe_link(way: Way, url: str) -> None:
    """A link that is not followed is told of by its host."""
    async with way(by_path({"/get": [said({"video_url": url})]})) as client:
        error = await failure(partial(client.read, "ID"))

    assert isinstance(error, UnsafeURL)
    assert_hidden(error)


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (httpx.ConnectError, TransferError),
        (httpx.ReadTimeout, TransferTimeout),
        (httpx.PoolTimeout, TransferTimeout),
        (httpx.RemoteProtocolError, UnexpectedReply),
        (httpx.LocalProtocolError, TransferError),
        (httpx.DecodingError, TransferError),
        (httpx.InvalidURL, TransferError),
    ],
)
async def test_causes(cause: Any, expected: type[MediaError]) -> None:
    """The cause is kept by its kind and words, without the request that it held."""

    class Fails(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            url = str(httpx.URL(request.url))
            if cause is httpx.InvalidURL:
                raise cause(f"bad {url}")
            raise cause(f"failed at {url}", request=request)

    async with client_of(Fails()) as client:
        errors = [
            await failure(partial(client.upload, JPEG)),
            await failure(partial(client.read, "ID")),
        ]

    for error in errors:
        assert isinstance(error, expected)
        assert isinstance(error.__cause__, cause)
        assert "/cgi-bin/media/" in str(error.__cause__)
        assert_hidden(error)


async def test_refused_connection() -> None:
    """A connection that is refused is told of by the host alone."""
    with Server(lambda _: None) as gone:
        url = gone.url
    token = AppToken("wx1", SECRET)

    async with MediaClient(TOKEN, base_url=url, verify=CONTEXT, retry=EAGER) as client:
        errors = [
            await failure(partial(client.read, "ID")),
            await failure(partial(client.with_options(token=token).read, "ID")),
        ]

    for error in errors:
        assert isinstance(error, TransferError)
        assert error.phase == "connect"
        assert_hidden(error)


async def test_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: a proxy's password is in no log and no error."""
    refusal = httpx.Response(407, text=f"not {PASSWORD}")
    with Server(plays(lambda _: refusal)) as proxy:
        url = proxy.url.replace("//", f"//user:{PASSWORD}@")
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("HTTPS_PROXY", url)
        options: Any = {"verify": CONTEXT, "retry": EAGER}
        async with MediaClient(TOKEN, base_url=BASE, **options) as client:
            plain = await failure(partial(client.read, "ID"))
        async with MediaClient(TOKEN, **options) as client:
            tunnelled = await failure(partial(client.read, "ID"))

    assert isinstance(plain, UnexpectedReply)
    assert plain.status == 407
    assert isinstance(tunnelled, TransferError)
    assert_hidden(tunnelled)


async def test_deadline() -> None:
    """What ran when the deadline came is not shown with its locals."""
    service = FakeWeChat(gate=anyio.Event())

    async with client_of(service, deadline=0.01) as client:
        errors = [
            await failure(partial(client.upload, JPEG)),
            await failure(partial(client.read, "ID")),
            await failure(partial(client.with_options(token=token_of()).read, "ID")),
        ]

    for error in errors:
        assert isinstance(error, TransferTimeout)
        assert_hidden(error)


async def test_batches(tmp_path: Path) -> None:
    """Outcomes, their errors, progress and the manifest show nothing hidden."""
    told, outcomes = list[object](), list[object]()
    reply = said({"errcode": 40007, "errmsg": f"no access_token={TOKEN}-1"})
    answers = by_path({"/upload": [UPLOADED, reply], "/get": [content(), reply]})
    manifest = tmp_path / "manifest"

    async with mock_transport(answers) as client:
        async with client.download_many(
            ["A", "B", "C"], tmp_path, manifest=manifest, progress=told.append
        ) as downloads:
            outcomes += [outcome async for outcome in downloads]
        async with client.upload_many([JPEG, JPEG], progress=told.append) as uploads:
            outcomes += [outcome async for outcome in uploads]

    errors = [each.error for each in outcomes if each.error]  # type: ignore[attr-defined]
    assert len(outcomes) == 5
    assert len(errors) == 3
    assert HIDDEN not in f"{told}{outcomes}{manifest.read_text()}"
    for error in errors:
        assert_hidden(error)


async def test_stream_that_breaks() -> None:
    """What breaks in the middle of a stream shows nothing either."""

    async def read() -> None:
        async with client.stream("ID") as stream:
            async for _ in stream:
                pass

    cut = httpx.Response(200, content=JPEG, headers={"Content-Length": "9999"})
    async with mock_transport(by_path({"/get": [cut]})) as client:
        error = await failure(read)

    assert isinstance(error, Truncated)
    assert_hidden(error)


async def test_error_of_the_user() -> None:
    """An error of the user's own passes frames that hold no token in plain sight."""

    async def read() -> None:
        async with client.stream("ID"):
            raise LookupError("mine")

    async def broken() -> AsyncIterator[bytes]:
        yield JPEG[:1000]
        raise LookupError("mine")

    async with mock_transport(by_path({"/get": [content()]})) as client:
        with pytest.raises(LookupError) as streaming:
            await read()
        with pytest.raises(LookupError) as uploading:
            await client.upload(broken(), size=2000)

    for caught in (streaming, uploading):
        for text in shown(caught.value):
            assert HIDDEN not in text


async def test_hooks_and_wrappers() -> None:
    """Whoever prints a request or its URL, as hooks and tracers do, prints no token."""
    printed = list[str]()

    def note(url: httpx.URL, *others: object) -> None:
        printed.append(f"{url} {url!r} {url!s} {others}")
        printed.append("%s %r" % (url, url.copy_with(path="/")))  # noqa: UP031
        printed.append(str(url.join("/elsewhere")) + str(url.copy_merge_params({})))

    async def on_request(request: httpx.Request) -> None:
        note(request.url, request)

    async def on_response(response: httpx.Response) -> None:
        note(response.url, response, response.request)

    class Tracer(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            note(request.url, {"http.url": str(request.url)})
            return await service.handle_async_request(request)

    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(
        transport=Tracer(),
        event_hooks={"request": [on_request], "response": [on_response]},
    )
    async with client_of(service, http=http, token=token_of()) as client:
        await client.upload(JPEG)
        await client.read("ID")
        service.answers = [said({"video_url": LINK}), content()]
        await client.read("ID")

    assert len(printed) == 5 * 9
    assert "access_token=***&media_id=ID" in "".join(printed)
    assert HIDDEN not in "".join(printed)


def test_representations() -> None:
    """Whatever holds a secret is printed without it."""
    url = SecretURL(f"{BASE}/a?access_token={TOKEN}&media_id=ID")
    holders: list[object] = [
        StaticToken(TOKEN),
        AppToken("wx1", SECRET),
        CorpToken("ww1", SECRET),
        AccessToken(TOKEN, __import__("datetime").datetime.now().astimezone()),
        TokenCall(method="GET", path="/", params={"secret": SECRET}, secret=SECRET),
        Exchange(method="GET", path="/", params={"access_token": TOKEN}),
        VideoLink(LINK),
        MediaClient(TOKEN, verify=CONTEXT),
        MediaClient(AppToken("wx1", SECRET), verify=CONTEXT).token,
        Transfer(anyio.CancelScope, lambda _: None),  # type: ignore[arg-type]
        url,
        [url],
        {"url": url},
        httpx.Request("GET", url).extensions,
    ]

    for holder in holders:
        assert HIDDEN not in f"{holder} {holder!r}"


on_asyncio = pytest.mark.parametrize(
    "anyio_backend",
    [
        pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
        pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    ],
)


@on_asyncio
async def test_transport_that_reads_the_text(anyio_backend: object) -> None:
    """A transport that makes its URL of the text sends the real token, and no log shows it."""
    targets = list[str]()
    answers = by_path({"/upload": [UPLOADED], "/get": [content()]})

    def noting(target: str) -> httpx.Response:
        targets.append(target)
        return answers(target)

    with Server(plays(noting)) as server:
        async with httpx.AsyncClient(transport=AiohttpTransport()) as http:
            client = MediaClient(token_of(), base_url=server.url, http=http)
            await client.upload(JPEG)
            found = await client.read("ID")
            error = await failure(partial(client.read, "ID", max_bytes=1))

    assert found.content == JPEG
    assert targets[1:] == [
        f"/cgi-bin/media/upload?access_token={TOKEN}-1&type=image",
        *[f"/cgi-bin/media/get?access_token={TOKEN}-1&media_id=ID"] * 2,
    ]
    assert server.requests[1].header("transfer-encoding") is None
    assert_hidden(error)
