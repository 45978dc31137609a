"""
Media for browsers, in aiohttp's server.

.. code-block:: python

    async def media(request: web.Request) -> web.StreamResponse:
        return await media_response(request, request.app[CLIENT], "MEDIA_ID")


    app = web.Application(middlewares=[error_middleware])
"""

from __future__ import annotations

from functools import partial

from .. import MediaClient
from .._errors import MediaError
from ._relay import Asked, AskedFor, Shown, open_shown, pass_on, refusal_of, taken

try:
    from aiohttp import web
    from aiohttp.typedefs import Handler
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        'aiohttp is missing: pip install "wxmedia_async[aiohttp]"', name=_error.name
    ) from None


async def media_response(
    request: web.Request,
    client: MediaClient,
    media_id: str,
    *,
    max_bytes: int | None = None,
    hd_voice: bool = False,
    reader_timeout: float | None = 60.0,
) -> web.StreamResponse:
    """
    Hand one media on to the browser of *request*.

    Media of up to 2 MiB are read whole first, and tried again like every download;
    longer ones are streamed before this returns, and hold a slot until the browser
    has them or its leaving is noticed, at the next write. Give relays a client of
    their own, with a higher `max_concurrency`.

    It knows HEAD, If-None-Match (304 without a call of WeChat), and for media of up
    to 2 MiB Range. A failure after the head is logged and the connection is cut.

    Args:
        request: What the browser asks; its headers count.

        client: Whose media it is.

        media_id: What WeChat calls the media.

        max_bytes: The most bytes to hand on; None: the platform's cap.

        hd_voice: Ask for the speex recording of a voice.

        reader_timeout: Seconds that a browser may take nothing while a slot is held
            for it; None: as long as it likes.

    Returns:
        What the handler is to return.

    Raises:
        MediaError: Nothing has been sent; see `error_middleware`.
    """
    wanted = AskedFor(
        media_id=media_id,
        max_bytes=max_bytes,
        hd_voice=hd_voice,
        reader_timeout=reader_timeout,
    )
    async with open_shown(client, wanted, _asked(request)) as shown:
        if shown.rest is not None:
            return await _streamed(request, shown, wanted)
    return web.Response(
        status=shown.status, headers=shown.headers, body=shown.content or None
    )


@web.middleware
async def error_middleware(
    request: web.Request, handler: Handler
) -> web.StreamResponse:
    """
    Answer what is raised as a `MediaError`: a JSON document with ``detail``.

    From 500 on it says nothing but the status; what happened is logged.
    """
    try:
        return await handler(request)
    except MediaError as error:
        status, headers, document = refusal_of(error)
    return web.json_response(document, status=status, headers=headers)


async def _streamed(
    request: web.Request, shown: Shown, wanted: AskedFor
) -> web.StreamResponse:
    response = web.StreamResponse(status=shown.status, headers=shown.headers)
    begun = await taken(partial(response.prepare, request), wanted)
    passed_on = begun and await pass_on(shown, wanted, response.write)
    if not passed_on and request.transport:
        request.transport.abort()
    return response


def _asked(request: web.Request) -> Asked:
    return Asked(
        head_only=request.method == "HEAD",
        if_none_match=",".join(request.headers.getall("If-None-Match", ())),
        if_range=request.headers.get("If-Range", ""),
        range=",".join(request.headers.getall("Range", ())),
    )
