from __future__ import annotations

import socket
from pathlib import Path

import anyio
import attrs
import httpx
import pytest

from tests.fakes import JPEG, TOKEN
from tests.sockets.server import (
    Server,
    always,
    client_to,
    link,
    response,
    routes,
    whole,
)
from wxmedia_async import (
    OFFICIAL_ACCOUNT,
    TransferError,
    UnexpectedReply,
    UnsafeURL,
)
from wxmedia_async._wire import addresses

pytestmark = pytest.mark.usefixtures("way")

MEDIA = "/cgi-bin/media/get"


def moved(url: str) -> bytes:
    return response(b"", f"Location: {url}", "Content-Length: 0", status="302 Found")


class Names:
    """A DNS that gives other answers each time it is asked."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    async def getaddrinfo(
        self, host: str, port: int, **options: object
    ) -> list[tuple[object, ...]]:
        self.asked.append(str(host))
        await anyio.lowlevel.checkpoint()
        kinds = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kinds, (address, port)) for address in self._answers.pop(0)]


async def test_link_on_the_own_origin(tmp_path: Path) -> None:
    """Fault 16: the exact origin of base_url may be linked to."""
    with Server() as server:
        server.scripts = [
            routes({MEDIA: link(f"{server.url}/v.mp4"), "/v.mp4": whole()})
        ]
        async with client_to(server) as client:
            await client.download("ID", tmp_path / "x.mp4")

    assert (tmp_path / "x.mp4").read_bytes() == JPEG


async def test_link_takes_nothing_of_ours_along() -> None:
    """Fault 16: neither token nor cookies, default headers or auth go to a link."""
    with Server() as server:
        server.scripts = [
            routes(
                {
                    MEDIA: link(f"{server.url}/v.mp4?vkey=1"),
                    "/v.mp4": whole(),
                }
            )
        ]
        async with client_to(server) as client:
            client.http.cookies.set("session", "COOKIE")
            client.http.headers["X-Secret"] = "HEADER"
            client.http.auth = httpx.BasicAuth("user", "password")
            await client.read("ID")

    asked, followed = server.requests
    assert asked.header("cookie") == "session=COOKIE"
    assert asked.header("authorization") is not None
    assert followed.target == "/v.mp4?vkey=1"
    assert TOKEN.encode() not in followed.head
    for name in ("cookie", "x-secret", "authorization", "referer"):
        assert followed.header(name) is None


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("ftp://203.205.137.89/x", id="ftp"),
        pytest.param("http://user:pw@203.205.137.89/x", id="user-info"),
        pytest.param("http://127.0.0.1:{port}/x", id="loopback"),
        pytest.param("http://localhost:{port}/x", id="localhost"),
        pytest.param("http://LOCALHOST.:{port}/x", id="localhost-dot"),
        pytest.param("http://127.1:{port}/x", id="short"),
        pytest.param("http://2130706433:{port}/x", id="one-number"),
        pytest.param("http://0x7f.0.0.1:{port}/x", id="hexadecimal"),
        pytest.param("http://0177.0.0.1:{port}/x", id="octal"),
        pytest.param("http://[::1]:{port}/x", id="ipv6-loopback"),
        pytest.param("http://[::ffff:127.0.0.1]:{port}/x", id="mapped"),
        pytest.param("http://0.0.0.0:{port}/x", id="unspecified"),
        pytest.param("http://10.1.2.3/x", id="private"),
        pytest.param("http://169.254.169.254/latest/meta-data", id="metadata"),
        pytest.param("http://100.100.100.200/latest", id="alibaba-metadata"),
        pytest.param("http://[fe80::1]/x", id="link-local"),
        pytest.param("http:///x", id="no-host"),
        pytest.param("//203.205.137.89/x", id="no-scheme"),
        pytest.param("http://[::1/x", id="no-url"),
        pytest.param("http://router/x", id="one-label"),
        pytest.param("http://xn--a.test/x", id="no-name"),
    ],
)
async def test_link_that_must_not_be_followed(url: str, tmp_path: Path) -> None:
    """Fault 16: links to anything but public addresses are refused unfollowed."""
    with Server(always(whole())) as inner:
        reply = link(url.replace("{port}", str(inner.port)))
        with Server(always(reply)) as server:
            async with client_to(server) as client:
                with pytest.raises(UnsafeURL) as info:
                    await client.download("ID", tmp_path / "x.mp4")

    assert info.value.attempts == 1
    assert inner.connections == 0
    assert list(tmp_path.iterdir()) == []


async def test_redirect_to_where_no_link_may_lead() -> None:
    """Fault 16: each redirect of a link is checked as the link is."""
    with Server(always(whole())) as inner, Server() as server:
        server.scripts = [
            routes(
                {
                    MEDIA: link(f"{server.url}/v"),
                    "/v": moved(f"http://127.0.0.1:{inner.port}/"),
                }
            )
        ]
        async with client_to(server) as client:
            with pytest.raises(UnsafeURL) as info:
                await client.read("ID")

    assert info.value.host == "127.0.0.1"
    assert inner.connections == 0


async def test_three_redirects() -> None:
    """Fault 16: a link may be redirected three times, relatively too."""
    with Server() as server:
        replies = {f"/{n}": moved(f"/{n + 1}") for n in range(3)}
        server.scripts = [
            routes({MEDIA: link(f"{server.url}/0"), **replies, "/3": whole()})
        ]
        async with client_to(server) as client:
            media = await client.read("ID")

    assert media.content == JPEG


async def test_endless_redirects() -> None:
    """Fault 16: the fourth redirect is the end."""
    with Server() as server:
        server.scripts = [
            routes({MEDIA: link(f"{server.url}/0"), "/0": moved(f"{server.url}/0")})
        ]
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply, match="redirects") as info:
                await client.read("ID")

    assert info.value.attempts == 1
    assert len(server.requests) == 5


async def test_link_to_a_link() -> None:
    """Fault 16: a link does not lead to another document with a link."""
    with Server() as server:
        again = link(f"{server.url}/v")
        server.scripts = [routes({MEDIA: again, "/v": again})]
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply):
                await client.read("ID")

    assert len(server.requests) == 2


async def test_name_with_a_private_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 16: one private address among a name's is enough to refuse it."""
    names = Names(["203.205.137.89", "127.0.0.1"])
    with Server(always(whole())) as inner:
        with Server(always(link(f"http://video.test:{inner.port}/"))) as server:
            async with client_to(server) as client:
                monkeypatch.setattr(anyio, "getaddrinfo", names.getaddrinfo)
                with pytest.raises(UnsafeURL, match=r"video\.test") as info:
                    await client.read("ID")

    assert info.value.host == "video.test"
    assert info.value.attempts == 1
    assert names.asked == ["video.test"]
    assert inner.connections == 0


async def test_name_that_changes_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 16: the address that was checked is connected to, with no new lookup."""
    checked: list[str] = []

    def allow(address: str, host: str) -> None:
        checked.append(f"{host} is {address}")

    names = Names(["127.0.0.1"])
    with Server(always(whole())) as outer:
        with Server(always(link(f"http://video.test:{outer.port}/v"))) as server:
            async with client_to(server) as client:
                monkeypatch.setattr(anyio, "getaddrinfo", names.getaddrinfo)
                monkeypatch.setattr(addresses, "check_address", allow)
                media = await client.read("ID")

    assert media.content == JPEG
    assert checked == ["video.test is 127.0.0.1"]
    assert names.asked == ["video.test"]
    assert outer.requests[0].header("host") == f"video.test:{outer.port}"


async def test_link_that_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    """Fault 1: a dead link is no reason to leave the host that named it."""
    monkeypatch.setattr(addresses, "check_link", lambda *link: None)
    monkeypatch.setattr(addresses, "check_address", lambda *address, host: None)
    with (
        Server(always(link(f"{refusing}/v"))) as server,
        Server(always(whole())) as other,
    ):
        platform = attrs.evolve(OFFICIAL_ACCOUNT, hosts=(server.url, other.url))
        async with client_to(server, platform=platform, base_url=None) as client:
            with pytest.raises(TransferError, match="while connecting") as info:
                await client.read("ID")

    assert info.value.attempts == 4
    assert len(server.requests) == 4
    assert other.connections == 0


@pytest.mark.parametrize(
    "location",
    [
        pytest.param("http://[::1", id="no-url"),
        pytest.param("http://xn--a.test/", id="no-name"),
        pytest.param("file:///etc/passwd", id="file"),
    ],
)
async def test_redirect_to_nowhere(location: str) -> None:
    """Fault 16: a redirect that names no host is an error of ours, like any other."""
    with Server() as server:
        server.scripts = [
            routes({MEDIA: link(f"{server.url}/v"), "/v": moved(location)})
        ]
        async with client_to(server) as client:
            with pytest.raises((UnexpectedReply, UnsafeURL)) as info:
                await client.read("ID")

    assert info.value.attempts == 1
    assert len(server.requests) == 2


async def test_link_needs_no_slot_of_its_own() -> None:
    """A link is followed with one slot too: it takes the one that is free again."""
    with Server() as server:
        server.scripts = [routes({MEDIA: link(f"{server.url}/v"), "/v": whole()})]
        async with client_to(server, max_concurrency=1) as client:
            media = await client.read("ID")

    assert media.content == JPEG


async def test_failing_link_is_asked_for_again() -> None:
    """A link that breaks off is fetched anew, beginning with the question for it."""
    with Server() as server:
        broken = routes({MEDIA: link(f"{server.url}/v"), "/v": whole()[:-500]})
        server.scripts = [broken, always(whole())]
        async with client_to(server, timeout=0.5) as client:
            media = await client.read("ID")

    assert media.content == JPEG
    targets = [request.target.partition("?")[0] for request in server.requests]
    assert targets == [MEDIA, "/v", MEDIA]
