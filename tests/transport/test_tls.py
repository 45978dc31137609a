from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable

import anyio
import httpx
import pytest

from tests.transport.conftest import Authority
from tests.transport.servers import (
    CLOSE_OK,
    OK,
    Peer,
    always,
    answering,
    answering_and_closing,
    fetch,
    request_to,
    serving,
)
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._alpn import offered


def resumed(context: ssl.SSLContext) -> int:
    return context.session_stats()["hits"]


async def test_certificate_is_checked(authority: Authority) -> None:
    """Fault 1: an unknown authority is a ConnectError that tells its cause."""
    with serving(Peer.until_closed, tls=authority.server("127.0.0.1")) as server:
        async with SocketTransport() as transport:
            with pytest.raises(httpx.ConnectError) as caught:
                await fetch(transport, request_to(server.url))

    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)


async def test_name_is_checked(authority: Authority) -> None:
    """Fault 1: a certificate of another name is refused."""
    with serving(Peer.until_closed, tls=authority.server("other.test")) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            with pytest.raises(httpx.ConnectError, match="not valid for"):
                await fetch(transport, request_to(server.url))


@pytest.mark.parametrize(
    "name", ["other.test", b"other.test", "other.test."], ids=["str", "bytes", "dot"]
)
async def test_another_name(authority: Authority, name: str | bytes) -> None:
    """The name to expect can be given by request, and is a connection of its own."""
    names: list[str | None] = []
    tls = authority.server("other.test", "127.0.0.1")
    tls.sni_callback = lambda sock, name, context: names.append(name)

    with serving(always(OK), tls=tls) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            for _ in range(2):
                await fetch(transport, request_to(server.url, sni_hostname=name))
            await fetch(transport, request_to(server.url))

    assert names == ["other.test", None]


async def test_unverified(authority: Authority) -> None:
    """Verification can be switched off."""
    with serving(answering(OK), tls=authority.server("other.test")) as server:
        async with SocketTransport(verify=False) as transport:
            response = await fetch(transport, request_to(server.url))

    assert response.content == b"hello"


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)
@pytest.mark.parametrize("keep", [True, False], ids=["unread", "closed"])
async def test_resumption(
    authority: Authority, version: ssl.TLSVersion, keep: bool
) -> None:
    """Where the server closes after each reply, all handshakes but one are resumed."""
    tls = authority.server("127.0.0.1")
    tls.minimum_version = tls.maximum_version = version
    script = answering(CLOSE_OK) if keep else answering_and_closing(CLOSE_OK)
    with serving(script, tls=tls) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            for _ in range(10):
                await fetch(transport, request_to(server.url))

    assert server.accepted == 10
    assert resumed(tls) == 9


async def test_session_of_another_host(authority: Authority) -> None:
    """A host whose certificate is wrong gets in by no session of another one."""
    tls = authority.server("localhost")
    with serving(answering(CLOSE_OK), tls=tls) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            good = request_to(server.url, sni_hostname="localhost")
            await fetch(transport, good)
            with pytest.raises(httpx.ConnectError):
                await fetch(transport, request_to(server.url))
            await fetch(transport, good)

    assert resumed(tls) == 1


async def test_session_from_before_verification(authority: Authority) -> None:
    """A session made unverified does not outlive the change of the context's rules."""
    client = authority.client()
    client.check_hostname = False
    tls = authority.server("other.test")
    with serving(answering(CLOSE_OK), tls=tls) as server:
        async with SocketTransport(verify=client) as transport:
            await fetch(transport, request_to(server.url))
            client.check_hostname = True
            with pytest.raises(httpx.ConnectError):
                await fetch(transport, request_to(server.url))


async def test_sessions_are_bounded(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of too many sessions, the one not used for longest is forgotten."""
    monkeypatch.setattr("wxmedia_async.transport._tls.MAX_SESSIONS", 2)
    tls = authority.server("a.test", "b.test", "c.test")
    with serving(answering(CLOSE_OK), tls=tls) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            for name in ("a.test", "b.test", "a.test", "c.test", "b.test"):
                request = request_to(server.url, sni_hostname=name)
                await fetch(transport, request)

    assert resumed(tls) == 1


async def test_session_after_a_failed_handshake(authority: Authority) -> None:
    """A session is not offered again after a handshake that failed with it."""
    tls = authority.server("127.0.0.1")

    with serving(answering(CLOSE_OK), tls=tls) as server:
        client = authority.client()
        async with SocketTransport(verify=client) as transport:
            await fetch(transport, request_to(server.url))
            client.minimum_version = ssl.TLSVersion.TLSv1_3
            tls.maximum_version = ssl.TLSVersion.TLSv1_2
            with pytest.raises(httpx.ConnectError):
                await fetch(transport, request_to(server.url))
            tls.maximum_version = ssl.TLSVersion.TLSv1_3
            await fetch(transport, request_to(server.url))

    assert resumed(tls) == 0


def cut(peer: Peer) -> None:
    # Below TLS, as anybody on the way could.
    peer.sock.shutdown(socket.SHUT_RDWR)


async def test_cut_where_no_length_was_given(authority: Authority) -> None:
    """Fault 5: over TLS, a body that ends with the connection cannot be cut unseen."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        cut(peer)

    with serving(script, tls=authority.server("127.0.0.1")) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
                await fetch(transport, request_to(server.url))


async def test_closed_where_no_length_was_given(authority: Authority) -> None:
    """A body that ends with an orderly farewell is whole."""
    script = answering_and_closing(b"HTTP/1.1 200 OK\r\n\r\nhello")

    def polite(peer: Peer) -> None:
        script(peer)
        with contextlib.suppress(OSError):
            assert isinstance(peer.sock, ssl.SSLSocket)
            peer.sock.unwrap()

    with serving(polite, tls=authority.server("127.0.0.1")) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            response = await fetch(transport, request_to(server.url))

    assert response.content == b"hello"


async def test_large_body(authority: Authority) -> None:
    """Many records make one body."""
    content = bytes(range(250)) * 20_000
    wire = b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n" + content
    pieces: list[bytes] = []

    with serving(answering(wire), tls=authority.server("127.0.0.1")) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            response = await transport.handle_async_request(request_to(server.url))
            receive_into = response.extensions["receive_into"]
            size = await receive_into(lambda piece: pieces.append(bytes(piece)))

    assert size == len(content)
    assert b"".join(pieces) == content


@pytest.mark.parametrize("end", [cut, Peer.reset])
async def test_broken_body(authority: Authority, end: Callable[[Peer], None]) -> None:
    """Faults 3 and 4: what came before a break is handed over, then the break told."""
    pieces: list[bytes] = []

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + bytes(60_000))
        end(peer)

    with serving(script, tls=authority.server("127.0.0.1")) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            response = await transport.handle_async_request(request_to(server.url))
            receive_into = response.extensions["receive_into"]
            with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                await receive_into(lambda piece: pieces.append(bytes(piece)))

    assert len(b"".join(pieces)) <= 60_000


async def test_failed_handshake(authority: Authority) -> None:
    """Fault 1: a server that speaks no TLS is a ConnectError, and its socket closed."""

    def plain(peer: Peer) -> None:
        peer.send(OK)
        peer.until_closed()

    with serving(plain) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            url = server.url.replace("http://", "https://")
            with pytest.raises(httpx.ConnectError):
                await fetch(transport, request_to(url))


async def test_silent_handshake(authority: Authority) -> None:
    """Fault 6: a handshake that never ends is a ConnectTimeout."""
    with serving(Peer.until_closed) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            request = request_to(server.url.replace("http://", "https://"))
            request.extensions["timeout"] = {"connect": 0.05}
            with pytest.raises(httpx.ConnectTimeout):
                await fetch(transport, request)


@pytest.mark.parametrize("name", ["", ".test", "a\0b", "x" * 64])
async def test_impossible_name(authority: Authority, name: str) -> None:
    """A name that cannot be in a certificate is a ConnectError."""
    with serving(Peer.until_closed) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            url = server.url.replace("http://", "https://")
            with pytest.raises(httpx.ConnectError):
                await fetch(transport, request_to(url, sni_hostname=name))


class Own(ssl.SSLContext):
    """A context with its own idea of which protocols are offered."""

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        super().set_alpn_protocols(["h2"])


async def test_another_protocol(authority: Authority) -> None:
    """A server that wants to speak HTTP/2 is an error, not a connection."""
    tls, client = authority.server("127.0.0.1"), Own(ssl.PROTOCOL_TLS_CLIENT)
    authority.ca.configure_trust(client)
    tls.set_alpn_protocols(["h2"])

    with serving(Peer.until_closed, tls=tls) as server:
        async with SocketTransport(verify=client) as transport:
            with pytest.raises(httpx.ConnectError, match="h2"):
                await fetch(transport, request_to(server.url))


def noting(agreed: list[str | None]) -> Callable[[Peer], None]:
    """Answer, and take note of the protocol that was agreed on."""

    def script(peer: Peer) -> None:
        assert isinstance(peer.sock, ssl.SSLSocket)
        agreed.append(peer.sock.selected_alpn_protocol())
        answering(CLOSE_OK)(peer)

    return script


async def test_protocol_is_offered(authority: Authority) -> None:
    """A context of our own offers HTTP/1.1 to a server that speaks more."""
    tls = authority.server("127.0.0.1")
    tls.set_alpn_protocols(["h2", "http/1.1"])
    agreed: list[str | None] = []

    with serving(noting(agreed), tls=tls) as server:
        async with SocketTransport(verify=False) as transport:
            await fetch(transport, request_to(server.url))

    assert agreed == ["http/1.1"]


@pytest.mark.parametrize("before", [[], ["h2"], ["h2", "http/1.1"], ["x" * 255]])
@pytest.mark.parametrize("kind", [ssl.SSLContext, type("Own", (ssl.SSLContext,), {})])
async def test_protocol_is_offered_by_a_context_of_the_users(
    authority: Authority, kind: type[ssl.SSLContext], before: list[str]
) -> None:
    """A context of the user's offers HTTP/1.1 to us, and to others what it did."""
    tls, client = authority.server("127.0.0.1"), kind(ssl.PROTOCOL_TLS_CLIENT)
    authority.ca.configure_trust(client)
    client.set_alpn_protocols(before)
    tls.set_alpn_protocols(["h2", "http/1.1"])
    agreed: list[str | None] = []

    with serving(noting(agreed), tls=tls) as server:
        async with SocketTransport(verify=client) as transport:
            for _ in range(2):
                await fetch(transport, request_to(server.url))

    assert agreed == ["http/1.1"] * 2
    assert offered(client) == before


async def test_offer_after_a_failed_handshake(authority: Authority) -> None:
    """What a context offers is put back where TLS cannot even begin."""
    client = authority.client()
    client.set_alpn_protocols(["h2"])

    with serving(Peer.until_closed) as server:
        async with SocketTransport(verify=client) as transport:
            url = server.url.replace("http://", "https://")
            with pytest.raises(httpx.ConnectError):
                await fetch(transport, request_to(url, sni_hostname="x" * 300))

    assert offered(client) == ["h2"]


class LooksAtTheChain(ssl.SSLSocket):
    """Verifies by means of its own, and so needs the certificates every time."""

    handshakes = 0

    def do_handshake(self, block: bool = False) -> None:
        super().do_handshake(block)
        assert self.session_reused is False
        LooksAtTheChain.handshakes += 1


def subclass() -> ssl.SSLContext:
    class Context(ssl.SSLContext):
        sslsocket_class = LooksAtTheChain

    return Context(ssl.PROTOCOL_TLS_CLIENT)


def attribute() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.sslsocket_class = LooksAtTheChain
    return context


@pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)
@pytest.mark.parametrize("make", [subclass, attribute])
async def test_no_resumption(
    authority: Authority,
    make: Callable[[], ssl.SSLContext],
    version: ssl.TLSVersion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A context that verifies by other means as well sees every certificate."""
    monkeypatch.setattr(LooksAtTheChain, "handshakes", 0)
    tls, client = authority.server("127.0.0.1"), make()
    authority.ca.configure_trust(client)
    tls.minimum_version = tls.maximum_version = version

    with serving(answering(CLOSE_OK), tls=tls) as server:
        async with SocketTransport(verify=client) as transport:
            for _ in range(3):
                await fetch(transport, request_to(server.url))

    assert LooksAtTheChain.handshakes == 3
    assert resumed(tls) == 0


async def test_tickets_on_an_idle_connection(authority: Authority) -> None:
    """What TLS itself sends on an idle connection does not make it stale."""
    tls = authority.server("127.0.0.1")
    tls.num_tickets = 2

    with serving(always(OK), tls=tls) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            for _ in range(5):
                await fetch(transport, request_to(server.url))
                await anyio.lowlevel.checkpoint()

    assert server.accepted == 1
