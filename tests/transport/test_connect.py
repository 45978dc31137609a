from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import anyio
import httpx
import pytest

from tests.transport.servers import (
    CLOSE_OK,
    OK,
    always,
    answering,
    answering_and_closing,
    fetch,
    request_to,
    serving,
)
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._connect import Address, connected, resolve
from wxmedia_async.transport._names import Names


def address(ip: str, port: int) -> Address:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return Address(family, (ip, port))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


async def test_refused(transport: SocketTransport) -> None:
    """Fault 1: a port that nobody listens on is a ConnectError with a text."""
    request = request_to(f"http://127.0.0.1:{free_port()}/?secret=x")

    with pytest.raises(httpx.ConnectError, match="refused") as caught:
        await fetch(transport, request)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    ["does-not-exist.invalid", "a..b", "x" * 64 + ".test"],
    ids=["no", "..", "x"],
)
async def test_unknown_name(transport: SocketTransport, host: str) -> None:
    """Fault 1: a name without an address is a ConnectError."""
    with pytest.raises(httpx.ConnectError):
        await fetch(transport, request_to(f"http://{host}/"))


async def test_name(transport: SocketTransport) -> None:
    """A name is looked up."""
    with serving(answering(OK)) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        response = await fetch(transport, request_to(url))
        await transport.aclose()

    assert response.content == b"hello"


async def test_silent_name_server(
    transport: SocketTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 6: waiting for a name server is a part of connecting, and ends."""

    async def never(*_: object, **__: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(anyio, "getaddrinfo", never)
    request = request_to("http://localhost/")
    request.extensions["timeout"] = {"connect": 0.05}

    with pytest.raises(httpx.ConnectTimeout):
        await fetch(transport, request)


async def test_guard_sees_addresses(transport: SocketTransport) -> None:
    """Fault 16: a guard sees the address on a new connection and on a kept one."""
    seen: list[str] = []
    with serving(answering(OK, OK)) as server:
        for _ in range(2):
            request = request_to(server.url, guard_address=seen.append)
            await fetch(transport, request)
        await transport.aclose()

    assert seen == ["127.0.0.1", "127.0.0.1"]
    assert server.accepted == 1


@pytest.mark.parametrize("error", [ValueError("no"), OSError("no"), TimeoutError("no")])
async def test_guard_refuses(transport: SocketTransport, error: Exception) -> None:
    """Fault 16: what a guard raises passes unchanged, and nobody is connected to."""

    def refuse(_: str) -> None:
        raise error

    with serving(always(OK)) as server:
        request = request_to(server.url, guard_address=refuse)
        with pytest.raises(type(error)) as new:
            await fetch(transport, request)
        assert server.accepted == 0
        await fetch(transport, request_to(server.url))
        with pytest.raises(type(error)) as kept:
            await fetch(transport, request)

    assert new.value is kept.value is error


async def test_guard_sees_odd_spellings(transport: SocketTransport) -> None:
    """Fault 16: however an address is spelled, a guard sees what it means."""
    seen: list[str] = []
    with serving(answering(OK)) as server:
        url = server.url.replace("127.0.0.1", "0x7f.1")
        await fetch(transport, request_to(url, guard_address=seen.append))
        await transport.aclose()

    assert seen == ["127.0.0.1"]


async def test_next_address(anyio_backend: object) -> None:
    """An address that refuses passes its turn on at once."""
    with serving(lambda peer: None) as server:
        addresses = [
            address("127.0.0.1", free_port()),
            address("127.0.0.1", server.port),
        ]
        with anyio.fail_after(0.2):
            winner, sock = await connected(addresses)
        sock.close()

    assert winner == addresses[1]


async def test_head_start(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address that does not answer delays the next one only so long."""
    monkeypatch.setattr("wxmedia_async.transport._connect.ATTEMPT_DELAY", 0.02)
    with socket.socket() as full, serving(lambda peer: None) as server:
        silent = address("127.0.0.1", fill(full))
        addresses = [silent, address("127.0.0.1", server.port)]
        winner, sock = await connected(addresses)
        sock.close()

    assert winner == addresses[1]


def fill(listener: socket.socket) -> int:
    """Make a listener that answers nobody, as its queue is full."""
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    port = int(listener.getsockname()[1])
    for _ in range(4):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", port))
        waiting.append(sock)
    return port


waiting: list[socket.socket] = []


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    yield
    while waiting:
        waiting.pop().close()


async def test_impossible_address(anyio_backend: object) -> None:
    """An address that cannot even be tried is an error at once."""
    with pytest.raises(OSError, match="255"):
        await connected([address("255.255.255.255", 9)])


async def test_two_winners(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt that succeeds too late to be stopped is closed."""
    made: list[socket.socket] = []

    async def connect(_: Address) -> socket.socket:
        made.append(socket.socket())
        mine = made[-1]
        with anyio.CancelScope(shield=True):
            await anyio.wait_all_tasks_blocked()
        return mine

    monkeypatch.setattr("wxmedia_async.transport._connect.ATTEMPT_DELAY", 0)
    monkeypatch.setattr("wxmedia_async.transport._connect._connect", connect)

    _, sock = await connected([address("127.0.0.1", port) for port in (1, 2, 3)])

    assert len(made) == 3
    assert [other for other in made if other.fileno() != -1] == [sock]
    sock.close()


async def test_no_address_answers(anyio_backend: object) -> None:
    """Where all addresses fail, the error is that of the first."""
    ports = [free_port(), free_port()]

    with pytest.raises(OSError, match="refused") as caught:
        await connected([address("127.0.0.1", port) for port in ports])

    assert caught.value.errno == errno.ECONNREFUSED


async def test_connect_timeout(transport: SocketTransport) -> None:
    """Fault 6: a server that does not answer at all is a ConnectTimeout."""
    with socket.socket() as full:
        request = request_to(f"http://127.0.0.1:{fill(full)}/")
        request.extensions["timeout"] = {"connect": 0.05}
        with pytest.raises(httpx.ConnectTimeout):
            await fetch(transport, request)


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(
            ["::1", "::2", "::3", "1.1.1.1", "1.1.1.1", "2.2.2.2"], id="six-first"
        ),
    ],
)
async def test_families_take_turns(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch, found: list[str]
) -> None:
    """A broken family does not delay the other, and no address is tried twice."""

    async def lookup(host: str, port: int, **_: object) -> list[object]:
        return [
            (a.family, socket.SOCK_STREAM, 6, "", a.sockaddr)
            for a in (address(ip, port) for ip in found)
        ]

    monkeypatch.setattr(anyio, "getaddrinfo", lookup)

    addresses = await resolve("some.test", 80)

    assert [a.ip for a in addresses] == ["::1", "1.1.1.1", "::2", "2.2.2.2", "::3"]


async def test_losers_are_closed(
    anyio_backend: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All attempts but the winner's leave no connection behind."""
    monkeypatch.setattr("wxmedia_async.transport._connect.ATTEMPT_DELAY", 0)
    with serving(answering()) as first, serving(answering()) as second:
        addresses = [address("127.0.0.1", s.port) for s in (first, second)]
        _, sock = await connected(addresses)
        sock.close()


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every name that is looked up."""
    names: list[str] = []
    real = anyio.getaddrinfo

    async def lookup(host: str, *args: int, **options: int) -> object:
        names.append(host)
        return await real("127.0.0.1", *args, **options)

    monkeypatch.setattr(anyio, "getaddrinfo", lookup)
    return names


async def test_name_is_remembered(
    transport: SocketTransport, lookups: list[str]
) -> None:
    """One look-up serves many connections, and its addresses are guarded each time."""
    seen: list[str] = []
    with serving(answering_and_closing(CLOSE_OK)) as server:
        url = server.url.replace("127.0.0.1", "some.test")
        for _ in range(3):
            await fetch(transport, request_to(url, guard_address=seen.append))

    assert server.accepted == 3
    assert lookups == ["some.test"]
    assert seen == ["127.0.0.1"] * 3


async def test_name_is_remembered_for_a_moment(
    transport: SocketTransport, lookups: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that moves is found again soon."""
    monkeypatch.setattr("wxmedia_async.transport._names.LIFETIME", 0)
    with serving(answering_and_closing(CLOSE_OK)) as server:
        url = server.url.replace("127.0.0.1", "some.test")
        for _ in range(2):
            await fetch(transport, request_to(url))

    assert lookups == ["some.test"] * 2


async def test_name_is_forgotten_after_a_failure(
    transport: SocketTransport, lookups: list[str]
) -> None:
    """Where nobody answers, the name may have moved."""
    url = f"http://some.test:{free_port()}/"
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            await fetch(transport, request_to(url))

    assert lookups == ["some.test"] * 2


async def test_names_are_bounded(
    lookups: list[str], monkeypatch: pytest.MonkeyPatch, anyio_backend: object
) -> None:
    """Not every name of a long life is remembered."""
    monkeypatch.setattr("wxmedia_async.transport._names.MAX_NAMES", 2)
    names = Names()
    for host in ("a.test", "b.test", "b.test", "c.test", "b.test"):
        await names.addresses(host, 80)

    assert lookups == ["a.test", "b.test", "c.test", "b.test"]
