from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest
import uvicorn
from aiohttp import web
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from tests.contrib.browsing import Browser, Options, options_of
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

    app.add_api_route("/media/{media_id}", media, methods=["GET", "HEAD"])
    return app


def aiohttp_app(client: Clients) -> web.Application:
    async def media(request: web.Request) -> web.StreamResponse:
        options: Options = options_of(request.query)
        media_id = request.match_info["media_id"]
        return await media_response(request, client(), media_id, **options)

    app = web.Application(middlewares=[error_middleware])
    app.router.add_get("/media/{media_id}", media)
    return app


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
