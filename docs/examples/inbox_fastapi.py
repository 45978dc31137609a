"""
An inbox: what customers send is in a bucket before WeChat forgets it.

    python docs/examples/inbox_fastapi.py

Serves on http://127.0.0.1:8000, pretends to be WeChat, and lets a customer write.
With WXMEDIA_APPID, WXMEDIA_SECRET and WXMEDIA_WEBHOOK_TOKEN it is the real thing.
"""

from __future__ import annotations

import hmac
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Annotated, TypedDict
from urllib.parse import quote
from xml.etree import ElementTree

import anyio
import obstore
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from obstore.store import MemoryStore
from pretended import WEBHOOK_TOKEN, customer_writes, open_client, signed

from wxmedia_async import DestinationUnusable, MediaClient, MediaContent, MediaError
from wxmedia_async.contrib.obstore import Objects
from wxmedia_async.contrib.starlette import MediaResponse, error_handler
from wxmedia_async.contrib.web import headers_of

PORT = int(os.environ.get("PORT", "8000"))
BUCKET = MemoryStore()  # S3Store("media") where it is to last
INBOX = Objects(BUCKET, "inbox/")
PAGE = "<!doctype html><title>Inbox</title><h1>Inbox</h1>"
logger = logging.getLogger("inbox")


class State(TypedDict):
    client: MediaClient
    tasks: anyio.abc.TaskGroup


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    async with open_client() as client, anyio.create_task_group() as tasks:
        if "WXMEDIA_APPID" not in os.environ:
            tasks.start_soon(customer_writes, f"http://127.0.0.1:{PORT}/wechat")
        print(f"inbox: http://127.0.0.1:{PORT}/", flush=True)
        yield {"client": client, "tasks": tasks}
        # What has been promised to WeChat is brought to its end.


app = FastAPI(lifespan=lifespan)
app.add_exception_handler(MediaError, error_handler)


def client_of(request: Request) -> MediaClient:
    return request.state.client


Client = Annotated[MediaClient, Depends(client_of)]


def check_signature(signature: str, timestamp: str, nonce: str) -> None:
    if not hmac.compare_digest(signature, signed(WEBHOOK_TOKEN, timestamp, nonce)):
        raise HTTPException(403)


@app.get("/wechat", dependencies=[Depends(check_signature)])
async def confirm(echostr: str) -> PlainTextResponse:
    """Tell WeChat that this address is ours."""
    return PlainTextResponse(echostr)


@app.post("/wechat", dependencies=[Depends(check_signature)])
async def receive(request: Request, client: Client) -> PlainTextResponse:
    """Take a customer's message; WeChat waits 5 s for an answer, and asks 3 times."""
    message = ElementTree.fromstring(await request.body())
    if media_id := message.findtext("MediaId"):
        request.state.tasks.start_soon(keep, client, media_id)
    return PlainTextResponse("success")


async def keep(client: MediaClient, media_id: str) -> None:
    try:
        saved = await client.download(media_id, INBOX)
    except (MediaError, OSError, DestinationUnusable) as error:
        logger.error("lost %s: %s", media_id, error)
    else:
        print("kept:", saved.location, flush=True)


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    """Show all there is; nothing of it can do anything here, whatever it is."""
    kept = obstore.list(BUCKET, "inbox/").collect()
    names = [item["path"].removeprefix("inbox/") for item in kept]
    return PAGE + "".join(map(shown, names))


def shown(name: str) -> str:
    url = f"/kept/{quote(name)}"
    return f'<p><img src="{url}"> <a href="{url}">{escape(name)}</a>'


@app.get("/kept/{name}")
async def kept(name: str) -> Response:
    """Give what is in the bucket."""
    try:
        found = await obstore.get_async(BUCKET, f"inbox/{name}")
    except FileNotFoundError:
        raise HTTPException(404) from None
    content = bytes(await found.bytes_async())
    return Response(
        content, headers=headers_of(MediaContent(name, content, None, name))
    )


@app.get("/media/{media_id}")
async def media(media_id: str, client: Client) -> MediaResponse:
    """Give what only WeChat has."""
    return MediaResponse(client, media_id)


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
