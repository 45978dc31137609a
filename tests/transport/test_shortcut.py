"""Past the httpx client, and back to it as soon as somebody could tell."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest import mock

import httpcore
import httpx
import pytest
import respx
import vcr

from tests.fakes import JPEG
from wxmedia_async import MediaClient, RetryPolicy
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

ONCE = RetryPolicy(attempts=1)


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


async def test_httpxs_log_is_written_by_the_short_way(
    simulator: tuple[Simulator, str], caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO both ways write the same line, without secrets."""
    async with MediaClient("SECRET", base_url=simulator[1]) as client:
        with caplog.at_level(logging.INFO, logger="httpx"):
            opened = is_open(client)
            with pytest.raises(Exception, match="40001"):
                await client.read("m")
            client.http.event_hooks = {"request": [nothing]}
            with pytest.raises(Exception, match="40001"):
                await client.read("m")

    short, long = [line for line in caplog.records if line.name == "httpx"]
    assert opened
    assert short.getMessage() == long.getMessage()
    assert short.levelno == long.levelno
    assert "/cgi-bin/media/get?access_token=***&media_id=m" in short.getMessage()
    assert '"HTTP/1.1 200 OK"' in short.getMessage()
    assert type(short.args) is type(long.args)
    assert "SECRET" not in repr(short.args)


async def test_quiet_log_is_not_written(
    simulator: tuple[Simulator, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Above INFO there is no line."""
    async with MediaClient(None, base_url=simulator[1]) as client:
        with caplog.at_level(logging.WARNING, logger="httpx"):
            await client.upload(JPEG)

    assert not [line for line in caplog.records if line.name == "httpx"]


async def test_to_be_seen_closes_nothing(simulator: tuple[Simulator, str]) -> None:
    """Who holds the client and changes nothing leaves the short way open."""
    async with MediaClient(None, base_url=simulator[1]) as client:
        headers = client.http.headers
        await client.upload(JPEG)
        before = is_open(client)
        headers["X-Mine"] = "1"

        assert before
        assert not is_open(client)


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


@pytest.mark.parametrize("name", ["send", "build_request", "_send_single_request"])
async def test_a_method_of_the_clients_own_closes_it(name: str) -> None:
    """Who replaces a method, on the client or its class, gets every request."""
    async with MediaClient(None) as client:
        before = is_open(client)
        found: list[bool] = []
        for place in (client.http, type(client.http), httpx.AsyncClient):
            # It leaves no copy of the class's method on the client.
            with mock.patch.object(place, name, nothing):
                found.append(is_open(client))
            found.append(is_open(client))

        assert before
        assert found == [False, True] * 3


async def test_a_method_of_the_transports_own_closes_it() -> None:
    """Tracers of one client wrap the method of its transport."""
    async with MediaClient(None) as client:
        transport = client.http._transport
        before = is_open(client)
        transport.handle_async_request = nothing  # type: ignore[assignment,method-assign]

        assert before
        assert not is_open(client)


class Refusal(Exception):
    """Nothing may be sent."""


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (httpx.AsyncClient, "send"),
        (httpx.AsyncClient.__mro__[1], "build_request"),
        (httpx.AsyncClient, "_send_handling_auth"),
        (httpx.AsyncClient, "_send_handling_redirects"),
        (httpx.AsyncClient, "_send_single_request"),
        (httpx.AsyncClient, "_transport_for_url"),
        (httpx.AsyncHTTPTransport, "handle_async_request"),
        (httpcore.AsyncConnectionPool, "handle_async_request"),
        (httpcore.AsyncConnectionPool, "create_connection"),
    ],
)
async def test_replaced_methods_see_every_request(
    cls: type,
    name: str,
    simulator: tuple[Simulator, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a tool forbids never reaches the network, in a client old or new."""

    def refuse(*_: object, **__: object) -> None:
        raise Refusal

    async with MediaClient(None, base_url=simulator[1], retry=ONCE) as client:
        await client.upload(JPEG)
        sent = len(simulator[0].requests)
        with monkeypatch.context() as patch:
            patch.setattr(cls, name, refuse)
            with pytest.raises(Refusal):
                await client.read("m")
            async with MediaClient(None, base_url=simulator[1], retry=ONCE) as other:
                with pytest.raises(Refusal):
                    await other.read("m")
        refused = len(simulator[0].requests) - sent
        await client.upload(JPEG)

    assert refused == 0
    assert len(simulator[0].requests) == sent + 1


async def test_cassettes_of_vcr(
    simulator: tuple[Simulator, str], tmp_path: Path
) -> None:
    """vcrpy records what a client in use sends, and plays it without the network."""
    path = str(tmp_path / "cassette.yaml")
    async with MediaClient(None, base_url=simulator[1]) as client:
        media_id = (await client.upload(JPEG)).media_id
        with vcr.use_cassette(path, record_mode="once"):
            recorded = await client.read(media_id)
        sent = len(simulator[0].requests)
        with vcr.use_cassette(path, record_mode="none"):
            played = await client.read(media_id)

        assert played == recorded
        assert len(simulator[0].requests) == sent
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
        assert client.http._state.name == "OPENED"


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
        # Where tracers put theirs.
        async with client.http._transport, httpx.AsyncHTTPTransport() as theirs:
            client.http._transport = theirs
            told.append(client.transport)
    async with httpx.AsyncClient() as http:
        told.append(MediaClient(None, http=http).transport)
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:1")
    async with MediaClient(None) as client:
        told.append(client.transport)

    assert told == ["sockets", "httpx", "httpx", "yours", "httpx"]


@pytest.mark.parametrize(
    ("exceptions", "carries"),
    [("127.0.0.0/8", "sockets"), ("10.0.0.0/8", "httpx"), ("*", "sockets")],
)
async def test_the_transport_behind_a_proxy_is_told(
    exceptions: str, carries: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What NO_PROXY exempts goes over sockets, by the long way."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:1")
    monkeypatch.setenv("NO_PROXY", exceptions)
    async with MediaClient(None, base_url="http://127.0.0.1:1") as client:
        assert client.transport == carries
        assert is_open(client) is (exceptions == "*")


ALIASED = """
import httpx2
httpx2.alias_httpx()
import anyio, logging
logging.basicConfig(level=logging.INFO, format="%(name)s")
from tests.sockets.server import Server, always, client_to, whole

async def main():
    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")
            print(client._session.requests.shortcut.is_open(), end="")

anyio.run(main)
"""


def test_httpx2_by_the_name_of_httpx() -> None:
    """Where httpx2 goes by the name of httpx, it is open, and writes in its name."""
    done = subprocess.run(
        [sys.executable, "-c", ALIASED],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("True", "httpx2\n")
