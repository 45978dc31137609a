"""Clients of httpx2, which continues httpx with unrelated classes."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from tests.fakes import BASE, JPEG, TOKEN
from wxmedia_async import (
    AppToken,
    MediaClient,
    RetryPolicy,
    ServerBusy,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
    UnsafeURL,
)
from wxmedia_async._errors import Phase
from wxmedia_async._session.family import (
    HTTPX_ERRORS,
    as_httpx,
    family_of,
    httpx_errors,
)

Handler = Callable[[httpx2.Request], httpx2.Response]


def answer(request: httpx2.Request) -> httpx2.Response:
    """Be WeChat, for one media."""
    if request.url.path.endswith("token"):
        return httpx2.Response(200, json={"access_token": TOKEN, "expires_in": 7200})
    assert request.url.params["access_token"] == TOKEN
    if request.url.path.endswith("upload"):
        assert JPEG in request.content
        return httpx2.Response(200, json={"media_id": "NEW", "type": "image"})
    if request.method == "POST":
        return httpx2.Response(200, content=request.content)
    return httpx2.Response(200, content=JPEG, headers={"Content-Type": "image/jpeg"})


def client_of(handler: Handler = answer, **options: object) -> MediaClient:
    http = httpx2.AsyncClient(transport=httpx2.MockTransport(handler))
    options = {"retry": RetryPolicy(initial=0.0), **options}
    token = options.pop("token", TOKEN)
    return MediaClient(token, base_url=BASE, http=http, **options)  # type: ignore[arg-type]


async def test_operations(tmp_path: Path) -> None:
    """Everything that a client does works over one of httpx2."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)

    async def chunks() -> AsyncIterator[bytes]:
        yield JPEG

    async with client_of(token=AppToken("wx1", "s")) as client:
        uploads = [
            await client.upload(JPEG),
            await client.upload(path),
            await client.upload(chunks(), size=len(JPEG)),
        ]
        saved = await client.download("ID", tmp_path)
        content = await client.read("ID")
        async with client.stream("ID") as media:
            streamed = b"".join([chunk async for chunk in media])
        called = await client.call("POST", "/cgi-bin/any", json={"a": "猫"})

    assert [uploaded.media_id for uploaded in uploads] == ["NEW"] * 3
    assert saved.path is not None
    assert saved.path.read_bytes() == content.content == streamed == JPEG
    assert called == {"a": "猫"}


async def test_batch(tmp_path: Path) -> None:
    """So do batches."""
    async with client_of() as client:
        ids = [f"m{number}" for number in range(20)]
        async with client.download_many(ids, tmp_path) as outcomes:
            assert all([outcome.ok async for outcome in outcomes])


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (httpx2.ConnectError("x"), TransferError),
        (httpx2.ConnectTimeout("x"), TransferTimeout),
        (httpx2.ReadTimeout("x"), TransferTimeout),
        (httpx2.PoolTimeout("x"), TransferTimeout),
        (httpx2.ReadError("x"), TransferError),
        (httpx2.ProxyError("x"), TransferError),
        (httpx2.RemoteProtocolError("x"), UnexpectedReply),
        (httpx2.InvalidURL("x"), TransferError),
        (httpx2.StreamConsumed(), TransferError),
    ],
    ids=lambda value: getattr(value, "__name__", type(value).__name__),
)
async def test_errors(raised: Exception, expected: type[Exception]) -> None:
    """Its errors become ours, caused by those of httpx that have their names."""

    def fail(request: httpx2.Request) -> httpx2.Response:
        raise raised

    async with client_of(fail, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(expected) as caught:
            await client.read("ID")

    assert type(caught.value) is expected
    cause = caught.value.__cause__
    assert isinstance(cause, (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError))


async def test_errors_of_a_body() -> None:
    """What breaks in the body is told as with httpx, and tried again."""
    calls = 0

    class Cut(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield JPEG[:9]
            raise httpx2.RemoteProtocolError("peer closed connection")

    def cut(request: httpx2.Request) -> httpx2.Response:
        nonlocal calls
        calls += 1
        headers = {"Content-Type": "image/jpeg", "Content-Length": str(len(JPEG))}
        return httpx2.Response(200, headers=headers, stream=Cut())

    async with client_of(cut) as client:
        with pytest.raises(Truncated) as caught:
            await client.read("ID")

    assert (caught.value.received, caught.value.phase) == (9, Phase.RECEIVE)
    assert calls == 4


def test_error_of_a_status() -> None:
    """A hook may have called raise_for_status()."""
    response = httpx2.Response(503, request=httpx2.Request("GET", "http://h.test"))
    error = httpx2.HTTPStatusError("no", request=response.request, response=response)

    made = as_httpx(error)

    assert isinstance(made, httpx.HTTPStatusError)
    assert made.response.status_code == 503


async def test_status_error_of_a_hook() -> None:
    """It is busy, as with httpx."""

    async def check(response: httpx2.Response) -> None:
        response.raise_for_status()

    transport = httpx2.MockTransport(lambda _: httpx2.Response(503))
    hooks = {"response": [check]}
    http = httpx2.AsyncClient(transport=transport, event_hooks=hooks)
    client = MediaClient(TOKEN, base_url=BASE, http=http).with_options(
        retry=RetryPolicy(attempts=1)
    )

    with pytest.raises(ServerBusy):
        await client.read("ID")


async def test_links() -> None:
    """Links are checked, and followed without anything of the client's."""
    seen: list[httpx2.Request] = []

    def link(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        if "vkey" in request.url.params:
            return answer(request.__class__("GET", f"{BASE}/x?access_token={TOKEN}"))
        url = request.url.params["media_id"]
        return httpx2.Response(200, json={"video_url": url})

    async with client_of(link) as client:
        content = await client.read("http://203.205.137.89/a.mp4?vkey=KEY")
        with pytest.raises(UnsafeURL):
            await client.read("http://127.0.0.1/a.mp4")

    assert content.content == JPEG
    assert "access_token" not in seen[1].url.params


async def test_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Its log and its requests show no token."""
    shown: list[str] = []

    def look(request: httpx2.Request) -> httpx2.Response:
        shown.append(f"{request!r} {request.url} {request.url!r}")
        return answer(request)

    with caplog.at_level(logging.DEBUG):
        async with client_of(look) as client:
            await client.read("ID")

    assert "access_token=***" in shown[0]
    assert TOKEN not in shown[0] + caplog.text


async def test_timeout() -> None:
    """A Timeout of httpx2 is taken part by part, as one of httpx is."""
    seen: list[object] = []

    def look(request: httpx2.Request) -> httpx2.Response:
        seen.append(request.extensions["timeout"])
        return answer(request)

    timeout: Any = httpx2.Timeout(7.0, connect=2.0, pool=None)
    async with client_of(look, timeout=timeout) as client:
        await client.call("POST", "/cgi-bin/any", json={})

    assert seen == [{"connect": 2.0, "read": 7.0, "write": 7.0, "pool": None}]


async def test_respx() -> None:
    """respx mocks it as it does httpx."""
    import pytest_httpx2  # noqa: F401  # teaches respx
    import respx

    with respx.mock(using="httpcore2") as router:
        route = router.get(host="wechat.test", path="/cgi-bin/media/get")
        route.mock(return_value=httpx.Response(200, content=JPEG))
        async with httpx2.AsyncClient() as http:
            content = await MediaClient(TOKEN, base_url=BASE, http=http).read("ID")

    assert content.content == JPEG
    assert route.called


@pytest.mark.parametrize("http", [object(), "client", httpx.Client(), httpx2.Client()])
def test_anything_else(http: object) -> None:
    """What is no asynchronous client of either is refused at once."""
    with pytest.raises(TypeError, match="AsyncClient"):
        MediaClient(TOKEN, http=http)  # type: ignore[arg-type]
    if isinstance(http, (httpx.Client, httpx2.Client)):
        http.close()


def test_families() -> None:
    """A subclass belongs to the family of its client."""

    class Ours(httpx2.AsyncClient):
        pass

    assert family_of(Ours()).module is httpx2
    assert family_of(httpx.AsyncClient()).module is httpx


def test_without_httpx2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody has loaded it, nothing of it is known."""
    monkeypatch.delitem(sys.modules, "httpx2")

    assert httpx_errors() == HTTPX_ERRORS


def test_error_that_httpx_lacks() -> None:
    """An error that only httpx2 has is read as one of the connection."""

    class Newer(httpx2.HTTPError):
        __module__ = "httpx2._exceptions"

    class Other(Exception):
        __module__ = "httpx2._exceptions"

    class Theirs(httpx2.ReadError):
        pass

    assert type(as_httpx(Newer("lost"))) is httpx.HTTPError
    assert type(as_httpx(Other("lost"))) is httpx.TransportError
    assert type(as_httpx(Theirs("lost"))) is httpx.ReadError


PROGRAM = """
import sys, httpx2
httpx2.alias_httpx()
import anyio, json
from wxmedia_async import MediaClient
from wxmedia_async.simulator import Simulator

async def main():
    simulator = Simulator()
    async with simulator.client() as client:
        uploaded = await client.upload(b"\\xff\\xd8\\xff" * 9)
        content = await client.read(uploaded.media_id)
    return [type(client.http).__module__, len(content.content)]

print(json.dumps(anyio.run(main, backend=sys.argv[1])))
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_alias(backend: str) -> None:
    """Where httpx2 goes by the name of httpx, all of it is httpx2."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, backend],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr == ""
    assert json.loads(done.stdout) == ["httpx2", 27]


FAILING = """
import sys, httpx2
httpx2.alias_httpx()
import anyio
from wxmedia_async import MediaClient, RetryPolicy, TransferError

async def main():
    def fail(request):
        raise getattr(httpx2, sys.argv[2])("lost")

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(fail))
    async with http, MediaClient(None, http=http) as client:
        try:
            await client.with_options(retry=RetryPolicy(attempts=1)).read("ID")
        except TransferError as error:
            return type(error.__cause__).__name__

print(anyio.run(main, backend=sys.argv[1]))
"""


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("error", ["ConnectError", "InvalidURL"])
def test_errors_of_alias(backend: str, error: str) -> None:
    """Its errors become ours there as well, and are their causes."""
    done = subprocess.run(
        [sys.executable, "-c", FAILING, backend, error],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout.strip(), done.stderr) == (error, "")


async def test_cancelled() -> None:
    """A cancelled transfer gives its slot back."""
    gate = anyio.Event()

    async def wait(request: httpx2.Request) -> httpx2.Response:
        await gate.wait()
        return answer(request)

    async with client_of(wait, max_concurrency=1) as client:  # type: ignore[arg-type]
        with anyio.move_on_after(0.01):
            await client.read("ID")
        gate.set()
        await client.read("ID")
