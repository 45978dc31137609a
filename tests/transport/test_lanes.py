from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
import respx

from tests.sockets.server import (
    CONTEXT,
    Peer,
    Script,
    Server,
    always,
    answers,
    refusing_url,
    response,
    said,
    stalls_after,
    whole,
)
from wxmedia_async import UnsafeURL
from wxmedia_async.transport._lanes import LaneTransport
from wxmedia_async.transport._open import Opener
from wxmedia_async.transport._tls import encryption_for

LARGE = bytes(2_000_000)


def lane_transport(
    *, proxy: str | None = None, context: ssl.SSLContext = CONTEXT
) -> LaneTransport:
    return LaneTransport(Opener(encryption_for(context)), proxy=proxy)


@asynccontextmanager
async def lanes(
    *, proxy: str | None = None, context: ssl.SSLContext = CONTEXT
) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of httpx upon lanes."""
    transport = lane_transport(proxy=proxy, context=context)
    async with httpx.AsyncClient(transport=transport) as client:
        yield client


def labelled() -> Iterator[Script]:
    """Scripts that answer with the number of their connection."""
    yield from (always(said(str(number))) for number in range(9))


def dies_on_second_request(peer: Peer) -> None:
    answers(said("0"))(peer)
    peer.read_request()


class Guard:
    """Refuses the addresses that it is told to, and remembers all."""

    def __init__(self, *refused: str) -> None:
        self.seen: list[str] = []
        self._refused = refused

    def __call__(self, address: str) -> None:
        self.seen.append(address)
        if address in self._refused:
            raise UnsafeURL("not there", host=address)


class Names:
    """A DNS with one entry, which may take for ever or fail."""

    def __init__(self, *addresses: str, fails: bool = False) -> None:
        self._addresses = addresses
        self._fails = fails
        self.lookups = 0

    async def getaddrinfo(
        self, host: str, port: int, **options: object
    ) -> list[tuple[object, ...]]:
        self.lookups += 1
        if self._fails:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        if not self._addresses:
            await anyio.sleep_forever()
        kinds = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [(*kinds, (address, port)) for address in self._addresses]


def guarded(guard: Guard, *, connect: float = 5.0) -> dict[str, object]:
    return {"guard_address": guard, "timeout": {"connect": connect}}


async def test_lane_used_last_is_used_next() -> None:
    """Of two idle connections the one that was used last is taken."""
    with Server(*labelled()) as server:
        async with lanes() as client:
            async with client.stream("GET", server.url) as one:
                async with client.stream("GET", server.url) as other:
                    await other.aread()
                    await one.aread()
            following = await client.get(server.url)

    assert (one.text, other.text) == ("0", "1")
    assert following.text == one.text
    assert server.connections == 2


async def test_lane_is_released_once() -> None:
    """A reply that is closed twice does not put its connection up for two."""
    with Server(*labelled()) as server:
        async with lanes() as client:
            reply = await client.get(server.url)
            await reply.stream.aclose()  # type: ignore[union-attr]  # async client
            async with client.stream("GET", server.url) as one:
                async with client.stream("GET", server.url) as other:
                    texts = {await one.aread(), await other.aread()}

    assert texts == {b"0", b"1"}


async def test_failed_request_releases_its_lane() -> None:
    """A lane whose request failed serves the next one."""
    transport = lane_transport()
    with Server(always(said("{}"))) as server, refusing_url() as refusing:
        async with httpx.AsyncClient(transport=transport) as client:
            for _ in range(3):
                with pytest.raises(httpx.ConnectError):
                    await client.get(refusing)
            await client.get(server.url)

            assert len(transport._idle) == 1
            assert not transport._busy


async def test_close_ends_idle_and_busy_lanes() -> None:
    """Closing the transport closes connections in use as well."""
    with Server(always(said("{}")), stalls_after(whole(LARGE))) as server:
        transport = lane_transport()
        busy = httpx.Request("GET", server.url)
        async with httpx.AsyncClient(transport=transport) as client:
            async with client.stream("GET", server.url) as idle:
                response = await transport.handle_async_request(busy)
                await idle.aread()
        await server.until_gone(0)
        await response.aclose()
        await server.until_gone(1)


async def test_late_reply_does_not_bring_a_lane_back() -> None:
    """A reply that ends after the transport was closed leaves nothing behind."""
    with Server(always(said("{}"))) as server:
        transport = lane_transport()
        request = httpx.Request("GET", server.url)
        response = await transport.handle_async_request(request)
        await transport.aclose()
        await response.aclose()

        assert not transport._idle
        await server.until_gone(0)


@pytest.mark.parametrize(
    ("method", "answer", "resent"),
    [
        ("GET", None, True),
        ("POST", None, False),
        ("GET", False, False),
        ("POST", True, True),
    ],
)
async def test_resending_is_asked_for(
    method: str, answer: bool | None, resent: bool
) -> None:
    """A stale connection costs nothing, by leave of the caller or of the method."""
    extensions = {} if answer is None else {"may_resend": lambda: answer}
    with Server(dies_on_second_request, always(said("1"))) as server:
        async with lanes() as client:
            await client.get(server.url)
            if resent:
                reply = await client.request(method, server.url, extensions=extensions)
                assert (reply.text, reply.extensions["stale_retry"]) == ("1", True)
            else:
                with pytest.raises(httpx.RemoteProtocolError):
                    await client.request(method, server.url, extensions=extensions)

    assert server.connections == (2 if resent else 1)


def says_nonsense_the_second_time(peer: Peer) -> None:
    answers(said("0"))(peer)
    peer.read_request()
    peer.send(b"nonsense\r\n\r\n")


def says_half_a_head_the_second_time(peer: Peer) -> None:
    answers(said("0"))(peer)
    peer.read_request()
    peer.send(b"HTTP/1.1 20")


def stalls_the_second_time(peer: Peer) -> None:
    answers(said("0"))(peer)
    peer.read_request()
    peer.wait_closed()


@pytest.mark.parametrize(
    "script",
    [
        says_nonsense_the_second_time,
        says_half_a_head_the_second_time,
        stalls_the_second_time,
    ],
)
async def test_what_was_answered_is_not_sent_again(script: Script) -> None:
    """One byte of a reply, or a server that keeps silent, is no stale connection."""
    timeout = {"timeout": {"read": 0.1}, "may_resend": lambda: True}
    with Server(script, always(said("1"))) as server:
        async with lanes() as client:
            await client.get(server.url)
            with pytest.raises(httpx.TransportError):
                await client.get(server.url, extensions=timeout)

    assert server.connections == 1


async def test_body_that_cannot_be_sent_again() -> None:
    """A body that says so is not sent a second time, whoever allows it."""

    class Once(httpx.AsyncByteStream):
        replayable = False

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"once"

    headers = {"Host": "127.0.0.1", "Content-Length": "4"}
    with Server(dies_on_second_request, always(said("1"))) as server:
        request = httpx.Request(
            "POST",
            server.url,
            headers=headers,
            stream=Once(),
            extensions={"may_resend": lambda: True},
        )
        async with lanes() as client:
            await client.get(server.url)
            with pytest.raises(httpx.RemoteProtocolError):
                await client.send(request)

    assert server.connections == 1


async def test_fresh_connection_is_not_taken_for_stale() -> None:
    """What fails on a new connection is not sent again in silence."""
    asked: list[bool] = []
    extensions = {"may_resend": lambda: asked.append(True)}
    with Server(lambda peer: None) as server:
        async with lanes() as client:
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await client.get(server.url, extensions=extensions)

    assert asked == []
    assert server.connections == 1


@pytest.mark.parametrize("is_proxy", [False, True])
@pytest.mark.parametrize(
    "surplus", [said("not asked for"), b"HTTP/1.1 2", b"\r\n", b"x"], ids=range(4)
)
async def test_bytes_behind_a_reply(surplus: bytes, is_proxy: bool) -> None:
    """What comes behind a reply is not taken for the reply to the next request."""
    scripts = always(said("0") + surplus), always(said("1"))
    with Server(*scripts) as server:
        async with lanes(proxy=server.url if is_proxy else None) as client:
            texts = [(await client.get(server.url)).text for _ in range(3)]

    assert texts == ["0", "1", "1"]
    assert server.connections == 2


async def test_guard_sees_the_address_before_it_is_connected_to() -> None:
    """What the guard raises ends the request, unchanged and without a connection."""
    guard = Guard("127.0.0.1")
    with Server(always(said("{}"))) as server:
        async with lanes() as client:
            with pytest.raises(UnsafeURL) as info:
                await client.get(server.url, extensions=guarded(guard))

    assert info.value.host == "127.0.0.1"
    assert guard.seen == ["127.0.0.1"]
    assert server.connections == 0


async def test_guard_sees_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """One refused address is enough, even after one that would do."""
    guard = Guard("10.0.0.1")
    names = Names("127.0.0.1", "10.0.0.1")
    with Server(always(said("{}"))) as server:
        async with lanes() as client:
            monkeypatch.setattr(anyio, "getaddrinfo", names.getaddrinfo)
            with pytest.raises(UnsafeURL):
                await client.get(
                    f"http://name.test:{server.port}", extensions=guarded(guard)
                )

    assert guard.seen == ["127.0.0.1", "10.0.0.1"]
    assert server.connections == 0


async def test_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that the guard saw is connected to, so DNS cannot change it."""
    guard = Guard()
    names = Names("127.0.0.1")
    with Server(always(said("{}"))) as server:
        async with lanes() as client:
            monkeypatch.setattr(anyio, "getaddrinfo", names.getaddrinfo)
            reply = await client.get(
                f"http://name.test:{server.port}", extensions=guarded(guard)
            )

    assert reply.json() == {}
    assert names.lookups == 1
    assert guard.seen == ["127.0.0.1"]
    assert server.requests[0].header("host") == f"name.test:{server.port}"


async def test_next_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several addresses one that works is enough."""
    names = Names("127.0.0.77", "127.0.0.1")
    with Server(always(said("{}"))) as server:
        async with lanes() as client:
            monkeypatch.setattr(anyio, "getaddrinfo", names.getaddrinfo)
            reply = await client.get(
                f"http://name.test:{server.port}", extensions=guarded(Guard())
            )

    assert reply.json() == {}


async def test_no_address_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no address works it is a failure to connect."""
    names = Names("127.0.0.1", "127.0.0.1")
    with refusing_url() as refusing:
        url = refusing.replace("127.0.0.1", "name.test")
        async with lanes() as client:
            monkeypatch.setattr(anyio, "getaddrinfo", names.getaddrinfo)
            with pytest.raises(httpx.ConnectError):
                await client.get(url, extensions=guarded(Guard()))


async def test_name_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without an address is a failure to connect."""
    async with lanes() as client:
        monkeypatch.setattr(anyio, "getaddrinfo", Names(fails=True).getaddrinfo)
        with pytest.raises(httpx.ConnectError, match="no such name"):
            await client.get("http://name.test", extensions=guarded(Guard()))


async def test_lookup_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeout to connect covers the lookup."""
    async with lanes() as client:
        monkeypatch.setattr(anyio, "getaddrinfo", Names().getaddrinfo)
        with pytest.raises(httpx.ConnectTimeout):
            await client.get(
                "http://name.test", extensions=guarded(Guard(), connect=0.01)
            )


async def test_guard_is_not_asked_by_a_mock() -> None:
    """Where respx answers nothing is connected to, so there is nothing to check."""
    guard = Guard("127.0.0.1")
    async with respx.mock, lanes() as client:
        respx.get("http://127.0.0.1/").respond(json={"mocked": True})
        reply = await client.get("http://127.0.0.1/", extensions=guarded(guard))

    assert reply.json() == {"mocked": True}
    assert guard.seen == []


async def test_guard_is_not_asked_by_a_proxy() -> None:
    """Through a proxy the name is looked up elsewhere."""
    guard = Guard("127.0.0.1")
    with Server(always(said("{}"))) as proxy:
        async with lanes(proxy=proxy.url) as client:
            await client.get("http://127.0.0.1:1/x", extensions=guarded(guard))

    assert proxy.requests[0].target == "http://127.0.0.1:1/x"
    assert guard.seen == []


async def test_guard_sees_where_a_kept_connection_leads() -> None:
    """A connection from before is not used where the guard refuses its address."""
    guard = Guard("127.0.0.1")
    with Server(always(said("{}"))) as server:
        async with lanes() as client:
            await client.get(server.url)
            with pytest.raises(UnsafeURL):
                await client.get(server.url, extensions=guarded(guard))
            other = server.url.replace("127.0.0.1", "127.0.0.2")
            with pytest.raises(httpx.ConnectError):
                await client.get(other, extensions=guarded(guard))

    assert guard.seen == ["127.0.0.1", "127.0.0.2"]
    assert len(server.requests) == 1


async def test_closed_transport_sends_nothing() -> None:
    """A request after the end is an error of its sender."""
    transport = lane_transport()
    await transport.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await transport.handle_async_request(httpx.Request("GET", "http://a.test"))


async def test_closing_wakes_who_waits_for_a_body() -> None:
    """A reader gets an error as soon as the transport is closed, without a timeout."""
    endless = response(b"", "Content-Length: 10")
    transport = lane_transport()
    with Server(stalls_after(endless)) as server:
        reply = await transport.handle_async_request(httpx.Request("GET", server.url))
        assert isinstance(reply.stream, httpx.AsyncByteStream)

        async def read() -> None:
            with pytest.raises(httpx.ReadError):
                await reply.aread()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await transport.aclose()

        await server.until_gone(0)


async def test_closing_ends_who_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that still looks for its host ends when the transport is closed."""
    monkeypatch.setattr(anyio, "getaddrinfo", Names().getaddrinfo)
    transport = lane_transport()

    async def fetch() -> None:
        with pytest.raises(httpx.NetworkError, match="closed"):
            await transport.handle_async_request(
                httpx.Request("GET", "http://name.test")
            )

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fetch)
        await anyio.wait_all_tasks_blocked()
        await transport.aclose()


async def test_facts_of_a_connection() -> None:
    """The response says what it came over, as httpx's own does."""
    with Server(always(said("{}"))) as server:
        async with lanes() as client, client.stream("GET", server.url) as reply:
            stream = reply.extensions["network_stream"]
            address = stream.get_extra_info("server_addr")
            tls = stream.get_extra_info("ssl_object")

    assert address == ("127.0.0.1", server.port)
    assert tls is None


async def test_httpcore_may_pause() -> None:
    """httpcore sleeps through the backend between retries of its own."""
    network = lane_transport()._make_lane().network
    before = anyio.current_time()

    await network.sleep(0.02)

    # uvloop's clock counts whole milliseconds.
    assert anyio.current_time() - before >= 0.01
