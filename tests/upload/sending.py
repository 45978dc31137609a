"""What tests of uploads send, and what they are answered."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx

from tests.fakes import JPEG


async def flow(content: bytes = JPEG) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 700):
        await anyio.lowlevel.checkpoint()
        yield content[start : start + 700]


def said(text: str, status: int = 200) -> httpx.Response:
    return httpx.Response(status, text=text)
