"""An ASGI application behind httpx, in process, with bodies streamed both ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
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
            run.close()
            raise
        if start is None:
            raise httpx.RemoteProtocolError(
                "Server disconnected without sending a response."
            )
        return httpx.Response(
            start["status"], headers=start["headers"], stream=_Body(run, start)
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
        self._body = aiter(request.stream)
        self._body_ended = False
        self._timeout = request.extensions.get("timeout", {}).get("read")
        self._app = app(_scope(request), self._receive, self._send)

    async def next_message(self) -> Message | None:
        """Run until the application sends something; None: it has ended."""
        try:
            with anyio.fail_after(self._timeout):
                return await _Turn(self._app)
        except TimeoutError as error:
            raise httpx.ReadTimeout("nothing came") from error
        except ConnectionResetError as error:
            raise httpx.ReadError(str(error)) from error

    def close(self) -> None:
        """End the application where it rests."""
        self._app.close()

    async def _send(self, message: Message) -> None:
        await _Handover(message)

    async def _receive(self) -> Message:
        if self._body_ended:
            # A client that is still there has nothing to say.
            await anyio.sleep_forever()
        chunk = await anext(self._body, None)
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

    def __init__(self, run: _Run, start: Message) -> None:
        self._run = run
        self._closed = False
        self._left = int(dict(start["headers"]).get(b"content-length", 0))

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
            raise httpx.RemoteProtocolError(
                "peer closed connection without sending complete message body"
            )
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._closed = True
        self._run.close()


def _scope(request: httpx.Request) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.url.scheme,
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 0),
        "server": (request.url.host, request.url.port),
    }
