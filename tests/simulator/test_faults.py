from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.lowlevel
import httpx
import pytest

from tests.simulator.calling import PICTURE, download, in_process, upload
from wxmedia_async import WECOM
from wxmedia_async.simulator import Fault, Simulator
from wxmedia_async.simulator._faults import Call
from wxmedia_async.simulator.serve import serve

Way = Callable[[Simulator], AbstractAsyncContextManager[httpx.AsyncClient]]
Send = Callable[[httpx.AsyncClient], Coroutine[None, None, httpx.Response]]


@asynccontextmanager
async def over_a_port(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(simulator) as url, httpx.AsyncClient(base_url=url) as http:
        yield http


@pytest.fixture(params=[in_process, over_a_port])
def way(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


@pytest.fixture
def simulator() -> Simulator:
    simulator = Simulator()
    # So that a call is just one request.
    simulator.open_access = True
    return simulator


def call_of(simulator: Simulator, on: Call) -> Send:
    """Return what makes a call of that kind."""
    media_id = simulator.put(PICTURE)
    calls: dict[Call, Send] = {
        "upload": lambda http: upload(http, token=None),
        "download": lambda http: download(http, media_id, token=None),
        "token": lambda http: http.get("/cgi-bin/token?appid=a&secret=s"),
    }
    return calls[on]


every_call = pytest.mark.parametrize("on", ["upload", "download", "token"])


# On trio, httpx leaves the generator of a multipart body to the collector where a
# write fails.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@every_call
async def test_resets(simulator: Simulator, way: Way, on: Call) -> None:
    """A reset is an error of the connection; the next call is well."""
    simulator.fail(1, "reset", on)
    call = call_of(simulator, on)
    async with way(simulator) as http:
        # Which of them it is depends on who is faster.
        with pytest.raises(
            (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
        ):
            await call(http)

        again = await call(http)

    assert again.status_code == 200


@every_call
async def test_truncated_replies(simulator: Simulator, way: Way, on: Call) -> None:
    """A truncated reply is announced whole, and ends in the middle."""
    simulator.fail(1, "truncate", on)
    call = call_of(simulator, on)
    async with way(simulator) as http:
        with pytest.raises(httpx.RemoteProtocolError, match="peer closed connection"):
            await call(http)

        again = await call(http)

    assert again.status_code == 200


async def test_a_truncated_media_is_half_of_it(simulator: Simulator, way: Way) -> None:
    """Half of a truncated media arrives, and the head tells how long it is."""
    simulator.fail(1, "truncate")
    content = PICTURE * 100
    media_id = simulator.put(content)
    received = bytearray()

    async def read(reply: httpx.Response) -> None:
        async for chunk in reply.aiter_raw():
            received.extend(chunk)

    async with way(simulator) as http:
        url = f"/cgi-bin/media/get?media_id={media_id}"
        async with http.stream("GET", url) as reply:
            with pytest.raises(httpx.RemoteProtocolError):
                await read(reply)

    assert reply.headers["content-length"] == str(len(content))
    assert received == content[: len(content) // 2]


@every_call
async def test_stalled_replies(simulator: Simulator, way: Way, on: Call) -> None:
    """Of a stalled reply nothing comes; the next call is well."""
    simulator.fail(1, "stall", on)
    call = call_of(simulator, on)
    async with way(simulator) as http:
        http.timeout = httpx.Timeout(30, read=0.1)
        with pytest.raises(httpx.ReadTimeout):
            await call(http)
        http.timeout = httpx.Timeout(30)

        again = await call(http)

    assert again.status_code == 200


@every_call
async def test_slow_replies(simulator: Simulator, way: Way, on: Call) -> None:
    """A slow reply comes byte by byte, from its head on."""
    simulator.fail(1, "slow", on)
    received: list[bytes] = []
    async with way(simulator) as http:
        request = await _request_of(http, call_of(simulator, on))
        reply = await http.send(request, stream=True)
        with anyio.CancelScope() as scope:
            async for chunk in reply.aiter_raw():
                received.append(chunk)
                if len(received) == 3:
                    scope.cancel()
        await reply.aclose()

    assert [len(chunk) for chunk in received] == [1, 1, 1]
    assert int(reply.headers["content-length"]) > 3


async def test_a_slow_media_comes_whole_in_the_end(simulator: Simulator) -> None:
    """A slow reply that is waited for is like any other."""
    simulator.fail(1, "slow")
    media_id = simulator.put(b"abc")
    async with in_process(simulator) as http:
        reply = await download(http, media_id, token=None)

    assert reply.content == b"abc"


@pytest.mark.parametrize(("method", "content"), [("HEAD", PICTURE), ("GET", b"")])
async def test_nothing_to_truncate(
    simulator: Simulator, method: str, content: bytes
) -> None:
    """Where there is no body to be cut, the head comes and that is all."""
    simulator.fail(1, "truncate")
    media_id = simulator.put(content)
    async with in_process(simulator) as http:
        reply = await download(http, media_id, token=None, method=method)

    assert reply.headers["content-length"] == str(len(content))
    assert reply.content == b""


async def _request_of(http: httpx.AsyncClient, call: Send) -> httpx.Request:
    """Return the request that a call would send."""
    built: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        built.append(request)
        return httpx.Response(200)

    transport = httpx.MockTransport(answer)
    async with httpx.AsyncClient(transport=transport, base_url=http.base_url) as fake:
        await call(fake)
    return built[0]


@every_call
@pytest.mark.parametrize("status", [502, 429])
async def test_statuses(simulator: Simulator, on: Call, status: int) -> None:
    """An HTTP status comes with a page of HTML, as from a gateway."""
    simulator.fail(1, status, on)
    call = call_of(simulator, on)
    async with in_process(simulator) as http:
        failed = await call(http)
        again = await call(http)

    assert failed.status_code == status
    assert "<html>" in failed.text
    assert again.status_code == 200


@every_call
@pytest.mark.parametrize("code", [-1, 40001, 45009, 999_999])
async def test_errcodes(simulator: Simulator, on: Call, code: int) -> None:
    """An errcode comes as errors do, and nothing is stored or given out."""
    call = call_of(simulator, on)
    simulator.fail(1, code, on)
    async with in_process(simulator) as http:
        failed = await call(http)

        assert failed.json()["errcode"] == code
        assert len(simulator.media) == 1
        assert simulator.token_fetches == 0

        again = await call(http)

    assert again.status_code == 200
    assert again.content == PICTURE or again.json().get("errcode", 0) == 0


async def test_a_refused_upload_is_read(simulator: Simulator) -> None:
    """A refused upload is read to its end, so that the answer is not lost."""
    simulator.fail(1, 45009, "upload")
    pulled: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        for count in range(10):
            pulled.append(count)
            yield b"x"

    async with in_process(simulator) as http:
        reply = await http.post(
            "/cgi-bin/media/upload", content=body(), headers={"content-length": "10"}
        )

    assert reply.json()["errcode"] == 45009
    assert len(pulled) == 10


async def test_faults_are_for_their_calls(simulator: Simulator) -> None:
    """Faults come as many times as was said, in order, on their kind of call."""
    simulator.fail(2, 500, on="download")
    simulator.fail(1, 501)
    simulator.fail(1, 502, on="upload")
    statuses = []
    async with in_process(simulator) as http:
        for on in ["download", "upload", "token", "download", "download", "download"]:
            reply = await call_of(simulator, on)(http)  # type: ignore[arg-type]
            statuses.append(reply.status_code)

    assert statuses == [500, 502, 200, 500, 501, 200]


@pytest.mark.parametrize(
    ("fault", "status"), [(502, 502), (40007, 503), (None, 200)], ids=str
)
async def test_links_know_no_errcode(
    simulator: Simulator, fault: Fault | None, status: int
) -> None:
    """Where a video_url leads, a fault is a status, as errcodes are not known there."""
    video = simulator.put(b"mp4", "video", "a.mp4")
    async with in_process(simulator) as http:
        link = (await download(http, video, token=None)).json()["video_url"]
        if fault is not None:
            simulator.fail(1, fault)
        reply = await http.get(link)

    assert reply.status_code == status


@pytest.mark.parametrize("fault", ["reset", "truncate"])
async def test_links_break(simulator: Simulator, way: Way, fault: Fault) -> None:
    """The reply behind a video_url breaks like any other."""
    video = simulator.put(PICTURE, "video", "a.mp4")
    async with way(simulator) as http:
        link = (await download(http, video, token=None)).json()["video_url"]
        simulator.fail(1, fault)
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await http.get(link)

        again = await http.get(link)

    assert again.content == PICTURE


def test_unknown_faults(simulator: Simulator) -> None:
    """A fault or a call that does not exist is a mistake of the test's."""
    with pytest.raises(ValueError, match="reset"):
        simulator.fail(1, "explode")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="upload"):
        simulator.fail(1, 500, on="sideways")  # type: ignore[arg-type]


@pytest.mark.parametrize(("wecom", "code"), [(False, -1), (True, 45033)])
async def test_capacity(wecom: bool, code: int) -> None:
    """Calls above the capacity are refused, those within it are not."""
    simulator = Simulator(WECOM) if wecom else Simulator()
    simulator.open_access, simulator.capacity = True, 1
    url = f"/cgi-bin/media/get?media_id={simulator.put(PICTURE)}"
    async with in_process(simulator) as http:
        async with http.stream("GET", url) as first:
            refused = await http.get(url)
            received = await first.aread()
        alone = await http.get(url)

    assert refused.json()["errcode"] == code
    assert (received, alone.content) == (PICTURE, PICTURE)


@pytest.mark.parametrize("on", ["upload", "download"])
async def test_latency(simulator: Simulator, on: Call) -> None:
    """With latency, media calls take longer, and run at the same time."""
    simulator.latency = 0.05
    call = call_of(simulator, on)
    began = anyio.current_time()
    async with in_process(simulator) as http, anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(call, http)

    # uvloop counts in whole milliseconds.
    assert anyio.current_time() - began >= 0.049
    assert simulator.in_flight_peak == 3


async def test_the_peak_counts_bodies(simulator: Simulator, way: Way) -> None:
    """A media call is in flight until its body is over; other calls do not count."""
    content = b"x" * 10_000_000
    url = f"/cgi-bin/media/get?media_id={simulator.put(content)}"
    async with way(simulator) as http:
        async with http.stream("GET", url) as one, http.stream("GET", url) as other:
            await http.get("/cgi-bin/token?appid=a&secret=s")
            received = [await one.aread(), await other.aread()]
        await http.get("/cgi-bin/media/get?media_id=wrong")

    assert simulator.in_flight_peak == 2
    assert received == [content, content]
    simulator.close()


async def test_a_real_reset(simulator: Simulator) -> None:
    """Over a port a reset is one that the other side's socket reports."""
    simulator.fail(1, "reset")
    media_id = simulator.put(PICTURE)
    async with serve(simulator) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as raw:
            asked = f"GET /cgi-bin/media/get?media_id={media_id} HTTP/1.1\r\n"
            raw.sendall(asked.encode() + b"Host: x\r\n\r\n")
            with pytest.raises(ConnectionResetError):
                await anyio.to_thread.run_sync(raw.recv, 1)
