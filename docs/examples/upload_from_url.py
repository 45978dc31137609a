"""
From a URL to WeChat, without a file in between and whatever the length.

    python docs/examples/upload_from_url.py [URL]

Without a URL it serves a picture on loopback, and uploads that.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from urllib.parse import urlsplit

import httpx
from pretended import WECHAT, open_client, picture

from wxmedia_async import MediaClient, UploadedMedia
from wxmedia_async.simulator.serve import serve


async def upload_from(
    url: str, client: MediaClient, type: str = "image"
) -> UploadedMedia:
    """Upload what is at *url*: as it comes where its length is told, else spooled."""
    async with httpx.AsyncClient(follow_redirects=True) as http:
        # Compressed on its way, it would have another length than is told.
        headers = {"Accept-Encoding": "identity"}
        async with http.stream("GET", url, headers=headers) as reply:
            reply.raise_for_status()
            length = reply.headers.get("Content-Length")
            return await client.upload(
                reply.aiter_bytes(),
                type,
                filename=urlsplit(url).path.rpartition("/")[2] or None,
                size=None if length is None else int(length),
            )


async def picture_server(scope: Any, receive: Any, send: Any) -> None:
    """Serve one picture; an ASGI application."""
    content = picture(side=256)
    headers = [(b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def main() -> None:
    async with open_client() as client:
        if len(sys.argv) > 1:
            uploaded = await upload_from(sys.argv[1], client)
        else:
            async with serve(picture_server) as url:
                uploaded = await upload_from(f"{url}/cat.png", client)
    print("uploaded:", uploaded.media_id)
    for stored in WECHAT.media.values():
        print("WeChat has:", stored.filename, stored.size, "bytes")


if __name__ == "__main__":
    asyncio.run(main())
