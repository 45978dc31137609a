from __future__ import annotations

import socket
import ssl

import httpx
import pytest

from tests.transport.conftest import Authority
from tests.transport.servers import (
    CLOSE_OK,
    OK,
    Peer,
    answering,
    fetch,
    request_to,
    serving,
)
from wxmedia_async.transport import SocketTransport


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
async def test_facts(authority: Authority, tls: bool) -> None:
    """A response tells of its connection what httpx tells."""
    names: list[object] = []

    def script(peer: Peer) -> None:
        names.append(peer.sock.getpeername())
        answering(OK)(peer)

    context = authority.server("127.0.0.1") if tls else None
    with serving(script, tls=context) as server:
        async with SocketTransport(verify=authority.client()) as transport:
            response = await fetch(transport, request_to(server.url))
            info = response.extensions["network_stream"].get_extra_info
            sock, tls_object = info("socket"), info("ssl_object")
            version = tls_object and tls_object.version()

    assert isinstance(sock, socket.socket)
    assert isinstance(tls_object, ssl.SSLSocket) is tls
    assert version == ("TLSv1.3" if tls else None)
    assert info("server_addr") == ("127.0.0.1", server.port)
    assert [info("client_addr")] == names
    assert info("anything") is None


async def test_is_readable(transport: SocketTransport) -> None:
    """It tells whether there is something to be read, be it the end."""

    def script(peer: Peer) -> None:
        peer.request()
        peer.send(OK[:-5])
        peer.until_closed()

    with serving(script) as server:
        response = await transport.handle_async_request(request_to(server.url))
        stream = response.extensions["network_stream"]
        silent = stream.get_extra_info("is_readable")
        await response.aclose()
        closed = stream.get_extra_info("is_readable")

    assert not silent
    assert closed


async def test_after_the_connection(transport: SocketTransport) -> None:
    """The addresses are known also where the connection is closed by then."""
    with serving(answering(CLOSE_OK)) as server:
        async with httpx.AsyncClient(transport=transport) as client:
            response = await client.get(server.url)
    stream = response.extensions["network_stream"]

    assert stream.get_extra_info("server_addr") == ("127.0.0.1", server.port)


async def test_connection_that_was_reset(
    transport: SocketTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system does not tell an address any more, there is none."""

    class Nameless(socket.socket):
        def getpeername(self) -> object:
            raise OSError(107, "not connected")

    monkeypatch.setattr("wxmedia_async.transport._connect.socket.socket", Nameless)
    with serving(answering(OK)) as server:
        response = await fetch(transport, request_to(server.url))
        await transport.aclose()
    stream = response.extensions["network_stream"]

    assert stream.get_extra_info("server_addr") is None
