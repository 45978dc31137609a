"""What a client is made of: its options, its hosts, and its children."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import anyio
import httpx
import pytest

from tests.fakes import EAGER, JPEG, SECRET, TOKEN, FakeWeChat, client_of, error, media
from tests.sockets.server import CONTEXT
from wxmedia_async import (
    MINI_PROGRAM,
    WECOM,
    Adaptive,
    AppToken,
    MediaClient,
    MemoryUploadCache,
    RetryPolicy,
    ServerBusy,
    TokenRejected,
    TransferError,
)

WRONG: list[dict[str, Any]] = [
    {"max_concurrency": 0},
    {"max_concurrency": -1},
    {"max_concurrency": 2.5},
    {"max_concurrency": True},
    {"base_url": ""},
    {"base_url": "api.weixin.qq.com"},
    {"base_url": "ftp://api.weixin.qq.com"},
    {"base_url": "http://"},
    {"base_url": "http://gateway.test:port"},
    {"base_url": "http://gateway.test:0"},
    {"base_url": "http://gateway.test:65536"},
    {"base_url": "http://gateway.test/?key=1"},
    {"base_url": "http://gateway.test/#top"},
    {"base_url": "http://user:secret@gateway.test"},
    {"file_io": "fast"},
    {"timeout": -1.0},
    {"timeout": 0.0},
    {"timeout": float("nan")},
    {"deadline": -1.0},
    {"deadline": 0.0},
    {"token": ""},
    {"upload_cache": MemoryUploadCache()},
]


@pytest.mark.parametrize("options", WRONG, ids=range(len(WRONG)))
def test_wrong_options(options: dict[str, Any]) -> None:
    """A client that could not work is refused when it is made."""
    others = {"verify": CONTEXT} | options
    token = others.pop("token", TOKEN)

    with pytest.raises(ValueError):  # noqa: PT011  # any of them will do
        MediaClient(token, **others)


@pytest.mark.parametrize("token", [7, object(), b"bytes", AppToken], ids=range(4))
def test_what_is_no_token(token: Any) -> None:
    """What is no token, nor gives any, is a TypeError."""
    with pytest.raises(TypeError):
        MediaClient(token, verify=CONTEXT)


@pytest.mark.parametrize(
    "options",
    [
        {"platform": "wecom"},
        {"retry": 3},
        {"rate": 5},
        {"timeout": "30"},
        {"deadline": "300"},
    ],
    ids=str,
)
def test_options_of_the_wrong_kind(options: dict[str, Any]) -> None:
    """An option of another kind is a TypeError when the client is made."""
    with pytest.raises(TypeError):
        MediaClient(TOKEN, verify=CONTEXT, **options)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"deadline": -5}], ids=str)
def test_wrong_options_of_a_child(options: dict[str, Any]) -> None:
    """with_options refuses what the constructor refuses."""
    client = MediaClient(TOKEN, verify=CONTEXT)

    with pytest.raises(ValueError, match="positive"):
        client.with_options(**options)


def test_made_without_a_loop(anyio_backend: Any) -> None:
    """A client can be made where no event loop runs, and be used in the next."""
    name, backend_options = anyio_backend
    service = FakeWeChat({"ID": JPEG})
    client = client_of(service, max_concurrency=3)
    unused = MediaClient(AppToken("wx1", SECRET), max_concurrency=Adaptive(2, 9))

    async def use() -> bytes:
        async with client, unused:
            return (await client.read("ID")).content

    content = anyio.run(use, backend=name, backend_options=backend_options)

    assert content == JPEG


def test_repr() -> None:
    """A client names its platform, and nothing secret."""
    client = MediaClient(TOKEN, platform=WECOM, verify=CONTEXT)

    assert repr(client) == "<MediaClient of wecom>"


async def test_base_url() -> None:
    """A base_url may have a path of its own, and a slash at its end."""
    service = FakeWeChat()
    service.answers = [media(JPEG), media(JPEG)]
    http = httpx.AsyncClient(transport=service)

    for base_url in ("https://gateway.test/wechat", "https://gateway.test:8443/"):
        async with MediaClient(TOKEN, base_url=base_url, http=http) as client:
            await client.read("ID")

    first, second = [request.url for request in service.requests]
    assert (first.host, first.path) == ("gateway.test", "/wechat/cgi-bin/media/get")
    assert (second.port, second.path) == (8443, "/cgi-bin/media/get")


async def test_hosts() -> None:
    """Fault 1: a host that cannot be reached gives way to the next one, for all."""

    class FirstIsDown(FakeWeChat):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host == "api.weixin.qq.com":
                self.requests.append(request)
                raise httpx.ConnectError("refused")
            return await super().handle_async_request(request)

    service = FirstIsDown({"ID": JPEG})
    http = httpx.AsyncClient(transport=service)

    async with MediaClient(AppToken("wx1", SECRET), http=http, retry=EAGER) as client:
        await client.read("ID")
        await client.read("ID")

    assert [request.url.host for request in service.requests] == [
        "api.weixin.qq.com",
        *["api2.weixin.qq.com"] * 3,
    ]


async def test_hosts_that_are_all_down() -> None:
    """Fault 1: where no host can be reached, the error names the last one."""
    service = FakeWeChat(answers=[httpx.ConnectError("refused")] * 9)
    http = httpx.AsyncClient(transport=service)

    async with MediaClient(TOKEN, http=http, retry=EAGER) as client:
        with pytest.raises(TransferError, match=r"connecting to sz\.api") as caught:
            await client.read("ID")

    assert (caught.value.phase, caught.value.attempts) == ("connect", 4)
    hosts = [f"https://{request.url.host}" for request in service.requests]
    assert hosts == list(MINI_PROGRAM.hosts[:4])


async def test_with_options() -> None:
    """A child has options of its own; those that are not given stay."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(-1)])
    service.valid = TOKEN

    async with client_of(service) as client:
        once = client.with_options(retry=RetryPolicy(attempts=1))
        with pytest.raises(ServerBusy):
            await once.read("ID")
        with pytest.raises(TokenRejected):
            await client.with_options(token="another").read("ID")
        with pytest.raises(TokenRejected):
            await client.with_options(token=None).read("ID")
        found = await once.with_options(deadline=None).read("ID")

    assert found.content == JPEG
    assert repr(once) == repr(client)


async def test_other_account_over_the_same_client() -> None:
    """What one account has uploaded is never handed out for another's."""
    service, cache = FakeWeChat(created_at=int(time.time())), MemoryUploadCache()

    async def token_service() -> str:
        return TOKEN

    async with client_of(service, upload_cache=cache, account="one") as client:
        uploaded = await client.upload(JPEG)
        assert await client.upload(JPEG) == uploaded
        assert await client.with_options(deadline=9.0).upload(JPEG) == uploaded
        other = client.with_options(token=AppToken("wx2", SECRET))
        first = await other.upload(JPEG)
        assert await other.upload(JPEG) == first
        service.valid = TOKEN
        unnamed = client.with_options(token=token_service)
        uploads = [await unnamed.upload(JPEG) for _ in range(2)]

    ids = [uploaded.media_id, first.media_id, *[each.media_id for each in uploads]]
    assert len(set(ids)) == 4


def test_another_loop(anyio_backend: Any) -> None:
    """Fault 33: in another event loop a client says what is wrong."""
    name, backend_options = anyio_backend
    service = FakeWeChat({"ID": JPEG})
    client = client_of(service)
    run = partial(anyio.run, backend=name, backend_options=backend_options)

    async def read() -> None:
        await client.read("ID")

    async def upload_to_child() -> None:
        await client.with_options(deadline=None).upload(JPEG)

    run(read)

    with pytest.raises(RuntimeError, match="another event loop"):
        run(read)
    with pytest.raises(RuntimeError, match="another event loop"):
        run(upload_to_child)
    assert len(service.requests) == 1
