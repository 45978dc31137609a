from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import anyio
import httpx
import pytest
import respx
from pytest_httpx import HTTPXMock

from tests.fakes import EAGER, JPEG, SECRET, TOKEN
from tests.sockets.server import CONTEXT, Server, always, client_to, whole
from wxmedia_async import (
    AppToken,
    MediaClient,
    MediaNotFound,
    ServerBusy,
    TransferTimeout,
    Truncated,
)

HOST = "https://api.weixin.qq.com"
GET = f"{HOST}/cgi-bin/media/get"
UPLOAD = f"{HOST}/cgi-bin/media/upload"
STABLE_TOKEN = f"{HOST}/cgi-bin/stable_token"
ATTACHED = {"Content-Disposition": 'attachment; filename="ID.jpg"'}
UPLOADED = {"type": "image", "media_id": "m1", "created_at": 1_700_000_000}
REFUSED = '{"errcode":40007,"errmsg":"invalid media_id"}'

Mocked = tuple[respx.Router, MediaClient]
Way = Callable[..., Any]


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever would reach the network fails the test instead."""

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("the network was reached")

    async def refuse_later(*_: object, **__: object) -> NoReturn:
        refuse()

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(anyio, "getaddrinfo", refuse_later)
    monkeypatch.setattr(anyio, "connect_tcp", refuse_later)


def our_client(token: Any = TOKEN) -> MediaClient:
    return MediaClient(token, verify=CONTEXT, retry=EAGER)


@contextmanager
def plain(**options: Any) -> Iterator[Mocked]:
    with respx.mock(**options) as router:
        yield router, our_client()


@contextmanager
def using_httpx(**options: Any) -> Iterator[Mocked]:
    with respx.mock(using="httpx", **options) as router:
        yield router, our_client()


@contextmanager
def mock_transport(**options: Any) -> Iterator[Mocked]:
    router = respx.Router(**options)
    transport = httpx.MockTransport(router.async_handler)
    http = httpx.AsyncClient(transport=transport)
    yield router, MediaClient(TOKEN, http=http, retry=EAGER)


@contextmanager
def made_before(**options: Any) -> Iterator[Mocked]:
    client = our_client()
    with respx.mock(**options) as router:
        yield router, client


@contextmanager
def over_the_users_client(**options: Any) -> Iterator[Mocked]:
    with respx.mock(**options) as router:
        http = httpx.AsyncClient(verify=CONTEXT)
        yield router, MediaClient(TOKEN, http=http, retry=EAGER)


WAYS = [plain, using_httpx, mock_transport, made_before, over_the_users_client]
each_way = pytest.mark.parametrize("mocked", WAYS)
never_online = pytest.mark.usefixtures("offline")


@never_online
@each_way
async def test_upload(mocked: Way) -> None:
    """An upload is mocked by its route, and the whole request can be looked at."""
    with mocked() as (router, client):
        route = router.post(UPLOAD, params={"access_token": TOKEN, "type": "image"})
        route.respond(text='{"type":"image","media_id":"m1","created_at":1}')
        async with client:
            uploaded = await client.upload(JPEG, filename="cat.jpg")

        request = route.calls.last.request
        content = request.content

    assert uploaded.media_id == "m1"
    assert request.headers["content-length"] == str(len(content))
    assert b'name="media"; filename="cat.jpg"' in content
    assert JPEG in content


@never_online
@each_way
async def test_download(mocked: Way, tmp_path: Path) -> None:
    """A download is mocked by its parameters, the token among them."""
    params = {"access_token": TOKEN, "media_id": "ID"}
    with mocked() as (router, client):
        route = router.get(GET, params=params)
        route.respond(content=JPEG, headers=ATTACHED)
        async with client:
            saved = await client.download("ID", tmp_path)

        assert route.call_count == 1

    assert (tmp_path / "ID.jpg").read_bytes() == JPEG
    assert saved.verified


@never_online
@each_way
async def test_ways_to_match(mocked: Way) -> None:
    """A route may be told by the whole URL, its beginning, a pattern or a part."""
    whole_url = f"{GET}?access_token={TOKEN}&media_id="
    with mocked() as (router, client):
        router.get(f"{whole_url}A").respond(content=b"A", headers=ATTACHED)
        router.get(url__startswith=f"{whole_url}B").respond(
            content=b"B", headers=ATTACHED
        )
        router.get(url__regex=f"access_token={TOKEN}&media_id=C").respond(
            content=b"C", headers=ATTACHED
        )
        router.get(path="/cgi-bin/media/get", params={"media_id": "D"}).respond(
            content=b"D", headers=ATTACHED
        )
        router.get(params__contains={"access_token": TOKEN, "media_id": "E"}).respond(
            content=b"E", headers=ATTACHED
        )
        async with client:
            got = [(await client.read(id)).content for id in "ABCDE"]

    assert got == [b"A", b"B", b"C", b"D", b"E"]


@never_online
@each_way
async def test_error(mocked: Way) -> None:
    """An errcode is mocked as the text that it is."""
    with mocked() as (router, client):
        router.get(GET).respond(text=REFUSED)
        async with client:
            with pytest.raises(MediaNotFound) as caught:
                await client.read("ID")

    assert (caught.value.code, caught.value.attempts) == (40007, 1)


@never_online
@each_way
async def test_sequence(mocked: Way) -> None:
    """Replies and exceptions in turn show how we try again."""
    with mocked() as (router, client):
        route = router.post(UPLOAD)
        route.side_effect = [
            httpx.Response(200, json={"errcode": -1, "errmsg": "system error"}),
            httpx.Response(502, html="<html>"),
            httpx.ReadTimeout,
            httpx.Response(200, json=UPLOADED),
        ]
        async with client:
            uploaded = await client.upload(JPEG)

        bodies = [call.request.content for call in route.calls]

    assert uploaded.media_id == "m1"
    assert len(bodies) == 4
    assert len(set(bodies)) == 1


@never_online
@each_way
async def test_always_busy(mocked: Way) -> None:
    """A route that is always busy is given up."""
    with mocked() as (router, client):
        route = router.get(GET)
        route.respond(503)
        async with client:
            with pytest.raises(ServerBusy) as caught:
                await client.read("ID")

        assert route.call_count == 4

    assert caught.value.status == 503


class Slowly(httpx.AsyncByteStream):
    """A body in two pieces, which may be too few."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield JPEG[:1000]
        await anyio.lowlevel.checkpoint()
        yield JPEG[1000:]


def streamed(content_length: int) -> Callable[[httpx.Request], Awaitable[Any]]:
    async def reply(request: httpx.Request) -> httpx.Response:
        await anyio.lowlevel.checkpoint()
        headers = ATTACHED | {"Content-Length": str(content_length)}
        return httpx.Response(200, headers=headers, stream=Slowly())

    return reply


@never_online
@each_way
async def test_streamed_body(mocked: Way) -> None:
    """An async side effect may answer with a stream."""
    with mocked() as (router, client):
        router.get(GET).mock(side_effect=streamed(len(JPEG)))
        async with client, client.stream("ID") as media:
            content = b"".join([chunk async for chunk in media])

    assert content == JPEG


@never_online
@each_way
async def test_body_that_is_cut(mocked: Way, tmp_path: Path) -> None:
    """Fault 4: a mocked body that is too short is Truncated, and never a file."""
    with mocked() as (router, client):
        router.get(GET).mock(side_effect=streamed(len(JPEG) + 1))
        async with client:
            with pytest.raises(Truncated) as caught:
                await client.download("ID", tmp_path)

    assert (caught.value.expected, caught.value.received) == (len(JPEG) + 1, len(JPEG))
    assert list(tmp_path.iterdir()) == []


@never_online
@each_way
async def test_video(mocked: Way) -> None:
    """A video is two routes, the second without any token."""
    link = "http://203.205.137.89/a.mp4?vkey=K"
    with mocked() as (router, client):
        router.get(GET).respond(json={"video_url": link})
        route = router.get(link)
        route.respond(content=JPEG)
        async with client:
            found = await client.read("ID")

        assert dict(route.calls.last.request.url.params) == {"vkey": "K"}

    assert found.content == JPEG


@never_online
@each_way
async def test_token(mocked: Way) -> None:
    """The token's endpoint is mocked like the others."""
    with mocked() as (router, client):
        tokens = router.post(STABLE_TOKEN, json__secret=SECRET)
        tokens.respond(json={"access_token": "fresh", "expires_in": 7200})
        media = router.get(GET, params={"access_token": "fresh", "media_id": "ID"})
        media.respond(content=JPEG, headers=ATTACHED)
        async with client:
            with_secret = client.with_options(token=AppToken("wx1", SECRET))
            found = await with_secret.read("ID")
            await with_secret.read("ID")

        assert (tokens.call_count, media.call_count) == (1, 2)

    assert found.content == JPEG


@never_online
@each_way
async def test_batch(mocked: Way, tmp_path: Path) -> None:
    """A batch goes through the mock as well, all of it."""
    with mocked() as (router, client):
        router.get(GET, params={"media_id": "gone"}).respond(text=REFUSED)
        router.get(GET).respond(content=JPEG, headers=ATTACHED)
        async with client:
            ids = ["a", "gone", *(f"id{n}" for n in range(30))]
            async with client.download_many(ids, tmp_path) as outcomes:
                failed = [outcome.item async for outcome in outcomes if not outcome.ok]

    assert failed == ["gone"]
    assert len(list(tmp_path.iterdir())) == 31


@never_online
@each_way
async def test_missed(mocked: Way) -> None:
    """What nobody has mocked fails the test, and never reaches the network."""
    with mocked(assert_all_called=False) as (router, client):
        router.get(GET, params={"media_id": "another"}).respond(content=JPEG)
        async with client:
            with pytest.raises(AssertionError, match="not mocked"):
                await client.read("ID")


@never_online
async def test_fixture(respx_mock: respx.MockRouter) -> None:
    """The fixture that comes with respx does as well."""
    respx_mock.get(GET).respond(content=JPEG, headers=ATTACHED)

    async with our_client() as client:
        found = await client.read("ID")

    assert found.content == JPEG


@never_online
async def test_httpx_mock_upload(httpx_mock: HTTPXMock) -> None:
    """pytest-httpx mocks an upload, and shows all of its request."""
    httpx_mock.add_response(
        method="POST",
        url=UPLOAD,
        match_params={"access_token": TOKEN, "type": "image"},
        json=UPLOADED,
    )

    async with our_client() as client:
        uploaded = await client.upload(JPEG, filename="cat.jpg")

    [request] = httpx_mock.get_requests()
    assert uploaded.media_id == "m1"
    assert JPEG in request.content


@never_online
async def test_httpx_mock_download(httpx_mock: HTTPXMock, tmp_path: Path) -> None:
    """pytest-httpx mocks a download by its URL, or by a pattern of it."""
    params = f"access_token={TOKEN}&media_id="
    headers = ATTACHED
    httpx_mock.add_response(url=f"{GET}?{params}A", content=JPEG, headers=headers)
    pattern = re.compile(re.escape(f"{GET}?{params}B"))
    httpx_mock.add_response(url=pattern, content=JPEG, headers=headers)

    async with our_client() as client:
        await client.download("A", tmp_path)
        await client.download("B", tmp_path)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["A.jpg", "B.jpg"]


@never_online
async def test_httpx_mock_errors(httpx_mock: HTTPXMock) -> None:
    """pytest-httpx mocks errcodes, statuses and exceptions, in turn."""
    httpx_mock.add_response(status_code=502)
    httpx_mock.add_exception(httpx.ReadError("reset"))
    httpx_mock.add_response(text=REFUSED)

    async with our_client() as client:
        with pytest.raises(MediaNotFound) as caught:
            await client.read("ID")

    assert caught.value.attempts == 3


@never_online
async def test_httpx_mock_token(httpx_mock: HTTPXMock) -> None:
    """pytest-httpx mocks the token's endpoint as well."""
    token = {"access_token": "fresh", "expires_in": 7200}
    httpx_mock.add_response(url=STABLE_TOKEN, json=token)
    params = {"access_token": "fresh", "media_id": "ID"}
    httpx_mock.add_response(
        url=GET, match_params=params, content=JPEG, headers=ATTACHED
    )

    async with our_client(AppToken("wx1", SECRET)) as client:
        found = await client.read("ID")

    assert found.content == JPEG


@never_online
@pytest.mark.httpx_mock(assert_all_requests_were_expected=False)
async def test_httpx_mock_missed(httpx_mock: HTTPXMock) -> None:
    """What pytest-httpx was not told of fails, and never reaches the network."""
    async with our_client() as client:
        with pytest.raises(TransferTimeout, match="No response can be found") as caught:
            await client.read("ID")

    assert len(httpx_mock.get_requests()) == 4
    assert TOKEN not in f"{caught.value} {caught.value.__cause__!r}"


async def test_mock_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mock that begins after a client's first transfer sees the next, and no other."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(always(whole(b"real"))) as server:
        async with client_to(server) as client:
            got = [(await client.read("ID")).content]
            with respx.mock:
                respx.get(f"{server.url}/cgi-bin/media/get").respond(
                    content=b"mocked", headers=ATTACHED
                )
                got.append((await client.read("ID")).content)
            got.append((await client.read("ID")).content)

    assert got == [b"real", b"mocked", b"real"]
    assert len(server.requests) == 2


async def test_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that passes through reaches the server, with the real token."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(always(whole())) as server, respx.mock:
        respx.route(host="127.0.0.1").pass_through()
        async with client_to(server) as client:
            found = await client.read("ID")

    assert found.content == JPEG
    assert f"access_token={TOKEN}&" in server.requests[0].target
