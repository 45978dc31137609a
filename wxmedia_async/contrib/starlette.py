"""
Media for browsers, in Starlette and FastAPI.

.. code-block:: python

    app.add_exception_handler(MediaError, error_handler)


    @app.get("/media/{media_id}")
    async def media(media_id: str, client: Client) -> MediaResponse:
        return MediaResponse(client, media_id)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import anyio

from .. import MediaClient
from ._relay import Asked, AskedFor, Shown, open_shown, pass_on, refusal_of, taken

try:
    from starlette.background import BackgroundTask
    from starlette.datastructures import Headers, MutableHeaders
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.types import Message, Receive, Scope, Send
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        'Starlette is missing: pip install "wxmedia_async[starlette]"',
        name=_error.name,
    ) from None


class MediaResponse(Response):
    """
    Hands one media on to a browser.

    Media of up to 2 MiB are read whole first, and tried again like every download;
    longer ones are streamed, and hold a slot until the browser has them or leaves.
    Give relays a client of their own, with a higher `max_concurrency`.

    It knows HEAD, If-None-Match (304 without a call of WeChat), and for media of up
    to 2 MiB Range. A failure reaches the application's exception handlers as long as
    nothing has been sent; after that it is logged and the connection is cut. Headers
    and cookies that are set on it count before its own.

    Args:
        client: Whose media it is.

        media_id: What WeChat calls the media.

        max_bytes: The most bytes to hand on; None: the platform's cap.

        hd_voice: Ask for the speex recording of a voice.

        reader_timeout: Seconds that a browser may take nothing while a slot is held
            for it; None: as long as it likes.

    Raises:
        MediaError: When it is called, as `MediaClient.read` and `stream` do.
    """

    def __init__(
        self,
        client: MediaClient,
        media_id: str,
        *,
        max_bytes: int | None = None,
        hd_voice: bool = False,
        reader_timeout: float | None = 60.0,
    ) -> None:
        # As Starlette's own responses do that have no body at first.
        self.status_code = 200
        self.background: BackgroundTask | None = None
        self.init_headers()
        self._client = client
        self._wanted = AskedFor(
            media_id=media_id,
            max_bytes=max_bytes,
            hd_voice=hd_voice,
            reader_timeout=reader_timeout,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, for as long as the browser is there."""
        send, cut_off = partial(_send, send), _cut_off(scope, receive)
        with suppress(_BrowserLeft):
            answer = partial(self._answer, _asked(scope), send, cut_off)
            await _while_there(receive, answer)
        if self.background is not None:
            await self.background()

    async def _answer(
        self, asked: Asked, send: Send, cut_off: Callable[[Shown], Awaitable[None]]
    ) -> None:
        async with open_shown(self._client, self._wanted, asked) as shown:
            passed_on = shown.rest is not None and await self._pass_on(shown, send)
        # No slot is held any more: from here on the browser may take its time.
        if shown.rest is None:
            await send(self._start(shown))
            body = b"" if asked.head_only else shown.content
            await send(_body(body, more=False))
        elif passed_on:
            await send(_body(b"", more=False))
        else:
            await cut_off(shown)

    async def _pass_on(self, shown: Shown, send: Send) -> bool:
        start = partial(send, self._start(shown))
        if not await taken(start, self._wanted):
            return False
        return await pass_on(shown, self._wanted, lambda chunk: send(_body(chunk)))

    def _start(self, shown: Shown) -> Message:
        headers = MutableHeaders(raw=list(self.raw_headers))
        for name, value in shown.headers.items():
            headers.setdefault(name, value)
        return {
            "type": "http.response.start",
            "status": shown.status,
            "headers": headers.raw,
        }


async def error_handler(request: Request, error: Exception) -> Response:
    """
    Answer a `MediaError`: ``app.add_exception_handler(MediaError, error_handler)``.

    A JSON document with ``detail``, as FastAPI's own. From 500 on it says nothing
    but the status; what happened is logged.
    """
    status, headers, document = refusal_of(error)
    return JSONResponse(document, status, headers)


def _asked(scope: Scope) -> Asked:
    headers = Headers(scope=scope)
    return Asked(
        head_only=scope["method"] == "HEAD",
        if_none_match=",".join(headers.getlist("if-none-match")),
        if_range=headers.get("if-range", ""),
        range=",".join(headers.getlist("range")),
    )


def _body(chunk: bytes, *, more: bool = True) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": more}


class _BrowserLeft(Exception):
    """Some servers say so when they are to send something."""


class _Unfinished(Exception):
    """The rest of a reply is missing, and nothing else would say so."""


async def _send(send: Send, message: Message) -> None:
    try:
        await send(message)
    except OSError:
        raise _BrowserLeft from None


async def _while_there(receive: Receive, work: Callable[[], Awaitable[None]]) -> None:
    """Do *work*, but stop as soon as the browser leaves."""
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_leave, receive, tasks.cancel_scope)
            await work()
            tasks.cancel_scope.cancel()
        return
    except BaseExceptionGroup as group:
        failure = group.exceptions[0]
    raise failure


async def _leave(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


def _cut_off(scope: Scope, receive: Receive) -> Callable[[Shown], Awaitable[None]]:
    """
    Return what ends a reply that cannot be completed.

    A server closes the connection of a reply that is left unfinished, so there is
    little to do. But uvicorn logs that as an error, beside our own line: there, we
    cut the connection ourselves. Its `receive` is bound to what holds it.
    """
    connection = getattr(getattr(receive, "__self__", None), "transport", None)
    abort = getattr(connection, "abort", None)
    only_one = str(scope.get("http_version", "")).startswith("1")

    async def cut_off(shown: Shown) -> None:
        if abort is not None and only_one:
            abort()
            await anyio.sleep_forever()  # until `_leave` hears of it
        if "Content-Length" not in shown.headers:
            # Some middlewares end what was left unfinished, as if it were whole.
            raise _Unfinished("a media broke off")

    return cut_off
