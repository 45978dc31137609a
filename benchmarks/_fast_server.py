"""
A server that is not the bottleneck: canned replies, from uvloop's protocols.

Run as a program it prints its port and serves until it is terminated. Each GET
is answered by ``size`` bytes of media, where the query has ``media_id=SIZE-…``;
each POST is read to its end and answered like an upload.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import re
import ssl
from typing import cast

import uvloop

LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
SIZE = re.compile(rb"media_id=(\d+)")
UPLOADED = b'{"type":"image","media_id":"m","created_at":1700000000}'


@functools.cache
def media(size: int, connection: bytes) -> bytes:
    head = (
        b"HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Type: image/jpeg\r\n"
        b'Content-Disposition: attachment; filename="m.jpg"\r\nContent-Length: %d\r\n\r\n'
    )
    return head % (connection, size) + b"\xff\xd8\xff\xe0" + bytes(size - 4)


class Serve(asyncio.Protocol):
    def __init__(self, *, close: bool) -> None:
        self._close = close
        self._connection = b"close" if close else b"keep-alive"
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._left:
            self._left -= len(data)
            if not self._left:
                self._uploaded()
            return
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest, self._head = self._head[:end], len(self._head) - end - 4, b""
        if head.startswith(b"GET"):
            found = SIZE.search(head)
            self._reply(media(int(found[1]) if found else 4, self._connection))
            return
        length = LENGTH.search(head)
        self._left = int(length[1]) - rest if length else 0
        if not self._left:
            self._uploaded()

    def _uploaded(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nConnection: %s\r\nContent-Length: %d\r\n\r\n"
        self._reply(head % (self._connection, len(UPLOADED)) + UPLOADED)

    def _reply(self, reply: bytes) -> None:
        self._transport.write(reply)
        if self._close:
            self._transport.close()


async def run(certificate: str | None, *, close: bool) -> None:
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Serve(close=close), "127.0.0.1", 0, ssl=context, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate")
    parser.add_argument("--close", action="store_true")
    args = parser.parse_args()
    uvloop.run(run(args.certificate, close=args.close))


if __name__ == "__main__":
    main()
