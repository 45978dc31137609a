"""The service, in memory: fakes that behave, and can be stopped at a gate."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx

from wxmedia_async import MediaClient, RetryPolicy

BASE = "http://wechat.test"
TOKEN = "TOKEN-that-must-never-be-seen"
SECRET = "SECRET-that-must-never-be-seen"
EAGER = RetryPolicy(initial=0.0)
JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)) * 8


def error(code: int, message: str = "no") -> httpx.Response:
    """An error as WeChat sends it: status 200, and plain text."""
    content = json.dumps({"errcode": code, "errmsg": message})
    return httpx.Response(200, text=content)


def media(content: bytes, **headers: str) -> httpx.Response:
    """A media as WeChat sends it, in many small pieces."""
    shown = {
        "Content-Type": "image/jpeg",
        "Content-Length": str(len(content)),
        "Content-Disposition": 'attachment; filename="ID.jpg"',
    }
    return httpx.Response(
        200,
        headers=shown | {k.replace("_", "-"): v for k, v in headers.items()},
        stream=Pieces(content),
    )


@attrs.define(eq=False)
class Pieces(httpx.AsyncByteStream):
    """A body in small pieces, each after a checkpoint, that knows its end."""

    content: bytes
    size: int = 1000
    fails: Exception | None = None
    closed: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), self.size):
            await anyio.lowlevel.checkpoint()
            if self.closed:
                raise httpx.ReadError("the connection is closed")
            yield self.content[start : start + self.size]
        if self.fails is not None:
            raise self.fails

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed = True


Answer = httpx.Response | Exception | Callable[[httpx.Request], httpx.Response]


@attrs.define(eq=False)
class FakeWeChat(httpx.AsyncBaseTransport):
    """
    Answers like WeChat, reads bodies chunk by chunk, and counts.

    Attributes:
        stored: media_id to bytes.

        names: media_id to the filename that was sent.

        valid: The token that is accepted; None accepts any.

        answers: What to answer next instead, in order.

        gate: Requests wait here, where there is one.

        in_flight: Exchanges now, from the request to the closed reply.

        bodies: Of the requests that were read whole, in order.
    """

    stored: dict[str, bytes] = attrs.Factory(dict)
    names: dict[str, str] = attrs.Factory(dict)
    valid: str | None = None
    answers: list[Answer] = attrs.Factory(list)
    gate: anyio.Event | None = None
    created_at: int = 1_700_000_000
    in_flight: int = 0
    peak: int = 0
    tokens: int = 0
    requests: list[httpx.Request] = attrs.Factory(list)
    bodies: list[bytes] = attrs.Factory(list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            response = await self._response(request)
        except BaseException:
            self.in_flight -= 1
            raise
        if response.is_closed:  # made of bytes: httpx does not close it again
            self.in_flight -= 1
            return response
        assert isinstance(response.stream, httpx.AsyncByteStream)
        response.stream = _Counted(response.stream, self)
        return response

    async def _response(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        body = b"".join([chunk async for chunk in request.stream])
        self.bodies.append(body)
        if self.gate is not None:
            await self.gate.wait()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer(request) if callable(answer) else answer
        return self._answer(request, dict(request.url.params), body)

    def _answer(
        self, request: httpx.Request, params: Mapping[str, str], body: bytes
    ) -> httpx.Response:
        if request.url.path.endswith("token"):
            self.tokens += 1
            self.valid = f"{TOKEN}-{self.tokens}"
            return httpx.Response(
                200, json={"access_token": self.valid, "expires_in": 7200}
            )
        if self.valid is not None and params.get("access_token") != self.valid:
            return error(40001, "invalid credential")
        if request.url.path == "/cgi-bin/media/upload":
            return self._store(request, params["type"], body)
        if params["media_id"] not in self.stored:
            return error(40007, "invalid media_id")
        return media(self.stored[params["media_id"]])

    def _store(self, request: httpx.Request, type: str, body: bytes) -> httpx.Response:
        assert int(request.headers["content-length"]) == len(body)
        found = re.fullmatch(
            rb'--(\w+)\r\n[^\r]*name="media"; filename="([^"]*)"\r\n[^\r]*\r\n\r\n'
            rb"(.*)\r\n--\1--\r\n",
            body,
            re.DOTALL,
        )
        assert found is not None, body[:200]
        media_id = f"m{len(self.stored)}"
        self.stored[media_id] = found[3]
        self.names[media_id] = found[2].decode()
        answer: dict[str, Any] = {
            "type": type,
            "media_id": media_id,
            "created_at": self.created_at,
        }
        return httpx.Response(200, text=json.dumps(answer))


class _Counted(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, service: FakeWeChat) -> None:
        self._stream = stream
        self._service = service
        self._open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._service.in_flight -= 1
        await self._stream.aclose()


def client_of(service: httpx.AsyncBaseTransport, **options: Any) -> MediaClient:
    """A client whose requests end in *service*."""
    options.setdefault("retry", EAGER)
    options.setdefault("token", TOKEN)
    options.setdefault("http", httpx.AsyncClient(transport=service))
    return MediaClient(options.pop("token"), base_url=BASE, **options)


def names_in(folder: Path) -> list[str]:
    """What is in a folder, hidden files too."""
    return sorted(path.name for path in folder.iterdir())
