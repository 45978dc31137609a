"""Replies to a download, whole and broken."""

from __future__ import annotations

import httpx

from tests.fakes import JPEG, Pieces, media

ATTACHED = {"Content-Disposition": 'attachment; filename="ID.jpg"'}


def reply(content: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.Response(200, headers=headers, stream=Pieces(content))


def moved(location: str) -> httpx.Response:
    return httpx.Response(302, headers={"Location": location})


def cut(content: bytes = JPEG, size: int = 1000) -> httpx.Response:
    """A body that ends too early, as httpx tells it."""
    gone = httpx.RemoteProtocolError(
        "peer closed connection without sending complete message body"
    )
    response = media(content)
    response.stream = Pieces(content[:size], fails=gone)
    return response
