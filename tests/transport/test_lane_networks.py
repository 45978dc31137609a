"""httpx's stack on our sockets: TLS, tunnels, SOCKS, and what stays open."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import socket
import ssl
from collections.abc import Callable, Iterator

import anyio
import httpx
import pytest

from tests.sockets.proxies import greet, http_proxy, socks_proxy, then_silent
from tests.sockets.server import (
    Peer,
    Script,
    Server,
    always,
    answers,
    response,
    said,
)
from tests.transport.conftest import Authority
from tests.transport.test_lanes import lanes
from wxmedia_async.transport import _connect, _turns
from wxmedia_async.transport._channel import Clear, encrypted
from wxmedia_async.transport._connection import Connection
from wxmedia_async.transport._network import Network
from wxmedia_async.transport._open import Opener
from wxmedia_async.transport._tls import encryption_for
from wxmedia_async.transport._waiting import waiter_for

PROXIES: dict[str, tuple[str, Script]] = {
    "http": ("http://127.0.0.1", http_proxy),
    "https": ("https://127.0.0.1", http_proxy),
    "socks": ("socks5://127.0.0.1", socks_proxy()),
    "password": ("socks5h://user:PASSWORD@127.0.0.1", socks_proxy(password=True)),
}


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return authority.client()


@pytest.fixture(scope="module")
def tls(authority: Authority) -> ssl.SSLContext:
    context = authority.server("127.0.0.1")
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The garbage collector closes what was left open, some time later."""
    gc.disable()
    yield
    gc.enable()


def proxy_server(kind: str, tls: ssl.SSLContext, *scripts: Script) -> Server:
    return Server(*scripts, tls=tls if kind == "https" else None)


def url_of(kind: str, proxy: Server) -> str:
    return f"{PROXIES[kind][0]}:{proxy.port}"


@pytest.mark.parametrize("kind", PROXIES)
async def test_tls_through_a_proxy(
    kind: str, context: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    """A tunnel of each kind leads to a server by TLS, and is kept for more requests."""
    url, script = PROXIES[kind]
    large = "x" * 500_000
    with Server(always(said(large)), tls=tls) as server:
        with proxy_server(kind, tls, script) as proxy:
            async with lanes(proxy=f"{url}:{proxy.port}", context=context) as client:
                first = await client.get(server.url)
                second = await client.post(server.url, content=b"y" * 500_000)
                spoken = first.extensions["network_stream"].get_extra_info("ssl_object")
                protocol = spoken.selected_alpn_protocol()

    assert (first.text, second.text) == (large, large)
    assert server.requests[1].body == b"y" * 500_000
    assert proxy.connections == server.connections == 1
    assert protocol == "http/1.1"


@pytest.mark.parametrize("kind", ["socks", "password"])
async def test_plain_http_through_socks(kind: str) -> None:
    """A SOCKS proxy leads to a server without TLS as well."""
    with Server(always(said("{}"))) as server, Server(PROXIES[kind][1]) as proxy:
        async with lanes(proxy=url_of(kind, proxy)) as client:
            assert (await client.get(server.url)).json() == {}


async def test_certificate_behind_a_tunnel(
    authority: Authority, tls: ssl.SSLContext
) -> None:
    """A tunnel's far end must show a certificate that we trust, and hears if not."""
    alerts: list[BaseException] = []

    def fails(peer: Peer) -> None:
        with pytest.raises(OSError, match=r"(?i)alert|eof|reset") as info:
            tls.wrap_socket(peer.sock, server_side=True).recv(1)
        alerts.append(info.value)

    with Server(fails) as server, Server(http_proxy) as proxy:
        async with lanes(proxy=proxy.url) as client:
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.get(server.url.replace("http:", "https:"))
        await proxy.until_gone(0)

    assert "ALERT" in str(alerts[0])


@pytest.mark.parametrize("name", [".test", "a\0b", "x" * 64])
async def test_impossible_name(name: str) -> None:
    """A name that cannot be in a certificate is a ConnectError."""
    with Server(then_silent()) as server:
        async with lanes() as client:
            with pytest.raises(httpx.ConnectError, match="no name of a server"):
                await client.get(
                    server.url.replace("http:", "https:"),
                    extensions={"sni_hostname": name},
                )
            await server.until_reached()
            await server.until_gone(0)


class Twisted:
    """A channel to a peer of ours that shakes hands, and then talks nonsense."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._peer = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def receive(self, count: int, timeout: float | None) -> bytes:
        return self._outgoing.read(count) or b"nonsense"

    async def send(self, data: bytes, timeout: float | None) -> None:
        self._incoming.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self._peer.do_handshake()


async def test_tls_that_is_broken(context: ssl.SSLContext, tls: ssl.SSLContext) -> None:
    """Where TLS has broken, neither direction goes on."""
    encryption = encryption_for(context)
    channel = encrypted(Twisted(tls), encryption, "127.0.0.1")
    await channel.shake_hands()

    with pytest.raises(httpx.ReadError):
        await channel.receive(9, None)
    with pytest.raises(httpx.WriteError):
        await channel.send(b"x", None)


def says_hello(peer: Peer) -> None:
    peer.send(b"hello")


async def test_stream_that_is_closed_late(context: ssl.SSLContext) -> None:
    """Of an earlier connection, it takes no other one along."""
    with Server(then_silent(says_hello)) as server:
        network = Network(Opener(encryption_for(context)))
        early = await network.connect_tcp("127.0.0.1", server.port)
        late = await network.connect_tcp("127.0.0.1", server.port)
        await early.aclose()
        heard = await late.read(5)
        network.close()
        await server.until_gone(1)

    assert heard == b"hello"


async def test_stream_within_tls_that_is_cut(
    context: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    """A body that ends with the connection, but without TLS's farewell, is an error."""

    def cuts(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        peer.sock.shutdown(socket.SHUT_RDWR)

    with Server(cuts, tls=tls) as server:
        async with lanes(context=context) as client:
            with pytest.raises(httpx.ReadError):
                await client.get(server.url)


async def test_farewell_of_tls_ends_a_body(
    context: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    """A body that ends with the connection is whole where TLS says farewell."""

    def ends(peer: Peer) -> None:
        peer.read_request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nwhole")
        assert isinstance(peer.sock, ssl.SSLSocket)
        peer.sock = peer.sock.unwrap()

    with Server(ends, tls=tls) as server:
        async with lanes(context=context) as client:
            assert (await client.get(server.url)).text == "whole"


def closes_at_the_second(peer: Peer) -> None:
    answers(said("0"))(peer)
    peer.read_request()


@pytest.mark.parametrize("kind", [None, *PROXIES])
async def test_stale_connection_by_tls(
    kind: str | None, context: ssl.SSLContext, tls: ssl.SSLContext
) -> None:
    """A kept connection that the server has closed is replaced, through each proxy."""
    scripts = (closes_at_the_second, always(said("1")))
    allowed = {"may_resend": lambda: True}
    with Server(*scripts, tls=tls) as server:
        with proxy_server(kind or "", tls, PROXIES[kind or "http"][1]) as proxy:
            through = None if kind is None else url_of(kind, proxy)
            async with lanes(proxy=through, context=context) as client:
                await client.get(server.url)
                reply = await client.post(server.url, extensions=allowed)

    assert reply.text == "1"
    assert server.connections == 2


async def test_stale_connection_to_a_proxy() -> None:
    """A kept connection that the proxy has closed is replaced."""
    allowed = {"may_resend": lambda: True}
    with Server(closes_at_the_second, always(said("1"))) as proxy:
        async with lanes(proxy=proxy.url) as client:
            await client.get("http://a.test")
            reply = await client.post("http://a.test", extensions=allowed)

    assert reply.text == "1"


def connected(peer: Peer) -> None:
    peer.read_head()
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n")


def socks_connected(peer: Peer) -> None:
    greet(peer)
    peer.exactly(10)
    peer.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")


def hello(peer: Peer) -> None:
    peer.exactly(5)


SILENT: dict[str, tuple[str | None, Script]] = {
    "tls": (None, then_silent(hello)),
    "connect": ("http", then_silent(Peer.read_head)),
    "tls-in-tunnel": ("http", then_silent(connected, hello)),
    "tls-of-proxy": ("https", then_silent(hello)),
    "greeting": ("socks5", then_silent(lambda peer: peer.exactly(3))),
    "command": ("socks5", then_silent(greet, lambda peer: peer.exactly(10))),
    "tls-in-socks": ("socks5", then_silent(socks_connected, hello)),
}


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("step", SILENT)
async def test_cancelled_on_the_way(step: str, context: ssl.SSLContext) -> None:
    """Cancelled in any handshake, a request leaves no socket open."""
    scheme, script = SILENT[step]
    with Server(script) as server:
        proxy = None if scheme is None else f"{scheme}://127.0.0.1:{server.port}"
        async with lanes(proxy=proxy, context=context) as client:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(client.get, f"https://127.0.0.1:{server.port}")
                await server.until_reached()
                tasks.cancel_scope.cancel()

            await server.until_gone(0)


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("step", SILENT)
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_cancelled_natively(
    step: str, times: int, context: ssl.SSLContext, anyio_backend_name: str
) -> None:
    """So it does when asyncio cancels its task, and its clean-up as well."""
    if anyio_backend_name != "asyncio":
        pytest.skip("trio has no such cancellation")
    scheme, script = SILENT[step]
    with Server(script) as server:
        proxy = None if scheme is None else f"{scheme}://127.0.0.1:{server.port}"
        async with lanes(proxy=proxy, context=context) as client:
            request = client.get(f"https://127.0.0.1:{server.port}")
            task = asyncio.create_task(request)
            await server.until_reached()
            for _ in range(times):
                task.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([task])

            await server.until_gone(0)


@pytest.mark.parametrize("step", SILENT)
async def test_silence_on_the_way(step: str, context: ssl.SSLContext) -> None:
    """No handshake lasts longer than the timeouts say."""
    scheme, script = SILENT[step]
    with Server(script) as server:
        proxy = None if scheme is None else f"{scheme}://127.0.0.1:{server.port}"
        async with lanes(proxy=proxy, context=context) as client:
            with pytest.raises(httpx.TimeoutException):
                await client.get(f"https://127.0.0.1:{server.port}", timeout=0.1)

            await server.until_gone(0)


def nonsense_first(peer: Peer) -> None:
    peer.exactly(3)
    peer.send(response(b"", status="400 Bad Request"))


def nonsense_later(peer: Peer) -> None:
    greet(peer)
    peer.exactly(10)
    peer.send(b"\x05\x00\x00\x09nonsense")


def no_method(peer: Peer) -> None:
    peer.exactly(3)
    peer.send(b"\x05\xff")


def refusal(peer: Peer) -> None:
    greet(peer)
    peer.exactly(10)
    peer.send(b"\x05\x05\x00\x01\x7f\x00\x00\x01\x00\x00")


def end_at_once(peer: Peer) -> None:
    peer.exactly(3)
    peer.sock.shutdown(socket.SHUT_WR)


def wrong_password(peer: Peer) -> None:
    peer.exactly(3)
    peer.send(b"\x05\x02")
    peer.exactly(15)
    peer.send(b"\x01\x01")


SPOKEN: list[tuple[str, Callable[[Peer], None]]] = [
    ("", nonsense_first),
    ("", nonsense_later),
    ("", no_method),
    ("", refusal),
    ("", end_at_once),
    ("user:PASSWORD@", nonsense_first),
    ("user:PASSWORD@", wrong_password),
]


@pytest.mark.parametrize(("user", "script"), SPOKEN)
async def test_proxy_that_speaks_no_socks(
    user: str, script: Callable[[Peer], None]
) -> None:
    """Whatever a SOCKS proxy says, its failure is one of httpx's, and it is left."""
    with Server(then_silent(script)) as proxy:
        url = f"socks5://{user}127.0.0.1:{proxy.port}"
        async with lanes(proxy=url) as client:
            with pytest.raises(httpx.ProxyError):
                await client.get("http://127.0.0.1:1", timeout=5)

            await proxy.until_gone(0)


@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
@pytest.mark.parametrize("scheme", [None, "http", "socks5"])
async def test_what_this_machine_lacks(
    lack: int, scheme: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That no socket can be opened here is an OSError, and no failure of the network."""

    async def fails(*_: object) -> None:
        raise OSError(lack, "lacking")

    monkeypatch.setattr(_connect, "_connect", fails)
    proxy = None if scheme is None else f"{scheme}://127.0.0.1:1"
    async with lanes(proxy=proxy) as client:
        with pytest.raises(OSError, match="lacking") as info:
            await client.get("http://127.0.0.1:1")

    assert info.value.errno == lack


def received(sock: socket.socket, size: int) -> bytes:
    sock.settimeout(5)
    with sock.makefile("rb") as file:
        return file.read(size)


async def test_more_than_there_is_room_for() -> None:
    """What the system does not take at once is sent as soon as it does."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection("", ours, waiter_for(ours))
    content = bytes(range(250)) * 20_000

    with theirs:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Clear(connection).send, content, None)
            await anyio.wait_all_tasks_blocked()
            arrived = await anyio.to_thread.run_sync(received, theirs, len(content))
        connection.close()

    assert arrived == content


async def test_long_transfers_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where bytes are always ready, the event loop gets its turn in between."""
    monkeypatch.setattr(_turns, "BUDGET", -1)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    connection = Connection("", ours, waiter_for(ours))
    theirs.sendall(b"ready")
    ended: list[bool] = []
    for step in (
        Clear(connection).receive(9, None),
        Clear(connection).send(b"x", None),
    ):
        with anyio.CancelScope() as scope:
            scope.cancel()
            await step
        ended.append(scope.cancelled_caught)
    connection.close()
    theirs.close()

    assert ended == [True, True]
