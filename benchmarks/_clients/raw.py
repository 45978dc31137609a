"""Sockets and epoll in one thread: about what Python itself allows."""

from __future__ import annotations

import os
import re
import select
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

import attrs
from _job import TOKEN, Job

from . import _multipart

IN, OUT = select.EPOLLIN, select.EPOLLOUT
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CLOSES = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
CHUNK = 64 * 1024
BUFFER = memoryview(bytearray(4 * CHUNK))
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

Steps = Generator[None, None, None]


@attrs.define(eq=False)
class Lane:
    """One connection, opened again where the server closes it."""

    address: tuple[str, int]
    context: ssl.SSLContext | None
    epoll: select.epoll
    lanes: dict[int, Lane]
    steps: Steps | None = None
    socket: socket.socket | None = None
    event: int = IN
    session: ssl.SSLSession | None = None

    def wait(self, event: int) -> Steps:
        self.watch(event)
        yield

    def watch(self, event: int) -> None:
        if self.socket is not None and event != self.event:
            self.epoll.modify(self.socket.fileno(), event)
            self.event = event

    def connected(self) -> Generator[None, None, socket.socket]:
        if self.socket is not None:
            return self.socket
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        if self.context is not None:
            self._secure(self.context)
        self.event = IN
        self.epoll.register(self.socket.fileno(), IN)
        self.lanes[self.socket.fileno()] = self
        while isinstance(self.socket, ssl.SSLSocket):
            try:
                self.socket.do_handshake()
                break
            except ssl.SSLWantReadError:
                yield from self.wait(IN)
        return self.socket

    def _secure(self, context: ssl.SSLContext) -> None:
        assert self.socket is not None
        self.socket = context.wrap_socket(
            self.socket,
            server_hostname=self.address[0],
            do_handshake_on_connect=False,
            session=self.session,
        )

    def close(self) -> None:
        if self.socket is None:
            return
        if isinstance(self.socket, ssl.SSLSocket):
            self.session = self.socket.session
        self.socket.close()
        self.socket = None


@asynccontextmanager
async def opened(job: Job) -> AsyncIterator[Callable[[Job], Awaitable[None]]]:
    url = urlsplit(job.url)
    assert url.hostname is not None
    assert url.port is not None
    address, context = (url.hostname, url.port), job.trust()
    epoll, lanes = select.epoll(), dict[int, Lane]()
    started = [Lane(address, context, epoll, lanes) for _ in range(job.at_a_time)]
    yield partial(transfer, started)
    for lane in started:
        lane.close()


async def transfer(lanes: list[Lane], job: Job) -> None:
    work = {"down": download, "up": upload}[job.direction]
    numbers = iter(range(job.count))
    epoll, by_number = lanes[0].epoll, lanes[0].lanes
    for lane in lanes:
        lane.steps = work(lane, job, numbers)
        proceed(lane)
    while any(lane.steps for lane in lanes):
        for number, _ in epoll.poll():
            proceed(by_number[number])


def proceed(lane: Lane) -> None:
    """Go on until it waits, or is done."""
    if lane.steps is not None and next(lane.steps, lane) is lane:
        lane.steps = None
        lane.watch(IN)


def download(lane: Lane, job: Job, numbers: Iterator[int]) -> Steps:
    for number in numbers:
        connection = yield from lane.connected()
        connection.send(request("GET", download_path(job, number)))
        file = os.open(job.target(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        closes = yield from receive(lane, connection, file)
        os.close(file)
        if closes:
            lane.close()


def receive(
    lane: Lane, connection: socket.socket, file: int
) -> Generator[None, None, bool]:
    """Write one reply's body; whether the server closes the connection."""
    have = yield from some(lane, connection)
    end = bytes(BUFFER[:have]).find(b"\r\n\r\n")
    if end < 0:
        # The servers of the benchmarks send it in one, and this is no client for others.
        raise OSError("a head in two pieces")
    head = bytes(BUFFER[: end + 2])
    length = LENGTH.search(head)
    if not head.startswith(b"HTTP/1.1 200") or length is None:
        raise OSError(head.decode())
    left = int(length[1]) - os.write(file, BUFFER[end + 4 : have])
    while left:
        have = yield from some(lane, connection)
        left -= os.write(file, BUFFER[:have])
    return CLOSES.search(head) is not None


def some(lane: Lane, connection: socket.socket) -> Generator[None, None, int]:
    while True:
        try:
            have = connection.recv_into(BUFFER)
        except WAITS:
            yield from lane.wait(IN)
        else:
            if not have:
                raise ConnectionResetError("closed before its end")
            return have


def upload(lane: Lane, job: Job, numbers: Iterator[int]) -> Steps:
    sink = os.open(os.devnull, os.O_WRONLY)
    for number in numbers:
        connection = yield from lane.connected()
        file = os.open(job.source, os.O_RDONLY)
        yield from send_form(lane, connection, file, number)
        os.close(file)
        closes = yield from receive(lane, connection, sink)
        if closes:
            lane.close()
    os.close(sink)


def send_form(lane: Lane, connection: socket.socket, file: int, number: int) -> Steps:
    start, size = _multipart.head(f"{number}.jpg"), os.fstat(file).st_size
    length = len(start) + size + len(_multipart.TAIL)
    head = request("POST", UPLOAD_PATH, FORM % length) + start
    if size <= CHUNK:
        body = os.read(file, size)
        yield from send(lane, connection, head + body + _multipart.TAIL)
        return
    yield from send(lane, connection, head)
    if isinstance(connection, ssl.SSLSocket):
        yield from send_read(lane, connection, file, size)
    else:
        yield from send_file(lane, connection, file, size)
    yield from send(lane, connection, _multipart.TAIL)


def send_read(lane: Lane, connection: socket.socket, file: int, size: int) -> Steps:
    while chunk := os.read(file, 4 * CHUNK):
        yield from send(lane, connection, chunk)


def send_file(lane: Lane, connection: socket.socket, file: int, size: int) -> Steps:
    sent = 0
    while sent < size:
        try:
            sent += os.sendfile(connection.fileno(), file, sent, size - sent)
        except BlockingIOError:
            yield from lane.wait(OUT)


def send(lane: Lane, connection: socket.socket, data: bytes) -> Steps:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[connection.send(rest[:CHUNK]) :]
        except WAITS:
            yield from lane.wait(OUT)


FORM = b"Content-Type: %s\r\nContent-Length: %%d\r\n" % (
    _multipart.CONTENT_TYPE.encode()
)
UPLOAD_PATH = f"/cgi-bin/media/upload?access_token={TOKEN}&type=image"


def download_path(job: Job, number: int) -> str:
    query = f"access_token={TOKEN}&media_id={job.media_id(number)}"
    return f"/cgi-bin/media/get?{query}"


def request(method: str, path: str, more: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s\r\n" % (
        method.encode(),
        path.encode(),
        more,
    )
