from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import anyio
import attrs
import httpx
import pytest

from tests.transport.conftest import Authority
from tests.transport.scripted import MAX_HEAD, Pieces, run
from tests.transport.servers import Peer, request_to, serving
from wxmedia_async.transport._connection import Connection, _Records
from wxmedia_async.transport._open import Opener
from wxmedia_async.transport._origin import origin_of
from wxmedia_async.transport._pool import Pool
from wxmedia_async.transport._request import Writer
from wxmedia_async.transport._round_trip import round_trip
from wxmedia_async.transport._tls import encryption_for
from wxmedia_async.transport._waiting import waiter_for


@attrs.define(eq=False)
class Records:
    """Stands for a TLS socket: each call gives a record, or raises what is next."""

    results: Iterator[int | OSError]

    def recv_into(self, _: memoryview) -> int:
        result = next(self.results)
        if isinstance(result, OSError):
            raise result
        return result


FULL = 16 * 1024


@pytest.mark.parametrize(
    ("records", "counts"),
    [
        pytest.param([100], [100], id="short"),
        pytest.param([FULL, FULL, 5], [2 * FULL + 5], id="several"),
        pytest.param([FULL, ssl.SSLWantReadError()], [FULL], id="no-more-yet"),
        pytest.param([FULL, 0], [FULL], id="end-behind"),
        pytest.param([FULL] * 4, [4 * FULL], id="full-buffer"),
        pytest.param(
            [FULL, ConnectionResetError()], [FULL, ConnectionResetError], id="reset"
        ),
        pytest.param([FULL, ssl.SSLEOFError()], [FULL, ssl.SSLEOFError], id="cut"),
    ],
)
def test_records(
    records: list[int | OSError], counts: list[int | type[OSError]]
) -> None:
    """All records that have come are taken at once, and an error after them."""
    reader = _Records(cast(socket.socket, Records(iter(records))))
    buffer = memoryview(bytearray(4 * FULL))

    for expected in counts:
        if isinstance(expected, int):
            assert reader.recv_into(buffer) == expected
        else:
            with pytest.raises(expected):
                reader.recv_into(buffer)


def test_an_error_behind_records_is_pending() -> None:
    """Nobody waits for a socket that has nothing more to say than an error."""
    records = Records(iter([FULL, ConnectionResetError()]))
    reader = _Records(cast(socket.socket, records))

    before = reader.pending
    reader.recv_into(memoryview(bytearray(2 * FULL)))

    assert not before
    assert reader.pending


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


@pytest.mark.parametrize(
    ("then", "usable"),
    [
        pytest.param(Peer.until_closed, True, id="tickets"),
        pytest.param(lambda peer: peer.send(b"x"), False, id="bytes"),
        pytest.param(Peer.close, False, id="closed"),
        pytest.param(Peer.reset, False, id="reset"),
    ],
)
async def test_idle_tls(
    authority: Authority,
    anyio_backend: object,
    then: Callable[[Peer], None],
    usable: bool,
) -> None:
    """Tickets on an idle connection are no reply; anything else makes it useless."""
    context = authority.client()
    opener = Opener(encryption_for(context))

    with serving(then, tls=authority.server("127.0.0.1")) as server:
        origin = origin_of(httpx.URL(server.url), {})
        connection = await opener.open(origin, None, 5)
        with contextlib.suppress(httpx.ReadTimeout):
            await connection.until_readable(5)
        outcomes = {connection.usable()}
        while not usable and outcomes == {True}:
            await connection.until_readable(5)
            outcomes = {connection.usable()}
        connection.close()

    assert outcomes == {usable}


async def test_what_is_decrypted_already_is_not_waited_for(
    anyio_backend: object,
    pair: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytes that have left the socket would never wake anybody who waits for it."""
    ours, theirs = pair
    theirs.send(b"reply")
    connection = Connection("", ours, waiter_for(ours))
    connection._records = cast("_Records", SimpleNamespace(pending=True))
    monkeypatch.setattr(Connection, "until_readable", None)
    buffer = memoryview(bytearray(9))

    count = await connection.receive_reply_into(buffer, 5)
    connection.close()

    assert bytes(buffer[:count]) == b"reply"


async def test_forked_child(
    anyio_backend: object,
    pair: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 33: in a child, a connection is useless, and closing it ends nothing."""
    ours, theirs = pair
    copy = ours.dup()
    connection = Connection("", ours, waiter_for(ours))
    monkeypatch.setattr(os, "getpid", lambda: -1)

    assert not connection.usable()
    connection.abort()
    connection.close()
    theirs.send(b"still there")
    assert copy.recv(99) == b"still there"
    copy.close()


async def test_reset_after_an_end(anyio_backend: object) -> None:
    """What was ended here is no fault of the other side, which may then reset it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
    ours.setblocking(False)
    connection = Connection("", ours, waiter_for(ours))

    connection.abort()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    theirs.close()

    with pytest.raises(httpx.ReadError, match="another task"):
        await connection.receive_into(memoryview(bytearray(9)), 5)
    with pytest.raises(httpx.WriteError, match="another task"):
        connection.try_send(b"more")
    assert not connection.lost
    connection.close()


@pytest.mark.parametrize("error", [BrokenPipeError(32, "gone"), OSError(22, "never")])
async def test_sendfile_fails(
    anyio_backend: object,
    pair: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
) -> None:
    """A broken connection is told from a file that cannot be sent."""

    def failing(*_: int) -> int:
        raise error

    monkeypatch.setattr(os, "sendfile", failing)
    connection = Connection("", pair[0], waiter_for(pair[0]))
    is_lost = isinstance(error, BrokenPipeError)

    with pytest.raises(httpx.WriteError if is_lost else OSError):
        connection.try_send_file(0, 0, 1)
    assert connection.lost is is_lost
    connection.close()


class Broken(Pieces):
    """A connection that takes nothing more."""

    def try_send(self, *_: object) -> int:
        raise httpx.WriteError("broken pipe")


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 4", b"nonsense"])
def test_no_last_words(answer: bytes) -> None:
    """Where a server that takes no more has not answered, that is the error."""
    request = request_to("http://x/")
    prepared = Writer().outgoing(
        "GET", request.url, request.headers.raw, request.stream, {}
    )
    broken = cast(Connection, Broken(iter([answer])))

    with pytest.raises(httpx.WriteError, match="broken pipe"):
        run(round_trip(broken, prepared, memoryview(bytearray(99)), MAX_HEAD))


def test_last_words() -> None:
    """Where a server takes no more and has said why, that is the reply."""
    request = request_to("http://x/")
    prepared = Writer().outgoing(
        "GET", request.url, request.headers.raw, request.stream, {}
    )
    answer = b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!"
    broken = cast(Connection, Broken(iter([answer])))

    head, rest, reusable = run(
        round_trip(broken, prepared, memoryview(bytearray(99)), MAX_HEAD)
    )

    assert (head.status, bytes(rest), reusable) == (413, b"no!", False)


@pytest.mark.parametrize("wait", ["until_readable", "until_writable", "until_ready"])
async def test_closed_under_who_waits(
    anyio_backend: object, pair: tuple[socket.socket, socket.socket], wait: str
) -> None:
    """Who waits to read or to write gets an error of httpx's when it is closed."""
    connection = Connection("", pair[0], waiter_for(pair[0]))
    with contextlib.suppress(BlockingIOError):
        while True:
            pair[0].send(bytes(1 << 16))

    async def waiting() -> None:
        with pytest.raises((httpx.ReadError, httpx.WriteError), match="another task"):
            await getattr(connection, wait)(5)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting)
        await anyio.wait_all_tasks_blocked()
        connection.close()

    assert not connection.lost


async def test_given_back_after_close(
    anyio_backend: object, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Fault 33: a connection that comes back to a closed pool is closed."""
    pool = Pool(None, 5.0)
    origin = origin_of(httpx.URL("http://x/"), {})
    place = await pool.place(origin, None)
    place.put(Connection("", pair[0], waiter_for(pair[0])))
    pool.close()

    place.keep()
    place.keep()

    assert pair[0].fileno() == -1
    await anyio.lowlevel.checkpoint()
