"""Servers of the kinds that one meets, on real sockets, in threads of their own."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial

import attrs
import httpx

PATIENCE = 10.0
"""Seconds after which a test that hangs has failed."""

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

CLOSE_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


@attrs.define(eq=False)
class Peer:
    """One connection, as the server sees it."""

    sock: socket.socket
    received: bytes = b""

    def request(self) -> bytes:
        """Read a request, and return its body as it came."""
        head = self.until(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if length is not None:
            return self.exactly(int(length[1]))
        if b"chunked" in head.lower():
            return self.until(b"0\r\n\r\n")
        return b""

    def until(self, mark: bytes) -> bytes:
        while mark not in self.received:
            self.received += self._some()
        part, _, self.received = self.received.partition(mark)
        return part + mark

    def exactly(self, size: int) -> bytes:
        while len(self.received) < size:
            self.received += self._some()
        part, self.received = self.received[:size], self.received[size:]
        return part

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def until_closed(self) -> None:
        """Wait for the client to close, whatever else it sends."""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while self.sock.recv(65536):
                pass

    def reset(self) -> None:
        """Close in the rudest way."""
        self.sock.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        self.sock.close()

    def close(self) -> None:
        if isinstance(self.sock, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.sock.unwrap()
        self.sock.close()

    def _some(self) -> bytes:
        data = self.sock.recv(1 << 20)
        if not data:
            raise EOFError("the client closed")
        return data


Script = Callable[[Peer], None]


def answering(*replies: bytes) -> Script:
    """Answer a request with each of *replies*, and wait for the client to close."""

    def script(peer: Peer) -> None:
        for reply in replies:
            peer.request()
            peer.send(reply)
        peer.until_closed()

    return script


def answering_and_closing(*replies: bytes) -> Script:
    """Answer a request with each of *replies*, and close."""

    def script(peer: Peer) -> None:
        for reply in replies:
            peer.request()
            peer.send(reply)

    return script


def always(reply: bytes) -> Script:
    """Answer every request with *reply* until the client closes."""

    def script(peer: Peer) -> None:
        with contextlib.suppress(EOFError, ConnectionError, ssl.SSLError):
            while True:
                peer.request()
                peer.send(reply)

    return script


@attrs.define(eq=False)
class Server:
    """
    Serves each connection by the next script, and further ones by the last.

    Leaving it fails where a script failed, or where a client has left a
    connection open.
    """

    _listener: socket.socket
    _scripts: tuple[Script, ...]
    _tls: ssl.SSLContext | None
    host: str
    port: int
    accepted: int = attrs.field(default=0, init=False)
    _threads: list[threading.Thread] = attrs.field(
        factory=list[threading.Thread], init=False
    )
    _errors: list[Exception] = attrs.field(factory=list[Exception], init=False)

    @property
    def url(self) -> str:
        scheme = "http" if self._tls is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}/"

    def start(self) -> None:
        self._thread(self._accept)

    def stop(self) -> None:
        # Closing a listener does not wake up who waits in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "a connection was left open"

    def check(self) -> None:
        if self._errors:
            raise self._errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
            self.accepted += 1
            self._thread(partial(self._serve, sock, script))

    def _serve(self, sock: socket.socket, script: Script) -> None:
        sock.settimeout(PATIENCE)
        peer = Peer(sock)
        try:
            if self._tls is not None:
                try:
                    peer.sock = self._tls.wrap_socket(sock, server_side=True)
                except OSError:
                    return
            script(peer)
        except (OSError, EOFError, AssertionError) as error:
            self._errors.append(error)
        finally:
            peer.close()

    def _thread(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target)
        self._threads.append(thread)
        thread.start()


@contextmanager
def serving(
    *scripts: Script,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> Generator[Server]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        server = Server(listener, scripts, tls, host, listener.getsockname()[1])
        server.start()
        try:
            yield server
        finally:
            server.stop()
        server.check()


def request_to(
    url: str,
    method: str = "GET",
    *,
    content: bytes | httpx.AsyncByteStream | None = None,
    headers: dict[str, str] | None = None,
    **extensions: object,
) -> httpx.Request:
    """Return a request as a client would make it, with timeouts that end a test."""
    timeout = dict.fromkeys(("connect", "read", "write", "pool"), PATIENCE)
    return httpx.Request(
        method,
        url,
        content=content,
        headers=headers,
        extensions={"timeout": timeout, **extensions},
    )


async def fetch(
    transport: httpx.AsyncBaseTransport, request: httpx.Request
) -> httpx.Response:
    """Send *request* and read the whole reply."""
    response = await transport.handle_async_request(request)
    await response.aread()
    return response
