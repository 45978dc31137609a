"""A server that speaks as much of S3 as a test wants, and writes down what it hears."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from typing import Self, TypeAlias

import attrs

Answer: TypeAlias = tuple[int, bytes]

BEGUN = b"<UploadResult><UploadId>u</UploadId></UploadResult>".replace(
    b"UploadResult", b"InitiateMultipartUploadResult"
)
ENDED = b"<CompleteMultipartUploadResult><ETag>t</ETag></CompleteMultipartUploadResult>"
DENIED = b"<Error><Code>AccessDenied</Code></Error>"


@attrs.frozen
class Heard:
    """A request; `path` is a URL where it came by way of a proxy."""

    method: str
    path: str
    headers: dict[str, str]
    length: int


def answering(status: int, code: str) -> Callable[[Heard], Answer]:
    """Refuse everything."""
    return lambda _: (status, f"<Error><Code>{code}</Code></Error>".encode())


def working(heard: Heard) -> Answer:
    """Answer as a bucket does in which all is well."""
    if heard.method == "POST":
        return 200, BEGUN if "uploads" in heard.path else ENDED
    return (204 if heard.method == "DELETE" else 200), b""


def failing(heard: Heard) -> Answer:
    """Answer as a bucket whose rights are taken away after the first part."""
    if heard.method == "PUT" and "partNumber=1" not in heard.path:
        return 403, DENIED
    return working(heard)


def unfinishing(heard: Heard) -> Answer:
    """Answer as a bucket that takes all parts, and will not put them together."""
    if heard.method == "POST" and "uploads" not in heard.path:
        return 403, DENIED
    return working(heard)


class Cloud:
    """Listens on a port of this machine while the block runs."""

    def __init__(self, answer: Callable[[Heard], Answer]) -> None:
        self.heard: list[Heard] = []
        self._answer = answer
        self._server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), self._handler()
        )
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Methods and paths, in order."""
        return [(heard.method, heard.path) for heard in self.heard]

    def _hear(self, heard: Heard) -> Answer:
        self.heard.append(heard)
        return self._answer(heard)

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        hear = self._hear

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                length = len(self.rfile.read(int(headers.get("content-length", 0))))
                heard = Heard(self.command, self.path, headers, length)
                status, body = hear(heard)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"tag"')
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler
