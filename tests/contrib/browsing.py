"""Browsers, as far as a server can tell."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Self, TypedDict
from urllib.parse import urlsplit

import httpx

MIB = 1024 * 1024
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)) * 8
MP4 = b"\0\0\0\x18ftypmp42" + bytes(100)


class Options(TypedDict, total=False):
    max_bytes: int
    hd_voice: bool
    reader_timeout: float


def options_of(query: Mapping[str, str]) -> Options:
    """Read what a test asks for from the query of its URL."""
    options = Options()
    if "max_bytes" in query:
        options["max_bytes"] = int(query["max_bytes"])
    if "hd_voice" in query:
        options["hd_voice"] = True
    if "reader_timeout" in query:
        options["reader_timeout"] = float(query["reader_timeout"])
    return options


def long_jpeg(size: int) -> bytes:
    """A picture of *size* bytes."""
    return JPEG + bytes(size - len(JPEG))


class Http(httpx.Client):
    """A client that loads no certificates, which takes longer than a test."""

    def __init__(self) -> None:
        super().__init__(trust_env=False, verify=False)


def get(url: str, **headers: str) -> httpx.Response:
    """Ask as a browser without any cache would."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with Http() as http:
        return http.get(url, headers=named)


class Browser:
    """One connection, whose bytes are taken as a test likes."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._socket = socket.socket()
        # So that the server soon notices who does not read.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self._socket.settimeout(20)
        self._socket.connect((parts.hostname, parts.port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave, whatever has not been read yet."""
        self._socket.close()

    def ask(self, path: str) -> None:
        """Send a request, and read no reply."""
        request = f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n"
        self._socket.sendall(request.encode())

    def give(self, path: str, size: int, body: bytes) -> None:
        """Announce *size* bytes, and send what there is of them."""
        head = f"POST {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {size}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def take(self, count: int) -> bytes:
        """Read *count* bytes, or all there are."""
        taken = bytearray()
        while len(taken) < count and (some := self._socket.recv(count - len(taken))):
            taken += some
        return bytes(taken)

    def take_all(self) -> bytes:
        """Read until the server ends the connection, one way or the other."""
        taken = bytearray()
        try:
            while some := self._socket.recv(MIB):
                taken += some
        except ConnectionError:
            pass
        return bytes(taken)
