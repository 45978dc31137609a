"""Past the httpx client, and back to it as soon as somebody could tell."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import respx

from tests.fakes import JPEG
from wxmedia_async import MediaClient
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve


@pytest.fixture
async def simulator() -> AsyncIterator[tuple[Simulator, str]]:
    simulator = Simulator()
    simulator.open_access = True
    async with serve(simulator) as url:
        yield simulator, url


@pytest.fixture(autouse=True)
def _sockets(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--httpx-stack"):
        pytest.skip("there is no short way on httpx's stack")


def is_open(client: MediaClient) -> bool:
    assert client._session.requests.shortcut is not None
    return client._session.requests.shortcut.is_open()


async def nothing(_: object) -> None:
    return


CHANGES: dict[str, Callable[[httpx.AsyncClient], Any]] = {
    "hook": lambda http: http.event_hooks["request"].append(nothing),
    "hooks": lambda http: setattr(http, "event_hooks", {"response": [nothing]}),
    "header": lambda http: http.headers.update({"X-Mine": "1"}),
    "headers": lambda http: setattr(http, "headers", {"X-Mine": "1"}),
    "cookie": lambda http: http.cookies.set("a", "b"),
    "auth": lambda http: setattr(http, "auth", ("user", "password")),
    "params": lambda http: setattr(http, "params", {"a": "b"}),
    "mount": lambda http: http._mounts.update(
        {httpx._utils.URLPattern("all://"): None}
    ),
    "transport": lambda http: setattr(http, "_transport", httpx.AsyncHTTPTransport()),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_any_change_of_the_client_closes_it(change: str) -> None:
    """Hooks, auth, mounts, headers or cookies added later take effect."""
    async with MediaClient(None) as client:
        before = is_open(client)
        CHANGES[change](client.http)

        assert before
        assert not is_open(client)


async def test_a_hook_added_later_sees_every_request(
    simulator: tuple[Simulator, str],
) -> None:
    """A hook is called although earlier requests took the short way."""
    seen: list[str] = []

    async def hook(request: httpx.Request) -> None:
        seen.append(request.method)

    async with MediaClient(None, base_url=simulator[1]) as client:
        uploaded = await client.upload(JPEG)
        client.http.event_hooks = {"request": [hook]}
        await client.read(uploaded.media_id)

    assert seen == ["GET"]


async def test_a_header_added_later_is_sent(simulator: tuple[Simulator, str]) -> None:
    """A header is sent although earlier requests took the short way."""
    async with MediaClient(None, base_url=simulator[1]) as client:
        uploaded = await client.upload(JPEG)
        client.http.headers["X-Mine"] = "1"
        await client.read(uploaded.media_id)

    assert ["x-mine" in request.headers for request in simulator[0].requests] == [
        False,
        True,
    ]


async def test_both_ways_send_the_same(simulator: tuple[Simulator, str]) -> None:
    """What arrives does not tell which way it came."""
    async with MediaClient("token", base_url=simulator[1]) as client:
        with pytest.raises(Exception, match="40001"):
            await client.read("m")
        client.http.event_hooks = {"request": [nothing]}
        with pytest.raises(Exception, match="40001"):
            await client.read("m")

    short, long = simulator[0].requests
    assert short.headers == long.headers
    assert short.query == long.query


async def test_who_reads_httpxs_log_closes_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """httpx's own line at INFO is not to be missed."""
    async with MediaClient(None) as client:
        with caplog.at_level(logging.INFO, logger="httpx"):
            logged = is_open(client)

        assert not logged
        assert is_open(client)


@pytest.mark.parametrize("using", ["httpcore", "httpx"])
async def test_mocks_close_it(using: str) -> None:
    """While respx mocks us, requests go where it looks."""
    async with MediaClient(None) as client:
        before = is_open(client)
        with respx.mock(using=using):
            mocked = is_open(client)

        assert before
        assert not mocked
        assert is_open(client)


async def test_a_method_of_the_clients_own_closes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who replaces `send`, on the client or on the class, gets every request."""
    async with MediaClient(None) as client:
        before = is_open(client)
        with monkeypatch.context() as patch:
            patch.setattr(client.http, "send", nothing)
            on_the_client = is_open(client)
        with monkeypatch.context() as patch:
            patch.setattr(httpx.AsyncClient, "send", nothing)
            on_the_class = is_open(client)

        assert before
        assert not on_the_client
        assert not on_the_class
        assert is_open(client)


async def test_a_request_by_the_long_way_does_not_close_it(
    simulator: tuple[Simulator, str],
) -> None:
    """Using the httpx client changes its state, but nothing that could be told."""
    async with MediaClient(None, base_url=simulator[1]) as client:
        before = is_open(client)
        await client.http.get(simulator[1])

        assert before
        assert is_open(client)


async def test_pytest_httpx_closes_it(httpx_mock: object) -> None:
    """While pytest-httpx mocks us, requests go where it looks."""
    async with MediaClient(None) as client:
        assert not is_open(client)
        assert client.transport == "httpx"


async def test_the_transport_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """`client.transport` says what carries the next request."""
    told: list[str] = []
    async with MediaClient(None) as client:
        told.append(client.transport)
        with respx.mock:
            told.append(client.transport)
    async with httpx.AsyncClient() as http:
        told.append(MediaClient(None, http=http).transport)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    async with MediaClient(None) as client:
        told.append(client.transport)

    assert told == ["sockets", "httpx", "yours", "httpx"]
