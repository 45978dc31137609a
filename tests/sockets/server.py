"""A server that does on its sockets what a script says, faults included."""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.to_thread
import attrs

from tests.fakes import EAGER, JPEG, TOKEN
from wxmedia_async import MediaClient

# Made once: loading the certificates of the system takes a while.
CONTEXT = ssl.create_default_context()

# Longer than anything here takes; reached only where something hangs.
_PATIENCE = 10.0

_NO_LINGER = struct.pack("ii", 1, 0)


@attrs.frozen
class Request:
    """What came in: the head as it was sent, and the body by its length."""

    head: bytes
    body: bytes

    @property
    def target(self) -> str:
        """The path with the query."""
        return self.head.split(b" ", 2)[1].decode()

    def header(self, name: str) -> str | None:
        """Return the header's value, None where it was not sent."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode().lower() == name:
                return value.strip().decode()
        return None


class Peer:
    """The server's side of one connection."""

    def __init__(
        self,
        sock: socket.socket,
        requests: list[Request],
        reached: threading.Event,
    ) -> None:
        self.sock = sock
        self._requests = requests
        self._buffer = bytearray()
        self.gone = threading.Event()
        self.reached = reached
        self._finished = threading.Event()

    def read_head(self) -> bytes:
        """Read up to the empty line, and none of the body."""
        while b"\r\n\r\n" not in self._buffer:
            self._fill()
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        return bytes(head)

    def read_request(self) -> Request:
        """Read one request, and keep it among the server's."""
        request = self.read_body(self.read_head())
        self._requests.append(request)
        return request

    def read_body(self, head: bytes) -> Request:
        """Read what follows *head*, by its Content-Length."""
        length = int(Request(head, b"").header("content-length") or 0)
        while len(self._buffer) < length:
            self._fill()
        body, self._buffer = self._buffer[:length], self._buffer[length:]
        return Request(head, bytes(body))

    def exactly(self, size: int) -> bytes:
        """Read so many bytes."""
        while len(self._buffer) < size:
            self._fill()
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return bytes(data)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def reset(self) -> None:
        """Close at once, so that the client sees a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.sock.close()

    def wait_closed(self, timeout: float = _PATIENCE) -> bool:
        """Send nothing until the client closes, which is what True says."""
        ready, _, _ = select.select([self.sock], [], [], timeout)
        return bool(ready) and not self._received()

    def drain(self) -> None:
        """Read whatever comes until the client closes."""
        while self._received():
            pass

    def wait_finished(self) -> None:
        """Do nothing at all until the test is over."""
        assert self._finished.wait(_PATIENCE)

    def finish(self) -> None:
        self._finished.set()
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _fill(self) -> None:
        data = self._received()
        if not data:
            raise ConnectionError("the client went away")
        self._buffer += data

    def _received(self) -> bytes:
        return self.sock.recv(65536)


Script = Callable[[Peer], None]


class Server:
    """
    Plays the n-th script on the n-th connection, the last one on all others.

    Attributes:
        requests: All that were read whole, in order.

        peers: The connections, in order.

        scripts: May be set until the first connection, where they need `url`.
    """

    def __init__(
        self, *scripts: Script, tls: ssl.SSLContext | None = None, buffer: int = 0
    ) -> None:
        self.requests: list[Request] = []
        self.peers: list[Peer] = []
        self.scripts: Sequence[Script] = scripts
        self.reached = threading.Event()
        self._tls = tls
        self._failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        if buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self.peers)

    async def until_reached(self) -> None:
        """Wait until a script says, by `Peer.reached`, that it is so far."""
        assert await anyio.to_thread.run_sync(self.reached.wait, _PATIENCE)

    async def until_gone(self, index: int) -> None:
        """Wait until the connection of that index is closed on our side."""
        gone = self.peers[index].gone
        assert await anyio.to_thread.run_sync(gone.wait, _PATIENCE)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Wakes up the thread that accepts, which close() would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join(_PATIENCE)
        self._listener.close()
        for peer in self.peers:
            peer.finish()
        for thread in self._threads:
            thread.join(_PATIENCE)
            assert not thread.is_alive()
        if self._failures:
            raise self._failures[0]

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            peer = Peer(sock, self.requests, self.reached)
            self.peers.append(peer)
            self._start(self._play, script, peer, sock)

    def _play(self, script: Script, peer: Peer, sock: socket.socket) -> None:
        try:
            with closing(sock):
                sock.settimeout(_PATIENCE)
                self._secure(peer)
                with closing(peer.sock):
                    script(peer)
        except OSError:  # the client went away, as it may
            pass
        except BaseException as failure:  # noqa: BLE001  # raised by __exit__
            self._failures.append(failure)
        finally:
            peer.gone.set()

    def _secure(self, peer: Peer) -> None:
        if self._tls is not None:
            peer.sock = self._tls.wrap_socket(peer.sock, server_side=True)


@contextmanager
def refusing_url() -> Iterator[str]:
    """A base URL where connections are refused: the port is taken, but silent."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def client_to(server: Server, **options: Any) -> MediaClient:
    """A client with connections of its own, all of them to *server*."""
    options.setdefault("base_url", server.url)
    options.setdefault("retry", EAGER)
    options.setdefault("verify", CONTEXT)
    return MediaClient(options.pop("token", TOKEN), **options)


def response(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A reply with these headers and no others."""
    lines = [f"HTTP/1.1 {status}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def whole(body: bytes = JPEG, *headers: str) -> bytes:
    """A media with its length, as WeChat sends it."""
    return response(
        body,
        "Content-Type: image/jpeg",
        'Content-Disposition: attachment; filename="ID.jpg"',
        f"Content-Length: {len(body)}",
        *headers,
    )


def said(text: str, *headers: str) -> bytes:
    """JSON, as WeChat sends it."""
    length = f"Content-Length: {len(text.encode())}"
    return response(text.encode(), "Content-Type: text/plain", length, *headers)


def link(url: str) -> bytes:
    """The reply for a video: where it is."""
    return said(json.dumps({"video_url": url}))


UPLOADED = said('{"type":"image","media_id":"m1","created_at":1700000000}')


def answers(*replies: bytes) -> Script:
    """Answer as many requests, then close."""

    def script(peer: Peer) -> None:
        for reply in replies:
            peer.read_request()
            peer.send(reply)

    return script


def always(reply: bytes) -> Script:
    """Answer each request, for as long as the client keeps the connection."""

    def script(peer: Peer) -> None:
        while True:
            peer.read_request()
            peer.send(reply)

    return script


def stalls_after(reply: bytes) -> Script:
    """Send that much of a reply, then nothing until the client gives up."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(reply)
        peer.wait_closed()

    return script


def drips(first: bytes, drop: bytes, *, every: float) -> Script:
    """After *first*, send *drop* again and again, for ever."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(first)
        while not peer.wait_closed(every):
            peer.send(drop)

    return script


def resets_after(reply: bytes) -> Script:
    """Send that much of a reply, then reset the connection."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(reply)
        peer.reset()

    return script


def routes(replies: Mapping[str, bytes]) -> Script:
    """Answer each request by its path."""

    def script(peer: Peer) -> None:
        while True:
            request = peer.read_request()
            peer.send(replies[request.target.partition("?")[0]])

    return script
