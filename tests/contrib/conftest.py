from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest
import uvicorn
from aiohttp import BodyPartReader, web
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from tests.contrib.browsing import MIB, Browser, Options, options_of
from tests.fakes import EAGER
from wxmedia_async import OFFICIAL_ACCOUNT, MediaClient, MediaError
from wxmedia_async.contrib.aiohttp import error_middleware, media_response
from wxmedia_async.contrib.starlette import MediaResponse, error_handler
from wxmedia_async.simulator import Simulator


@attrs.define(eq=False)
class Service:
    """
    An application on a real server, in a thread, and what stands behind it.

    Attributes:
        simulator: Of WeChat, for this test.

        client: The application's, on the server's event loop.

        portal: To that loop.
    """

    url: str
    portal: BlockingPortal
    simulator: Simulator
    client: MediaClient

    def browser(self) -> Browser:
        """Open a connection of a browser's."""
        return Browser(self.url)

    def wired(self, simulator: Simulator, **options: Any) -> MediaClient:
        """Let the application use a client of *simulator* from now on."""
        options.setdefault("retry", EAGER)
        self.simulator = simulator
        self.client = self.portal.call(lambda: simulator.client(**options))
        return self.client

    def media_calls(self) -> int:
        """Calls of WeChat for media, so far."""
        return sum("/media/get" in seen.path for seen in self.simulator.requests)


Clients = Callable[[], MediaClient]


def fastapi_app(client: Clients) -> FastAPI:
    app = FastAPI()
    app.add_exception_handler(MediaError, error_handler)

    async def media(media_id: str, request: Request) -> Response:
        options = options_of(request.query_params)
        return MediaResponse(client(), media_id, **options)

    async def raw(request: Request) -> str:
        size = int(request.headers["content-length"])
        uploaded = await client().upload(
            request.stream(), "file", filename="raw.bin", size=size
        )
        return uploaded.media_id

    async def form(file: UploadFile) -> str:
        return (await client().upload(file, "file")).media_id

    app.add_api_route("/media/{media_id}", media, methods=["GET", "HEAD"])
    app.add_api_route("/raw", raw, methods=["POST"])
    for path in ("/form", "/part"):
        app.add_api_route(path, form, methods=["POST"])
    return app


def aiohttp_app(client: Clients) -> web.Application:
    async def media(request: web.Request) -> web.StreamResponse:
        options: Options = options_of(request.query)
        media_id = request.match_info["media_id"]
        return await media_response(request, client(), media_id, **options)

    async def raw(request: web.Request) -> web.Response:
        uploaded = await client().upload(
            request.content, "file", filename="raw.bin", size=request.content_length
        )
        return web.json_response(uploaded.media_id)

    async def form(request: web.Request) -> web.Response:
        file = (await request.post())["file"]
        assert isinstance(file, web.FileField)
        # Understood as it is, though the type of sources does not say so.
        uploaded = await client().upload(file, "file")  # type: ignore[arg-type]
        return web.json_response(uploaded.media_id)

    async def part(request: web.Request) -> web.Response:
        found = await (await request.multipart()).next()
        assert isinstance(found, BodyPartReader)
        chunks = iter_chunks(found)
        uploaded = await client().upload(chunks, "file", filename=found.filename)
        return web.json_response(uploaded.media_id)

    # Of what `Request.post` reads; the other two ways know no such bound.
    app = web.Application(middlewares=[error_middleware], client_max_size=16 * MIB)
    app.router.add_get("/media/{media_id}", media)
    app.router.add_post("/raw", raw)
    app.router.add_post("/form", form)
    app.router.add_post("/part", part)
    return app


async def iter_chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk():
        yield chunk


@asynccontextmanager
async def uvicorn_of(app: Any) -> AsyncGenerator[str]:
    """Serve *app* with uvicorn, whose log is to be seen."""
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        # uvicorn has no other way of saying that it listens.
        while not server.started:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True


@asynccontextmanager
async def aiohttp_of(app: web.Application) -> AsyncGenerator[str]:
    """Serve *app* with aiohttp's own server."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def served(name: str, client: Clients) -> AbstractAsyncContextManager[str]:
    if name == "aiohttp":
        return aiohttp_of(aiohttp_app(client))
    return uvicorn_of(fastapi_app(client))


@pytest.fixture(params=["starlette", "aiohttp"], scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[Service]]]:
    """One server for all tests of a module; the last service is the one in use."""
    services: list[Service] = []
    with start_blocking_portal() as portal:
        running = served(request.param, lambda: services[-1].client)
        with portal.wrap_async_context_manager(running) as url:
            simulator = Simulator()
            client = portal.call(simulator.client)
            services.append(Service(url, portal, simulator, client))
            yield url, services
            portal.call(client.aclose)


@pytest.fixture
def service(server: tuple[str, list[Service]]) -> Iterator[Service]:
    """A simulator and a client of this test's, behind a server of all tests."""
    url, services = server
    simulator = Simulator(attrs.evolve(OFFICIAL_ACCOUNT, limits={}))
    service = Service(url, services[0].portal, simulator, services[0].client)
    client = service.wired(simulator)
    services.append(service)
    yield service
    service.portal.call(client.aclose)
    service.simulator.close()
    simulator.close()
