from __future__ import annotations

import base64
import socket
from collections.abc import Callable

import anyio
import pytest

from tests.fakes import JPEG
from tests.sockets.proxies import greet, socks_proxy, then_silent
from tests.sockets.server import (
    UPLOADED,
    Peer,
    Server,
    always,
    answers,
    client_to,
    link,
    response,
    routes,
    whole,
)
from wxmedia_async import MediaClient, RetryPolicy, TransferError, UnsafeURL

ONCE = RetryPolicy(attempts=1)


def proxied(monkeypatch: pytest.MonkeyPatch, proxy: Server, scheme: str) -> None:
    url = f"http://user:PASSWORD@127.0.0.1:{proxy.port}"
    monkeypatch.setenv(f"{scheme}_proxy", url)


async def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: the environment's proxy gets the request, with its credentials."""
    with Server(always(whole())) as server, Server(always(whole())) as proxy:
        proxied(monkeypatch, proxy, "http")
        async with client_to(server) as client:
            media = await client.read("ID")

    sent = proxy.requests[0]
    assert media.content == JPEG
    assert sent.target.startswith(f"{server.url}/cgi-bin/media/get?")
    expected = "Basic " + base64.b64encode(b"user:PASSWORD").decode()
    assert sent.header("proxy-authorization") == expected
    assert server.connections == 0


async def test_exception_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: what NO_PROXY names is reached directly."""
    with Server(always(whole())) as server, Server(always(whole())) as proxy:
        proxied(monkeypatch, proxy, "http")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        async with client_to(server) as client:
            await client.read("ID")

    assert server.connections == 1
    assert proxy.connections == 0


async def test_proxy_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: the error of a proxy shows neither its credentials nor our token."""
    denied = response(b"", "Content-Length: 0", status="407 Denied")
    with Server(answers(denied)) as proxy:
        proxied(monkeypatch, proxy, "https")
        async with client_to(
            proxy, base_url="https://wechat.test", retry=ONCE
        ) as client:
            with pytest.raises(TransferError, match="407") as info:
                await client.read("ID")

    assert info.value.phase == "connect"
    assert "PASSWORD" not in f"{info.value!r} {info.value.__cause__!r}"
    assert proxy.requests[0].target == "wechat.test:443"


@pytest.mark.parametrize(
    ("exceptions", "direct"),
    [
        ("127.0.0.0/8", True),
        ("10.0.0.0/8,fd07:b51a:cc66:f0::/64", False),
        ("127.0.0.1:1", False),
        ("[::1]:80 127.0.0.1", True),
        ("http://:x,%%,127.0.0.1/33", False),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
async def test_exceptions_of_all_kinds(
    exceptions: str, direct: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies within NO_PROXY is reached directly, and all else by the proxy."""
    with Server(always(whole())) as server, Server(always(whole())) as proxy:
        proxied(monkeypatch, proxy, "http")
        monkeypatch.setenv(name, exceptions)
        async with client_to(server) as client:
            await client.read("ID")

    assert (server.connections, proxy.connections) == ((1, 0) if direct else (0, 1))


async def test_links_go_by_their_own_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link is fetched by the proxy where NO_PROXY does not hold *its* host."""
    with Server(always(link("http://video.test/v"))) as server:
        with Server(routes({"http://video.test/v": whole()})) as proxy:
            proxied(monkeypatch, proxy, "http")
            monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
            async with client_to(server) as client:
                media = await client.read("ID")

    assert media.content == JPEG


async def test_links_past_the_proxy_are_guarded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A link whose host NO_PROXY holds is looked up here, and checked as ever."""

    async def look_up(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    with Server(always(link("http://video.test/v"))) as server:
        with Server(always(whole())) as proxy:
            proxied(monkeypatch, proxy, "http")
            monkeypatch.setenv("NO_PROXY", "127.0.0.0/8,.test")
            monkeypatch.setattr(anyio, "getaddrinfo", look_up)
            async with client_to(server) as client:
                with pytest.raises(UnsafeURL):
                    await client.read("ID")

    assert proxy.connections == 0


async def test_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy of the environment carries uploads and downloads."""
    replies = answers(UPLOADED, whole())
    with Server(replies) as server, Server(socks_proxy(password=True)) as proxy:
        url = f"socks5://user:PASSWORD@127.0.0.1:{proxy.port}"
        monkeypatch.setenv("ALL_PROXY", url)
        async with client_to(server) as client:
            uploaded = await client.upload(JPEG, filename="a.jpg")
            media = await client.read(uploaded.media_id)

    assert media.content == JPEG
    assert proxy.connections == 1


def says_http(peer: Peer) -> None:
    peer.exactly(3)
    peer.send(response(b"", status="400 Bad Request"))


def replies_nonsense(peer: Peer) -> None:
    greet(peer)
    peer.exactly(10)
    peer.send(b"\x05\x00\x00\x09")


@pytest.mark.parametrize("script", [says_http, replies_nonsense])
@pytest.mark.parametrize("batch", [False, True])
async def test_proxy_that_speaks_no_socks(
    script: Callable[[Peer], None], batch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a TransferError like that of every other proxy, of a batch's item too."""
    with Server(then_silent(script)) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        async with client_to(
            proxy, base_url="http://127.0.0.1:1", retry=ONCE
        ) as client:
            error = await failure(client, batch=batch)

    assert isinstance(error, TransferError)
    assert error.phase == "connect"


async def failure(client: MediaClient, *, batch: bool) -> BaseException | None:
    if batch:
        async with client.upload_many([JPEG]) as outcomes:
            return (await anext(aiter(outcomes))).error
    with pytest.raises(TransferError) as info:
        await client.read("ID")
    return info.value


async def test_stale_connection_to_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that the proxy has closed meanwhile costs no attempt."""

    def closes_at_the_second(peer: Peer) -> None:
        answers(whole())(peer)
        peer.read_request()

    with Server(closes_at_the_second, answers(UPLOADED)) as proxy:
        proxied(monkeypatch, proxy, "http")
        async with client_to(proxy, base_url="http://a.test", retry=ONCE) as client:
            await client.read("ID")
            uploaded = await client.upload(JPEG, filename="a.jpg")

    assert uploaded.media_id == "m1"


async def test_cancelled_behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A transfer that is cancelled in a handshake leaves no socket to the proxy."""
    with Server(then_silent(Peer.read_head)) as proxy:
        proxied(monkeypatch, proxy, "https")
        async with client_to(proxy, base_url="https://a.test") as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.read, "ID")
                await proxy.until_reached()
                tasks.cancel_scope.cancel()

            await proxy.until_gone(0)


@pytest.mark.parametrize("proxy", ["http://u:hunter2#@h:1", "ftp://u:hunter2@h"])
def test_proxy_that_cannot_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, by the constructor, and without the password."""
    monkeypatch.setenv("https_proxy", proxy)

    with pytest.raises(ValueError, match="https_proxy") as info:
        MediaClient("TOKEN")

    assert "hunter2" not in str(info.value)
