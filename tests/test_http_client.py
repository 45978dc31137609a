"""The httpx client that carries the requests, of the user's or ours; its proxies."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.fakes import BASE, JPEG, SECRET, TOKEN, FakeWeChat, client_of
from tests.sockets.server import CONTEXT, Server, always, client_to, routes, whole
from wxmedia_async import AppToken, MediaClient, MediaError


async def test_users_client_carries_every_request() -> None:
    """With a client of the user's, its headers and cookies are sent, its auth not."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(
        transport=service,
        headers={"X-Ours": "1", "Accept-Encoding": "gzip"},
        cookies={"session": "ours"},
        params={"gateway": "7"},
        auth=("us", "ours"),
        base_url="http://elsewhere.test",
    )

    async with client_of(service, http=http, token=AppToken("wx1", SECRET)) as client:
        await client.upload(JPEG)
        await client.read("ID")
        await client.call("POST", "/cgi-bin/token", json={})

    assert [request.url.host for request in service.requests] == ["wechat.test"] * 4
    for request in service.requests:
        assert request.headers["x-ours"] == "1"
        assert request.headers["cookie"] == "session=ours"
        assert request.headers["accept-encoding"] == "identity"
        assert request.url.params["gateway"] == "7"
        assert "authorization" not in request.headers


async def test_users_redirects_are_not_followed() -> None:
    """Fault 15: a client that follows redirects does not do so for us."""
    moved = httpx.Response(302, headers={"Location": "https://example.com/"})
    service = FakeWeChat(answers=[moved])
    http = httpx.AsyncClient(transport=service, follow_redirects=True)

    async with client_of(service, http=http) as client:
        with pytest.raises(MediaError, match="HTTP 302"):
            await client.read("ID")

    assert len(service.requests) == 1


async def test_timeout_of_each_request() -> None:
    """Our timeout goes with every request, whatever the user's client says."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service, timeout=99.0)

    async with client_of(service, http=http, timeout=7.0) as client:
        await client.read("ID")
        own = httpx.Timeout(1.0, read=2.0, pool=3.0)
        await client.with_options(timeout=own).read("ID")

    first, second = [request.extensions["timeout"] for request in service.requests]
    assert first == {"connect": 7.0, "read": 7.0, "write": 7.0, "pool": None}
    assert second == {"connect": 1.0, "read": 2.0, "write": 1.0, "pool": 3.0}


async def test_hooks_headers_and_auth_of_our_client() -> None:
    """What is put on `client.http` takes effect, on later requests too."""
    seen = list[str]()

    async def hook(request: httpx.Request) -> None:
        seen.append(request.url.path)

    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")
            client.http.headers["X-Ours"] = "1"
            client.http.cookies["session"] = "ours"
            client.http.auth = ("us", "ours")
            client.http.event_hooks["request"].append(hook)
            await client.read("ID")
            await client.with_options(timeout=9.0).read("ID")

    plain, *changed = server.requests
    assert plain.header("authorization") is None
    assert plain.header("user-agent") == "wxmedia_async"
    assert seen == ["/cgi-bin/media/get"] * 2
    for request in changed:
        assert request.header("x-ours") == "1"
        assert request.header("cookie") == "session=ours"
        assert request.header("authorization") == "Basic dXM6b3Vycw=="


class Traced:
    """Wraps a method as tracers do: in an object that passes for the method."""

    def __init__(self, method: Any, seen: list[str], owner: object = None) -> None:
        self.method, self.seen, self.owner = method, seen, owner

    def __get__(self, instance: object, owner: type | None = None) -> Traced:
        return Traced(self.method, self.seen, instance)

    def __getattr__(self, name: str) -> object:
        return getattr(self.method, name)

    async def __call__(
        self, request: httpx.Request, **options: object
    ) -> httpx.Response:
        self.seen.append(str(request.url))
        owner = () if self.owner is None else (self.owner,)
        response = await self.method(*owner, request, **options)
        assert isinstance(response, httpx.Response)
        return response


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (httpx.AsyncHTTPTransport, "handle_async_request"),
        (httpx.AsyncClient, "send"),
    ],
)
async def test_tracer_of_all_clients(
    cls: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracer that wraps httpx's classes sees our requests, without the token."""
    seen = list[str]()

    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")
            monkeypatch.setattr(cls, name, Traced(vars(cls)[name], seen))
            await client.read("ID")

    assert seen == [f"{server.url}/cgi-bin/media/get?access_token=***&media_id=ID"]


@pytest.mark.parametrize("name", ["send", "handle_async_request"])
async def test_tracer_of_one_client(name: str) -> None:
    """A tracer that wraps `client.http`, or its transport, sees our requests."""
    seen = list[str]()

    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")
            http = client.http
            traced: Any = http if name == "send" else http._transport
            setattr(traced, name, Traced(getattr(traced, name), seen))
            await client.read("ID")

    assert seen == [f"{server.url}/cgi-bin/media/get?access_token=***&media_id=ID"]


async def test_transport_of_our_client() -> None:
    """A transport that is mounted on `client.http` carries the requests."""
    service = FakeWeChat({"ID": JPEG})

    async with MediaClient(TOKEN, base_url=BASE, verify=CONTEXT) as client:
        client.http._mounts = {httpx._utils.URLPattern("all://"): service}
        found = await client.read("ID")

    assert found.content == JPEG


async def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: a proxy that the environment names carries our requests."""
    with Server(routes({f"{BASE}/cgi-bin/media/get": whole()})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:pass@"))

        async with MediaClient(TOKEN, base_url=BASE, verify=CONTEXT) as client:
            found = await client.read("ID")

    [request] = proxy.requests
    assert found.content == JPEG
    assert (
        request.target == f"{BASE}/cgi-bin/media/get?access_token={TOKEN}&media_id=ID"
    )
    assert request.header("proxy-authorization") == "Basic dXNlcjpwYXNz"


async def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: hosts that NO_PROXY names are reached without a proxy."""
    with Server(always(whole())) as proxy, Server(always(whole(b"own"))) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")

        async with client_to(server) as client:
            found = await client.read("ID")

    assert found.content == b"own"
    assert proxy.requests == []


async def test_users_client_brings_its_own_proxies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 35: which proxies a client of the user's has is the user's matter."""
    service = FakeWeChat({"ID": JPEG})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async with client_of(service) as client:
        found = await client.read("ID")

    assert found.content == JPEG
