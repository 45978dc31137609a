"""The httpx client that a MediaClient makes."""

from __future__ import annotations

from http.cookiejar import CookieJar

import httpx
import pytest

from tests.fakes import JPEG
from tests.sockets.server import Server, always, client_to, whole
from wxmedia_async import MediaClient

pytestmark = pytest.mark.usefixtures("way")

COOKIES = [
    "Set-Cookie: seen=1; Path=/",
    "Set-Cookie: seen=\xe9\xe9; Path=/",
    "Set-Cookie: =\xff",
    "Set-Cookie2: seen=1; Version=1",
]


async def look(response: httpx.Response) -> None:
    response.cookies.jar.clear()


@pytest.mark.parametrize("cookie", COOKIES)
@pytest.mark.parametrize("watched", [False, True])
async def test_cookies_of_replies_are_not_kept(cookie: str, watched: bool) -> None:
    """One client serves many accounts: what a reply sets is in no later request."""
    with Server(always(whole(JPEG, cookie))) as server:
        async with client_to(server) as client:
            if watched:
                client.http.event_hooks = {"response": [look]}
            contents = [(await client.read(f"m{number}")).content for number in (1, 2)]
            await client.http.get(server.url)
            await client.http.get(server.url)

    assert contents == [JPEG, JPEG]
    assert [request.header("cookie") for request in server.requests] == [None] * 4


def by_name(client: MediaClient) -> None:
    client.http.cookies.set("mine", "1")


def by_dict(client: MediaClient) -> None:
    client.http.cookies = {"mine": "1"}


def by_cookies(client: MediaClient) -> None:
    client.http.cookies = httpx.Cookies([("mine", "1")])


def by_jar(client: MediaClient) -> None:
    jar = CookieJar()
    for cookie in httpx.Cookies({"mine": "1"}).jar:
        jar.set_cookie(cookie)
    client.http.cookies = jar


@pytest.mark.parametrize("put", [by_name, by_dict, by_cookies, by_jar])
async def test_cookies_of_users_are_sent(put: object) -> None:
    """A cookie that is set on the client is in each request, and in no other way."""
    assert callable(put)
    with Server(always(whole(JPEG, COOKIES[0]))) as server:
        async with client_to(server) as client:
            await client.read("before")
            put(client)
            await client.read("one")
            await client.read("two")

    cookies = [request.header("cookie") for request in server.requests]
    assert cookies == [None, "mine=1", "mine=1"]


async def test_reply_shows_its_cookies() -> None:
    """What a reply sets can be read from it, as with any client of httpx."""
    with Server(always(whole(JPEG, COOKIES[0]))) as server:
        async with client_to(server) as client:
            reply = await client.http.get(server.url)

    assert reply.cookies["seen"] == "1"


async def test_class_of_a_tracer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A class that a tracer has put in the place of httpx's is made use of."""
    seen: list[str] = []

    class Traced(httpx.AsyncClient):
        async def _send_single_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(request.method)
            return await super()._send_single_request(request)

    monkeypatch.setattr(httpx, "AsyncClient", Traced)
    with Server(always(whole(JPEG, COOKIES[0]))) as server:
        async with client_to(server) as client:
            await client.read("m")

    assert seen == ["GET"]
    assert isinstance(client.http, Traced)
