"""What is Starlette's own: middlewares, headers, and servers that say little."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio
import attrs
import httpx
import pytest
from anyio.from_thread import start_blocking_portal
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Scope

from tests.contrib.browsing import JPEG, MIB, Browser, get, long_jpeg
from tests.contrib.conftest import uvicorn_of
from tests.fakes import EAGER, FakeWeChat, Pieces, client_of, media
from wxmedia_async import OFFICIAL_ACCOUNT, MediaClient, MediaError, MediaNotFound
from wxmedia_async.contrib.starlette import MediaResponse, error_handler
from wxmedia_async.simulator import Simulator

SCOPE: Scope = {"type": "http", "method": "GET", "http_version": "1.1", "headers": []}


@attrs.define(eq=False)
class Server:
    """An ASGI server of few words: nothing of it is bound to a connection."""

    sent: list[Message] = attrs.Factory(list)
    left: anyio.Event = attrs.Factory(anyio.Event)
    fails: OSError | None = None
    gate: anyio.Event | None = None
    waits: Callable[[Message], object] = bool
    waiting: bool = False

    async def receive(self) -> Message:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        if self.fails is not None and self.sent:
            raise self.fails
        if self.gate is not None and self.waits(message):
            self.waiting = True
            await self.gate.wait()
        self.sent.append(message)

    async def call(self, app: ASGIApp) -> None:
        await app(SCOPE, self.receive, self.send)

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def ended(self) -> bool:
        return self.sent[-1].get("more_body") is False


def simulator_of() -> Simulator:
    return Simulator(attrs.evolve(OFFICIAL_ACCOUNT, limits={}))


@pytest.mark.parametrize("size", [len(JPEG), 3 * MIB])
async def test_every_event_loop(size: int) -> None:
    """A response is sent on asyncio, uvloop and trio, and its end is told."""
    server, content = Server(), long_jpeg(size)
    simulator = simulator_of()
    media_id = simulator.put(content)

    async with simulator.client() as client:
        await server.call(MediaResponse(client, media_id))

    assert server.sent[0]["status"] == 200
    assert server.body == content
    assert server.ended
    simulator.close()


async def test_error_before_the_head() -> None:
    """A failure is raised as itself, in no group, while nothing has been sent."""
    server = Server()

    async with simulator_of().client() as client:
        with pytest.raises(MediaNotFound) as caught:
            await server.call(MediaResponse(client, "wrong"))

    assert server.sent == []
    assert caught.value.__context__ is None


async def test_end_that_cannot_be_seen() -> None:
    """What breaks off and has no length is an error, lest it be taken for whole."""
    reply = media(b"", Content_Length="")
    del reply.headers["Content-Length"]
    reply.stream = Pieces(long_jpeg(3 * MIB), 64 * 1024, httpx.ReadError("broken"))
    server, service = Server(), FakeWeChat(answers=[reply])

    async with client_of(service) as client:
        with pytest.raises(Exception, match="a media broke off"):
            await server.call(MediaResponse(client, "ID"))

    assert len(server.body) == 3 * MIB
    assert service.in_flight == 0


async def test_unfinished_where_the_server_cannot_be_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What breaks off is left unfinished, which every server takes for a failure."""
    server, simulator = Server(), simulator_of()
    media_id = simulator.put(long_jpeg(4 * MIB))
    simulator.fail(1, "truncate")

    async with simulator.client(max_concurrency=1) as client:
        await server.call(MediaResponse(client, media_id))
        again = await client.read(media_id)

    assert not server.ended
    assert 0 < len(server.body) < 4 * MIB == len(again.content)
    assert [record.name for record in caplog.records if record.levelno > 20] == [
        "wxmedia_async"
    ]
    simulator.close()


@pytest.mark.parametrize("size", [len(JPEG), 3 * MIB])
async def test_server_that_raises_when_the_browser_left(size: int) -> None:
    """A server may say by an OSError that the browser is gone: that is no failure."""
    server, simulator = Server(fails=OSError("gone")), simulator_of()
    media_id = simulator.put(long_jpeg(size))

    async with simulator.client(max_concurrency=1) as client:
        await server.call(MediaResponse(client, media_id))
        again = await client.read(media_id)

    assert len(again.content) == size
    assert server.body == b""
    simulator.close()


@pytest.mark.parametrize(
    ("size", "waits"),
    [
        (len(JPEG), lambda message: message["type"] == "http.response.start"),
        (len(JPEG), lambda message: message.get("body")),
        (3 * MIB, lambda message: message.get("more_body") is False),
    ],
    ids=["at the head", "at all of it", "at the end"],
)
async def test_slow_browser_holds_no_slot(
    size: int, waits: Callable[[Message], object]
) -> None:
    """Once all is here, the slot is free, however long the browser takes."""
    server, simulator = Server(gate=anyio.Event(), waits=waits), simulator_of()
    media_id = simulator.put(long_jpeg(size))

    async with simulator.client(max_concurrency=1) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.call, MediaResponse(client, media_id))
            while not server.waiting:
                await anyio.lowlevel.checkpoint()
            with anyio.fail_after(5):
                again = await client.read(media_id)
            server.left.set()

    assert len(again.content) == size
    simulator.close()


@pytest.mark.parametrize(
    "waits",
    [
        lambda message: message["type"] == "http.response.start",
        lambda message: message.get("body"),
    ],
    ids=["at the head", "in the middle"],
)
async def test_slow_browser_is_cut_off(
    waits: Callable[[Message], object], caplog: pytest.LogCaptureFixture
) -> None:
    """While there is more to come, a browser may take nothing for so long only."""
    server, simulator = Server(gate=anyio.Event(), waits=waits), simulator_of()
    media_id = simulator.put(long_jpeg(3 * MIB))

    async with simulator.client(max_concurrency=1) as client:
        with anyio.fail_after(5):
            await server.call(MediaResponse(client, media_id, reader_timeout=0.01))
            again = await client.read(media_id)

    assert len(again.content) == 3 * MIB
    assert not server.sent or not server.ended
    assert "took nothing for 0.01 s" in caplog.text
    simulator.close()


async def test_browser_that_leaves_while_wechat_is_slow() -> None:
    """The slot is free as soon as the browser is gone, though WeChat says nothing."""
    server, service = Server(), FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, max_concurrency=1) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.call, MediaResponse(client, "ID"))
            await anyio.wait_all_tasks_blocked()
            server.left.set()
            with anyio.fail_after(5):
                while service.in_flight:
                    await anyio.lowlevel.checkpoint()
        service.gate = None
        again = await client.read("ID")

    assert server.sent == []
    assert again.content == JPEG


async def test_cancelled() -> None:
    """A response that is cancelled gives its slot back."""
    server, service = Server(), FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, max_concurrency=1) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.call, MediaResponse(client, "ID"))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

        assert service.in_flight == 0


async def test_headers_and_cookies_of_the_application() -> None:
    """What the application sets on the response counts before what we set."""
    server, service = Server(), FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        response = MediaResponse(client, "ID")
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Extra"] = "1"
        response.set_cookie("seen", "1")
        await server.call(response)

    headers = httpx.Headers(server.sent[0]["headers"])
    assert headers.get_list("cache-control") == ["no-store"]
    assert headers["x-extra"] == "1"
    assert headers["set-cookie"].startswith("seen=1")
    assert headers["content-type"] == "image/jpeg"


async def test_background() -> None:
    """A background task runs after the response."""
    server, service = Server(), FakeWeChat({"ID": JPEG})
    done: list[bytes] = []

    async with client_of(service) as client:
        response = MediaResponse(client, "ID")
        response.background = BackgroundTask(lambda: done.append(server.body))
        await server.call(response)

    assert done == [JPEG]


async def passed_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
    response = await call_next(request)
    response.headers["X-Passed"] = "1"
    return response


def app_of(client: MediaClient) -> Starlette:
    async def media(request: Request) -> Response:
        return MediaResponse(client, request.path_params["media_id"])

    return Starlette(
        routes=[Route("/media/{media_id}", media)],
        exception_handlers={MediaError: error_handler},
    )


def passing_app(client: MediaClient) -> Starlette:
    app = app_of(client)
    app.add_middleware(BaseHTTPMiddleware, dispatch=passed_on)
    return app


def test_behind_a_middleware(caplog: pytest.LogCaptureFixture) -> None:
    """Behind a middleware that takes the request apart, all is as it was."""
    simulator = simulator_of()
    long, short = simulator.put(long_jpeg(24 * MIB)), simulator.put(JPEG)

    with start_blocking_portal() as portal:
        client = portal.call(lambda: simulator.client(max_concurrency=1, retry=EAGER))
        with portal.wrap_async_context_manager(uvicorn_of(passing_app(client))) as url:
            with Browser(url) as browser:
                browser.ask(f"/media/{long}")
                assert browser.take(200).startswith(b"HTTP/1.1 200")
            shown, missing = get(f"{url}/media/{short}"), get(f"{url}/media/wrong")
        portal.call(client.aclose)

    assert (shown.content, shown.headers["x-passed"]) == (JPEG, "1")
    assert missing.status_code == 404
    assert [record for record in caplog.records if record.levelno > 20] == []
    simulator.close()


def test_client_that_is_closed_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    """A service that ends cuts off who is still reading, in one line of its log."""
    simulator = simulator_of()
    media_id = simulator.put(long_jpeg(24 * MIB))

    with start_blocking_portal() as portal:
        client = portal.call(simulator.client)
        with portal.wrap_async_context_manager(uvicorn_of(app_of(client))) as url:
            with Browser(url) as browser:
                browser.ask(f"/media/{media_id}")
                browser.take(12)
                portal.call(client.aclose)
                rest = browser.take_all()

    assert len(rest) < 24 * MIB
    logged = [record for record in caplog.records if record.levelno > 20]
    assert [record.name for record in logged] == ["wxmedia_async"]
    assert logged[0].levelno == logging.WARNING
    simulator.close()
