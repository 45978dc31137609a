"""
An inbox: what customers send is in a bucket before WeChat forgets it; with aiohttp.

    python docs/examples/inbox_aiohttp.py

Serves on http://127.0.0.1:8000, pretends to be WeChat, and lets a customer write.
With WXMEDIA_APPID, WXMEDIA_SECRET and WXMEDIA_WEBHOOK_TOKEN it is the real thing.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import AsyncIterator
from html import escape
from urllib.parse import quote
from xml.etree import ElementTree

import anyio
import obstore
from aiohttp import web
from aiohttp.typedefs import Handler
from obstore.store import MemoryStore
from pretended import WEBHOOK_TOKEN, customer_writes, open_client, signed

from wxmedia_async import DestinationUnusable, MediaClient, MediaContent, MediaError
from wxmedia_async.contrib.aiohttp import error_middleware, media_response
from wxmedia_async.contrib.obstore import Objects
from wxmedia_async.contrib.web import headers_of

PORT = int(os.environ.get("PORT", "8000"))
BUCKET = MemoryStore()  # S3Store("media") where it is to last
INBOX = Objects(BUCKET, "inbox/")
PAGE = "<!doctype html><title>Inbox</title><h1>Inbox</h1>"
CLIENT = web.AppKey("client", MediaClient)
TASKS = web.AppKey("tasks", anyio.abc.TaskGroup)
logger = logging.getLogger("inbox")
routes = web.RouteTableDef()


async def running(app: web.Application) -> AsyncIterator[None]:
    async with open_client() as client, anyio.create_task_group() as tasks:
        app[CLIENT], app[TASKS] = client, tasks
        if "WXMEDIA_APPID" not in os.environ:
            tasks.start_soon(customer_writes, f"http://127.0.0.1:{PORT}/wechat")
        print(f"inbox: http://127.0.0.1:{PORT}/", flush=True)
        yield
        # What has been promised to WeChat is brought to its end.


@web.middleware
async def check_signature(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let nobody but WeChat write."""
    if request.path == "/wechat":
        query = request.query
        own = signed(WEBHOOK_TOKEN, query.get("timestamp", ""), query.get("nonce", ""))
        if not hmac.compare_digest(query.get("signature", ""), own):
            raise web.HTTPForbidden
    return await handler(request)


@routes.get("/wechat")
async def confirm(request: web.Request) -> web.Response:
    """Tell WeChat that this address is ours."""
    return web.Response(text=request.query["echostr"])


@routes.post("/wechat")
async def receive(request: web.Request) -> web.Response:
    """Take a customer's message; WeChat waits 5 s for an answer, and asks 3 times."""
    message = ElementTree.fromstring(await request.read())
    if media_id := message.findtext("MediaId"):
        request.app[TASKS].start_soon(keep, request.app[CLIENT], media_id)
    return web.Response(text="success")


async def keep(client: MediaClient, media_id: str) -> None:
    try:
        saved = await client.download(media_id, INBOX)
    except (MediaError, OSError, DestinationUnusable) as error:
        logger.error("lost %s: %s", media_id, error)
    else:
        print("kept:", saved.location, flush=True)


@routes.get("/")
async def page(_: web.Request) -> web.Response:
    """Show all there is; nothing of it can do anything here, whatever it is."""
    kept = obstore.list(BUCKET, "inbox/").collect()
    names = [item["path"].removeprefix("inbox/") for item in kept]
    text = PAGE + "".join(map(shown, names))
    return web.Response(text=text, content_type="text/html")


def shown(name: str) -> str:
    url = f"/kept/{quote(name)}"
    return f'<p><img src="{url}"> <a href="{url}">{escape(name)}</a>'


@routes.get("/kept/{name}")
async def kept(request: web.Request) -> web.Response:
    """Give what is in the bucket."""
    name = request.match_info["name"]
    try:
        found = await obstore.get_async(BUCKET, f"inbox/{name}")
    except FileNotFoundError:
        raise web.HTTPNotFound from None
    content = bytes(await found.bytes_async())
    headers = headers_of(MediaContent(name, content, None, name))
    return web.Response(body=content, headers=headers)


@routes.get("/media/{media_id}")
async def media(request: web.Request) -> web.StreamResponse:
    """Give what only WeChat has."""
    media_id = request.match_info["media_id"]
    return await media_response(request, request.app[CLIENT], media_id)


def inbox() -> web.Application:
    app = web.Application(middlewares=[check_signature, error_middleware])
    app.add_routes(routes)
    app.cleanup_ctx.append(running)
    return app


if __name__ == "__main__":
    web.run_app(inbox(), host="127.0.0.1", port=PORT, print=None)
