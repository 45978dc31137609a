"""Proxies of each kind, as scripts of a `Server`."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import Callable

from tests.sockets.server import Peer, Script

_PATIENCE = 10.0


def http_proxy(peer: Peer) -> None:
    """Open a tunnel to wherever the client wants."""
    target = peer.read_head().split(b" ", 2)[1].decode()
    host, _, port = target.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), _PATIENCE) as server:
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        _pump(peer.sock, server)


def socks_proxy(*, password: bool = False) -> Script:
    """Speak SOCKS5, and do as told; an address of IPv4 is all that it knows."""

    def script(peer: Peer) -> None:
        greet(peer, password=password)
        _, _, _, kind = peer.exactly(4)
        assert kind == 1
        host = socket.inet_ntoa(peer.exactly(4))
        port = int.from_bytes(peer.exactly(2), "big")
        with socket.create_connection((host, port), _PATIENCE) as server:
            peer.send(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00")
            _pump(peer.sock, server)

    return script


def greet(peer: Peer, *, password: bool = False) -> None:
    """Agree on how the client says who it is."""
    version, count = peer.exactly(2)
    methods = peer.exactly(count)
    assert version == 5
    if not password:
        assert 0 in methods
        peer.send(b"\x05\x00")
        return
    assert 2 in methods
    peer.send(b"\x05\x02")
    _, length = peer.exactly(2)
    name = peer.exactly(length)
    (length,) = peer.exactly(1)
    assert (name, peer.exactly(length)) == (b"user", b"PASSWORD")
    peer.send(b"\x01\x00")


def then_silent(*steps: Callable[[Peer], object]) -> Script:
    """Do these steps, then nothing until the client closes."""

    def script(peer: Peer) -> None:
        for step in steps:
            step(peer)
        peer.reached.set()
        peer.drain()

    return script


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Hand on all bytes, in both directions, until an end closes."""
    peers = {one: other, other: one}
    while True:
        ready = [s for s in peers if isinstance(s, ssl.SSLSocket) and s.pending()]
        for sock in ready or select.select([*peers], [], [], _PATIENCE)[0]:
            data = sock.recv(65536)
            if not data:
                return
            peers[sock].sendall(data)
