"""An ASGI application behind httpx, in process, with bodies streamed both ways."""

from __future__ import annotations

import math
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
)
from typing import Any, TypeAlias

import anyio
import httpx

from ._requests import Message, Receive, Scope, Send

App: TypeAlias = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


class InProcess(httpx.AsyncBaseTransport):
    """
    Hands requests to an ASGI application, and its replies back as they come.

    httpx's own `ASGITransport` runs the application to its end first. This one
    runs it by turns within the task that asks: each time the application sends
    something, it rests until more is wanted. So there is no task of its own to
    look after, and no end to wait for.
    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        run = _Run(self._app, request)
        try:
            start = await run.next_message()
        except BaseException:
            await run.aclose()
            raise
        if start is None:
            await run.aclose()
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response."
            )
        promised = 0 if request.method == "HEAD" else _length(start)
        return httpx.Response(
            start["status"], headers=start["headers"], stream=_Body(run, promised)
        )


class _Handover:
    """What the application sends, on its way past the event loop."""

    def __init__(self, message: Message) -> None:
        self.message = message

    def __await__(self) -> Generator[Any, None, None]:
        yield self


class _Run:
    """One run of the application, by turns."""

    def __init__(self, app: App, request: httpx.Request) -> None:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        self._body: AsyncIterator[bytes] = aiter(request.stream)
        self._body_ended = False
        self._timeout = request.extensions.get("timeout", {}).get("read")
        self._patience = anyio.CancelScope()
        self._app = app(_scope(request), self._receive, self._send)

    async def next_message(self) -> Message | None:
        """Run until the application sends something; None: it has ended."""
        try:
            with anyio.fail_after(self._timeout) as self._patience:
                return await _Turn(self._app)
        except TimeoutError as error:
            raise httpx.ReadTimeout("nothing came") from error
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error)) from error

    async def aclose(self) -> None:
        """End the application where it rests, and the body that it has not read."""
        self._app.close()
        close = getattr(self._body, "aclose", None)
        if close is not None:
            with anyio.CancelScope(shield=True):
                await close()

    async def _send(self, message: Message) -> None:
        await _Handover(message)

    async def _receive(self) -> Message:
        if self._body_ended:
            # A client that is still there has nothing to say.
            await anyio.sleep_forever()
        # While it sends, a client does not wait for an answer.
        self._patience.deadline = math.inf
        chunk = await anext(self._body, None)
        if self._timeout is not None:
            self._patience.deadline = anyio.current_time() + self._timeout
        self._body_ended = chunk is None
        return {
            "type": "http.request",
            "body": chunk or b"",
            "more_body": not self._body_ended,
        }


class _Turn(Awaitable["Message | None"]):
    """Drives a coroutine by hand until it hands something over, or ends."""

    def __init__(self, app: Coroutine[Any, Any, None]) -> None:
        self._app = app

    def __await__(self) -> Generator[Any, Any, Message | None]:
        resume = self._app.send
        value: Any = None
        while True:
            try:
                trap = resume(value)
            except StopIteration:
                return None
            if isinstance(trap, _Handover):
                return trap.message
            # All else is for the event loop, and its answer for the application.
            try:
                value = yield trap
                resume = self._app.send
            except BaseException as error:  # noqa: BLE001
                value, resume = error, self._app.throw


class _Body(httpx.AsyncByteStream):
    """The body of a reply; closing it ends the application."""

    def __init__(self, run: _Run, promised: int) -> None:
        self._run = run
        self._left = promised
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._closed:
            raise httpx.StreamClosed
        while (message := await self._run.next_message()) is not None:
            chunk: bytes = message.get("body", b"")
            self._left -= len(chunk)
            if chunk:
                return chunk
        if self._left > 0:
            # The words of httpx's own stack, by which a cut body is told from noise.
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body"
            )
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._closed = True
        await self._run.aclose()


def _length(start: Message) -> int:
    return int(dict(start["headers"]).get(b"content-length", 0))


def _scope(request: httpx.Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "root_path": "",
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": (request.url.host, request.url.port),
    }
