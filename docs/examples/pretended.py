"""WeChat, and a customer who writes: what the examples run against by themselves."""

from __future__ import annotations

import hashlib
import os
import struct
import time
import zlib
from xml.sax.saxutils import escape

import httpx

from wxmedia_async import AppToken, MediaClient
from wxmedia_async.simulator import Simulator

WECHAT = Simulator()
WEBHOOK_TOKEN = os.environ.get("WXMEDIA_WEBHOOK_TOKEN", "pretended")


def open_client() -> MediaClient:
    """Make a client of the real service if there are credentials, else of this one."""
    appid, secret = os.environ.get("WXMEDIA_APPID"), os.environ.get("WXMEDIA_SECRET")
    if appid and secret:
        return MediaClient(AppToken(appid, secret))
    return WECHAT.client(token=AppToken("appid", "secret"))


def picture(red: int = 0, green: int = 150, blue: int = 90, side: int = 64) -> bytes:
    """Draw a PNG of one colour."""
    rows = (b"\0" + bytes([red, green, blue]) * side) * side
    size = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", size), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data))
        + name
        + data
        + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def signed(token: str, timestamp: str, nonce: str) -> str:
    """Sign as WeChat does, who sends this with each message."""
    return hashlib.sha1("".join(sorted((token, timestamp, nonce))).encode()).hexdigest()


async def customer_writes(url: str) -> None:
    """Send two messages to the webhook at *url*: a picture, and what claims to be one."""
    script = b"<script>alert('not a picture')</script>"
    for content in picture(), script:
        media_id = WECHAT.put(content, filename="photo.png")
        stamp = str(int(time.time()))
        asked = {"signature": signed(WEBHOOK_TOKEN, stamp, "1"), "nonce": "1"}
        message = (
            "<xml><FromUserName>customer</FromUserName><MsgType>image</MsgType>"
            f"<MsgId>{stamp}</MsgId><MediaId>{escape(media_id)}</MediaId></xml>"
        )
        # The server may not listen yet.
        transport = httpx.AsyncHTTPTransport(retries=9)
        async with httpx.AsyncClient(transport=transport) as http:
            await http.post(url, params=asked | {"timestamp": stamp}, content=message)
