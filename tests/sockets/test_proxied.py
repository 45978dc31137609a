from __future__ import annotations

import base64

import pytest

from tests.fakes import JPEG
from tests.sockets.server import Server, always, answers, client_to, response, whole
from wxmedia_async import RetryPolicy, TransferError

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
