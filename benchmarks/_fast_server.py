"""
A server that is not the bottleneck: canned replies, straight from epoll (Linux).

Run as a program it prints its port and a second one without TLS, and serves until
its standard input ends. Each GET is answered by ``size`` bytes of media, where the
query has ``media_id=SIZE-…``; each POST is read to its end and answered like an
upload, or refused like the service does where its length is not given.
``GET /-/counts`` tells what was done so far.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import re
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import attrs

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CONTINUE = re.compile(rb"\r\nexpect: *100-continue", re.IGNORECASE)
SIZE = re.compile(rb"media_id=(\d+)")
UPLOADED = b'{"type":"image","media_id":"m","created_at":1700000000}'
# As many headers as WeChat sends, and nginx in its place: reading them takes time.
DATE = time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT\r\n", time.gmtime()).encode()
COMMON = b"Server: ours\r\n" + DATE + b"RetKey: 11\r\nLogicRet: 0\r\n"
JSON = b"Content-Type: text/plain\r\n" + COMMON
IMAGE = (
    b'Content-Type: image/jpeg\r\nContent-disposition: attachment; filename="m.jpg"\r\n'
    b"Cache-Control: no-cache, must-revalidate\r\n" + COMMON
)
CHUNK = 64 * 1024
TURN = 16 * CHUNK  # bytes for one connection before the next has its turn
UNREAD = memoryview(bytearray(TURN))
NOTHING = memoryview(b"")
WAITS = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


@attrs.define
class Counts:
    uploads: int = 0
    received: int = 0  # bytes of uploads' bodies
    handshakes: int = 0
    resumed: int = 0

    def document(self) -> bytes:
        facts = {"cpu": time.process_time(), **attrs.asdict(self)}
        return json.dumps(facts).encode()


@attrs.define(eq=False)
class Connection:
    socket: socket.socket
    head: bytes = b""
    left: int = 0  # bytes of a body that are to come
    out: memoryview = NOTHING
    size: int = 0  # of a file that follows
    sent: int = 0  # bytes of the file
    ended: bool = False


def head(
    length: int, connection: bytes, more: bytes = b"", status: bytes = b"200 OK"
) -> bytes:
    form = b"HTTP/1.1 %s\r\nConnection: %s\r\n%sContent-Length: %d\r\n\r\n"
    return form % (status, connection, more, length)


@functools.cache
def media(size: int, connection: bytes) -> bytes:
    body = b"\xff\xd8\xff\xe0" + bytes(size - 4)
    return head(size, connection, IMAGE) + body


@functools.cache
def media_file(size: int) -> int:
    """Such a media as a file in memory, which the kernel can send by itself."""
    file = os.memfd_create("media")
    os.write(file, b"\xff\xd8\xff\xe0")
    os.truncate(file, size)
    return file


class Server:
    def __init__(self, context: ssl.SSLContext | None, *, close: bool) -> None:
        self._context = context
        self._close = close
        self._connection = b"close" if close else b"keep-alive"
        self._counts = Counts()
        self._epoll = select.epoll()
        self._work: dict[int, Callable[[], None]] = {}

    def listen(self, context: ssl.SSLContext | None) -> int:
        listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        listener.setblocking(False)
        self._watch(listener.fileno(), lambda: self._accept(listener, context))
        port: int = listener.getsockname()[1]
        return port

    def serve(self) -> None:
        self._watch(sys.stdin.fileno(), sys.exit)
        while True:
            for number, _ in self._epoll.poll():
                work = self._work.get(number)
                if work is not None:  # not closed by an event before it
                    work()

    def _watch(self, number: int, work: Callable[[], None]) -> None:
        self._epoll.register(number, select.EPOLLIN)
        self._work[number] = work

    def _accept(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        with suppress(BlockingIOError):
            while True:
                taken, _ = listener.accept()
                taken.setblocking(False)
                taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if context is None:
                    self._begin(Connection(taken), self._read)
                    continue
                secured = context.wrap_socket(
                    taken, server_side=True, do_handshake_on_connect=False
                )
                self._begin(Connection(secured), self._shake_hands)

    def _begin(
        self, connection: Connection, work: Callable[[Connection], None]
    ) -> None:
        number = connection.socket.fileno()
        self._watch(number, functools.partial(self._step, work, connection))

    def _turn_to(
        self, connection: Connection, work: Callable[[Connection], None], events: int
    ) -> None:
        number = connection.socket.fileno()
        self._epoll.modify(number, events)
        self._work[number] = functools.partial(self._step, work, connection)

    def _step(self, work: Callable[[Connection], None], connection: Connection) -> None:
        try:
            work(connection)
        except WAITS:
            pass
        except OSError:  # the client is gone, or does not trust us
            self._end(connection)

    def _shake_hands(self, connection: Connection) -> None:
        secured = connection.socket
        assert isinstance(secured, ssl.SSLSocket)
        secured.do_handshake()
        self._counts.handshakes += 1
        self._counts.resumed += bool(secured.session_reused)
        self._turn_to(connection, self._read, select.EPOLLIN)
        self._read(connection)

    def _read(self, connection: Connection) -> None:
        if connection.left:
            self._discard(connection)
            return
        data = connection.socket.recv(CHUNK)
        if not data:
            self._end(connection)
            return
        connection.head += data
        end = connection.head.find(b"\r\n\r\n")
        if end >= 0:
            asked, rest = connection.head[: end + 2], len(connection.head) - end - 4
            connection.head = b""
            self._answer(connection, asked, rest)

    def _answer(self, connection: Connection, asked: bytes, rest: int) -> None:
        if not asked.startswith(b"GET"):
            self._take(connection, asked, rest)
            return
        found = SIZE.search(asked)
        if found is None:
            document = self._counts.document()
            self._reply(connection, head(len(document), b"close") + document)
            return
        size = int(found[1])
        if size <= CHUNK or isinstance(connection.socket, ssl.SSLSocket):
            self._reply(connection, media(size, self._connection))
            return
        connection.size = size
        self._reply(connection, head(size, self._connection, IMAGE))

    def _take(self, connection: Connection, asked: bytes, rest: int) -> None:
        length = LENGTH.search(asked)
        if length is None:
            self._reply(
                connection, head(0, b"close", status=b"412 Precondition Failed")
            )
            return
        if CONTINUE.search(asked):
            connection.socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._counts.received += int(length[1])
        connection.left = int(length[1]) - rest
        if connection.left:
            self._discard(connection)
        else:
            self._uploaded(connection)

    def _discard(self, connection: Connection) -> None:
        # The kernel need not even copy what nobody looks at.
        if isinstance(connection.socket, ssl.SSLSocket):
            done = self._decrypt(connection.socket, connection.left)
        else:
            done = connection.socket.recv_into(
                UNREAD, min(TURN, connection.left), socket.MSG_TRUNC
            )
        if not done:
            self._end(connection)
            return
        connection.left -= done
        if not connection.left:
            self._uploaded(connection)

    def _decrypt(self, secured: ssl.SSLSocket, most: int) -> int:
        done = 0
        with suppress(*WAITS):
            while done < min(TURN, most):
                # Never less than a record, or epoll would not know of the rest.
                read = secured.recv_into(UNREAD, min(TURN, most - done))
                if not read:
                    return 0
                done += read
        if not done:
            raise BlockingIOError
        return done

    def _uploaded(self, connection: Connection) -> None:
        self._counts.uploads += 1
        said = head(len(UPLOADED), self._connection, JSON)
        self._reply(connection, said + UPLOADED)

    def _reply(self, connection: Connection, reply: bytes) -> None:
        connection.out, connection.sent = memoryview(reply), 0
        with suppress(*WAITS):
            self._write(connection)
        if connection.out or connection.size:
            self._turn_to(connection, self._write_on, select.EPOLLOUT)

    def _write_on(self, connection: Connection) -> None:
        self._write(connection)
        if not connection.out and not connection.size and not connection.ended:
            self._turn_to(connection, self._read, select.EPOLLIN)

    def _write(self, connection: Connection) -> None:
        """Send what there is for one turn."""
        more = socket.MSG_MORE if connection.size else 0
        for _ in range(TURN // CHUNK):
            if not connection.out:
                break
            sent = connection.socket.send(connection.out[:CHUNK], more)
            connection.out = connection.out[sent:]
        if not connection.out and connection.size:
            self._send_file(connection)
        if self._close and not connection.out and not connection.size:
            self._end(connection)

    def _send_file(self, connection: Connection) -> None:
        left = min(TURN, connection.size - connection.sent)
        number = connection.socket.fileno()
        file = media_file(connection.size)
        connection.sent += os.sendfile(number, file, connection.sent, left)
        if connection.sent == connection.size:
            connection.size = 0

    def _end(self, connection: Connection) -> None:
        connection.ended = True
        number = connection.socket.fileno()
        del self._work[number]
        self._epoll.unregister(number)
        if isinstance(connection.socket, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                connection.socket.unwrap()  # says goodbye, and does not wait for one
        connection.socket.close()


def secured(certificate: str, version: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.maximum_version = ssl.TLSVersion[version]
    return context


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate")
    parser.add_argument("--tls", choices=["TLSv1_2", "TLSv1_3"], default="TLSv1_3")
    parser.add_argument("--close", action="store_true")
    args = parser.parse_args()
    context = secured(args.certificate, args.tls) if args.certificate else None
    server = Server(context, close=args.close)
    print(server.listen(context), server.listen(None), flush=True)
    server.serve()


if __name__ == "__main__":
    main()
