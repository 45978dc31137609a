from __future__ import annotations

import contextvars
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest

from tests.simulator.calling import PICTURE, in_process
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator._inprocess import App, InProcess
from wxmedia_async.simulator._requests import Message, Receive, Scope, Send

START: Message = {"type": "http.response.start", "status": 200, "headers": []}


def piece(content: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def client_of(app: App, timeout: float = 30.0) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=InProcess(app), base_url="http://app.test", timeout=timeout
    )


async def counted(pulled: list[int], count: int = 10) -> AsyncIterator[bytes]:
    """A body of single bytes that tells which were pulled."""
    for place in range(count):
        pulled.append(place)
        await anyio.lowlevel.checkpoint()
        yield b"x"


async def test_a_request_body_is_pulled_as_it_is_read() -> None:
    """No chunk of a request is asked for before the application wants it."""
    pulled: list[int] = []
    ahead: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for count in range(1, 6):
            await receive()
            ahead.append(len(pulled) - count)
        await send(START)
        await send(piece(b"", more=False))

    async with client_of(app) as http:
        await http.post("/", content=counted(pulled))

    assert ahead == [0] * 5
    assert len(pulled) == 5


async def test_a_request_body_ends() -> None:
    """The application sees all chunks, and then that there are no more."""
    seen: list[tuple[bytes, bool]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            seen.append((message["body"], more))
        await send(START)
        await send(piece(b"", more=False))

    async with client_of(app) as http:
        await http.post("/", content=counted([], 2))

    assert seen == [(b"x", True), (b"x", True), (b"", False)]


async def test_a_response_comes_as_it_is_made() -> None:
    """A chunk arrives before the application has made the next."""
    made: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        for count in range(3):
            made.append(count)
            await send(piece(b"%d" % count))
            await anyio.lowlevel.checkpoint()
        await send(piece(b"", more=False))

    async with client_of(app) as http, http.stream("GET", "/") as reply:
        assert made == []
        seen = [(chunk, len(made)) async for chunk in reply.aiter_raw()]

    assert seen == [(b"0", 1), (b"1", 2), (b"2", 3)]


async def test_what_the_application_is_told() -> None:
    """The application gets the request in ASGI's words."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await send({**START, "status": 207, "headers": [(b"x-a", b"1")]})
        await send(piece(b"", more=False))

    async with client_of(app) as http:
        reply = await http.put("/a%20b?q=1", headers={"X-Upper": "V"})

    (scope,) = scopes
    assert (scope["method"], scope["scheme"]) == ("PUT", "http")
    assert (scope["path"], scope["raw_path"]) == ("/a b", b"/a%20b")
    assert scope["query_string"] == b"q=1"
    assert (b"x-upper", b"V") in scope["headers"]
    assert (reply.status_code, reply.headers["x-a"]) == (207, "1")


class ApplicationError(Exception):
    pass


@pytest.mark.parametrize("after_the_head", [False, True])
async def test_exceptions_of_the_application_pass(after_the_head: bool) -> None:
    """What the application raises comes out at the caller."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if after_the_head:
            await send(START)
        raise ApplicationError

    async with client_of(app) as http:
        with pytest.raises(ApplicationError):
            await http.get("/")


async def test_an_application_without_an_answer() -> None:
    """An application that ends without an answer is a server that went away."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    async with client_of(app) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected"):
            await http.get("/")


async def test_an_answer_that_is_too_short() -> None:
    """Less than the Content-Length is a body that was cut."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "headers": [(b"content-length", b"10")]})
        await send(piece(b"123", more=False))

    async with client_of(app) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed"):
            await http.get("/")


async def test_a_body_is_read_once() -> None:
    """A reply that was closed cannot be read on."""
    simulator = Simulator()
    async with in_process(simulator) as http:
        request = http.build_request("GET", "/")
        reply = await http.send(request, stream=True)
        await reply.aclose()

        assert isinstance(reply.stream, httpx.AsyncByteStream)
        with pytest.raises(httpx.StreamClosed):
            await anext(aiter(reply.stream))


def free(simulator: Simulator) -> bool:
    return simulator._in_flight.now == 0


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator()
    simulator.open_access = True
    return simulator


async def test_an_early_close_ends_the_application(simulator: Simulator) -> None:
    """Whoever leaves a reply early leaves nothing running."""
    url = f"/cgi-bin/media/get?media_id={simulator.put(PICTURE * 100)}"
    async with in_process(simulator) as http:
        async with http.stream("GET", url):
            assert not free(simulator)

        assert free(simulator)


async def test_cancelling_a_download_ends_the_application(
    simulator: Simulator,
) -> None:
    """A download that is cancelled within its body leaves nothing running."""
    simulator.fail(1, "slow")
    url = f"/cgi-bin/media/get?media_id={simulator.put(PICTURE)}"
    async with in_process(simulator) as http:
        with anyio.CancelScope() as scope:
            async with http.stream("GET", url) as reply:
                async for _ in reply.aiter_raw():
                    scope.cancel()

    assert scope.cancelled_caught
    assert free(simulator)


async def test_cancelling_an_upload_ends_the_application(simulator: Simulator) -> None:
    """An upload that is cancelled within its body leaves nothing, its body closed."""
    closed: list[bool] = []

    async def body() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            scope.cancel()
            await anyio.sleep_forever()
        finally:
            closed.append(True)

    async with in_process(simulator) as http:
        with anyio.CancelScope() as scope:
            await http.post(
                "/cgi-bin/media/upload?type=image",
                content=body(),
                headers={"content-length": "100"},
            )

    assert scope.cancelled_caught
    assert free(simulator)
    assert closed
    assert not simulator.media


async def test_a_body_that_raises_ends_the_application(simulator: Simulator) -> None:
    """An upload whose source raises fails with that error, and leaves nothing."""

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        raise ApplicationError

    async with in_process(simulator) as http:
        with pytest.raises(ApplicationError):
            await http.post(
                "/cgi-bin/media/upload?type=image",
                content=body(),
                headers={"content-length": "100"},
            )

    assert free(simulator)
    assert not simulator.media


@attrs.define(eq=False)
class Source(httpx.AsyncByteStream):
    """A body that knows whether it was closed."""

    closed: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            self.closed = True


async def test_a_body_that_is_not_read_to_its_end_is_closed() -> None:
    """What the application has not read of a request's body is closed."""
    source = Source()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        await send(piece(b"", more=False))

    async with client_of(app) as http:
        await http.send(httpx.Request("POST", "http://app.test", stream=source))

    assert source.closed


async def test_nothing_comes_after_a_body_has_ended() -> None:
    """Whoever waits for the client to go away waits until it does."""
    waited: list[bool] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await receive()
        try:
            await receive()
        finally:
            waited.append(True)

    async with client_of(app, timeout=0.05) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/", content=b"x")

    assert waited == [True]


async def test_a_slow_source_is_no_slow_server() -> None:
    """The read timeout counts from the moment when all has been sent."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            await anyio.sleep(0.1)
            yield b"x"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await send(START)
        await send(piece(b"", more=False))

    async with client_of(app, timeout=0.05) as http:
        reply = await http.post("/", content=body())

    assert reply.status_code == 200


async def test_without_a_timeout(simulator: Simulator) -> None:
    """Without a timeout it waits for as long as it takes."""
    async with in_process(simulator) as http:
        http.timeout = httpx.Timeout(None)
        reply = await http.post("/cgi-bin/media/upload?type=image", content=b"x")

    assert reply.json()["errcode"] == 41005


async def test_the_application_runs_in_the_callers_task() -> None:
    """What the caller has put into its context is there for the application."""
    variable = contextvars.ContextVar("variable", default="nothing")
    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(variable.get())
        await send(START)
        await send(piece(b"", more=False))

    variable.set("something")
    async with client_of(app) as http:
        await http.get("/")

    assert seen == ["something"]


async def test_many_at_once(simulator: Simulator) -> None:
    """Exchanges that take turns do not mix."""
    ids = [simulator.put(b"%d" % number * 1000) for number in range(50)]
    received: dict[str, bytes] = {}

    async def get(http: httpx.AsyncClient, media_id: str) -> None:
        reply = await http.get(f"/cgi-bin/media/get?media_id={media_id}")
        received[media_id] = reply.content

    async with in_process(simulator) as http, anyio.create_task_group() as group:
        for media_id in ids:
            group.start_soon(get, http, media_id)

    assert [received[media_id] for media_id in ids] == [
        b"%d" % number * 1000 for number in range(50)
    ]
    assert free(simulator)


async def test_a_lifespan_closes_the_simulator(simulator: Simulator) -> None:
    """A server that starts and stops the simulator is answered, and stops it."""
    simulator.put(PICTURE)
    asked = iter(["lifespan.startup", "lifespan.shutdown"])
    answered: list[str] = []

    async def receive() -> Message:
        return {"type": next(asked)}

    async def send(message: Message) -> None:
        answered.append(message["type"])

    await simulator({"type": "lifespan"}, receive, send)

    assert answered == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert not simulator.media
