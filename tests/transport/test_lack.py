from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from tests.transport.servers import OK, answering, fetch, request_to, serving
from tests.transport.test_connect import address, free_port
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._connect import connected
from wxmedia_async.transport._connection import Connection
from wxmedia_async.transport._lack import is_lack, lack_behind
from wxmedia_async.transport._waiting import waiter_for

LACKS = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM]


def lack(number: int) -> OSError:
    return OSError(number, os.strerror(number))


Opening = Callable[..., socket.socket]


def failing(number: int) -> Opening:
    def open_socket(*_: object) -> socket.socket:
        raise lack(number)

    return open_socket


@contextmanager
def opening(how: Opening) -> Generator[None]:
    """Open the sockets of connections in another way than the system does."""
    module = SimpleNamespace(**{**vars(socket), "socket": how})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wxmedia_async.transport._connect.socket", module)
        yield


@pytest.mark.parametrize("number", LACKS)
async def test_no_socket(transport: SocketTransport, number: int) -> None:
    """Where no socket can be opened, that is the OSError that it is."""
    with opening(failing(number)), pytest.raises(OSError, match="Errno") as caught:
        await fetch(transport, request_to("http://127.0.0.1:9/"))

    assert caught.value.errno == number


@pytest.mark.parametrize("number", LACKS)
async def test_no_look_up(
    transport: SocketTransport, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Where a name cannot be asked for, that is the OSError that it is."""

    async def ask(*_: object, **__: object) -> object:
        raise lack(number)

    monkeypatch.setattr(anyio, "getaddrinfo", ask)

    with pytest.raises(OSError, match="Errno") as caught:
        await fetch(transport, request_to("http://some.test/"))

    assert caught.value.errno == number


async def test_resolver_without_a_descriptor(
    transport: SocketTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that can open nothing calls a name unknown; it is not."""

    async def ask(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

    monkeypatch.setattr(anyio, "getaddrinfo", ask)

    with opening(failing(errno.EMFILE)):
        with pytest.raises(OSError, match="Errno") as caught:
            await fetch(transport, request_to("http://some.test/"))

    assert caught.value.errno == errno.EMFILE


async def test_resolver_without_memory(
    transport: SocketTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver's own number for no memory is told by the one of the system."""

    async def ask(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_MEMORY, "Memory allocation failure")

    monkeypatch.setattr(anyio, "getaddrinfo", ask)

    with pytest.raises(OSError, match="Errno") as caught:
        await fetch(transport, request_to("http://some.test/"))

    assert caught.value.errno == errno.ENOMEM


class Unconnectable(socket.socket):
    """A socket that the system has no buffers to connect with."""

    def connect_ex(self, _: object) -> int:
        return errno.ENOBUFS


async def test_no_buffers_to_connect(transport: SocketTransport) -> None:
    """What connect() lacks is the OSError that it is."""
    with opening(Unconnectable), pytest.raises(OSError, match="Errno") as caught:
        await fetch(transport, request_to("http://127.0.0.1:9/"))

    assert caught.value.errno == errno.ENOBUFS


async def test_lack_among_several_addresses(anyio_backend: object) -> None:
    """Where not every address could be tried, that is what is told."""
    addresses = [address("127.0.0.1", free_port()) for _ in range(2)]
    ways: Iterator[Opening] = iter([socket.socket, failing(errno.EMFILE)])

    def opened(*arguments: Any) -> socket.socket:
        return next(ways)(*arguments)

    with opening(opened), pytest.raises(OSError, match="Errno") as caught:
        await connected(addresses)

    assert caught.value.errno == errno.EMFILE


class Short(socket.socket):
    """A socket that the system has no buffers for any more."""

    def recv_into(self, *_: object) -> int:
        raise lack(errno.ENOBUFS)

    def send(self, *_: object) -> int:
        raise lack(errno.ENOMEM)


async def test_no_buffers_to_send_or_receive(anyio_backend: object) -> None:
    """What reading and writing lack is no failure of the connection."""
    with Short(socket.AF_INET, socket.SOCK_STREAM) as sock:
        connection = Connection("", sock, waiter_for(sock))
        for act in (connection.try_receive_into, connection.try_send):
            with pytest.raises(OSError, match="Errno") as caught:
                act(memoryview(bytearray(1)))
            assert caught.value.errno in LACKS
        connection.close()

    assert not connection.lost


async def test_next_request(transport: SocketTransport) -> None:
    """Nothing of a lack is left, once there is enough again."""
    with serving(answering(OK)) as server:
        with opening(failing(errno.EMFILE)), pytest.raises(OSError, match="Errno"):
            await fetch(transport, request_to(server.url))
        response = await fetch(transport, request_to(server.url))
        await transport.aclose()

    assert response.content == b"hello"


def caused(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (lack(errno.EMFILE), True),
        (caused(httpx.ConnectError("x"), lack(errno.ENFILE)), True),
        (
            caused(
                OSError("All connection attempts failed"),
                ExceptionGroup("x", [lack(errno.ECONNREFUSED), lack(errno.EMFILE)]),
            ),
            True,
        ),
        (lack(errno.ECONNREFUSED), False),
        (ExceptionGroup("x", [lack(errno.ECONNREFUSED)]), False),
        (ssl.SSLError(errno.ENOMEM, "another number"), False),
        (socket.gaierror(socket.EAI_NONAME, "unknown"), False),
        (ValueError("x"), False),
    ],
)
def test_lack_behind(error: BaseException, found: bool) -> None:
    """A lack is found behind whatever was made of it, and nothing else is taken so."""
    lacking = lack_behind(error)

    assert (lacking is not None) is found
    assert lacking is None or is_lack(lacking)
