"""
One token for all: other programs and SDKs get it from here.

    python docs/examples/token_server.py

An account has one valid token. Where two programs fetch it, each invalidates the
other's; so one of them fetches, and the others ask it. Serves on loopback only:

    curl -H "Authorization: Bearer change-me" http://127.0.0.1:8000/token
"""

from __future__ import annotations

import hmac
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from pretended import WECHAT, open_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wxmedia_async import MediaClient, MediaError
from wxmedia_async.contrib.starlette import error_handler

PORT = int(os.environ.get("PORT", "8000"))
PASSWORD = os.environ.get("TOKEN_SERVER_PASSWORD", "change-me")


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[dict[str, MediaClient]]:
    async with open_client() as client:
        print(f"tokens: http://127.0.0.1:{PORT}/token", flush=True)
        yield {"client": client}


async def token(request: Request) -> Response:
    """Give the token; a POST gives another one than the one that was refused."""
    own = f"Bearer {PASSWORD}"
    if not hmac.compare_digest(request.headers.get("Authorization", ""), own):
        return Response(status_code=401)
    provider = request.state.client.token
    if request.method == "POST":
        value = await provider.renew((await request.json())["rejected"])
    else:
        value = await provider.get()
    return JSONResponse({"access_token": value}, headers={"Cache-Control": "no-store"})


class TokenServer:
    """What another program's `MediaClient` is given as its token: a `TokenProvider`."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(headers={"Authorization": f"Bearer {PASSWORD}"})
        self._url = url

    async def get(self) -> str:
        return self._token_in(await self._http.get(self._url))

    async def renew(self, rejected: str) -> str:
        return self._token_in(
            await self._http.post(self._url, json={"rejected": rejected})
        )

    def _token_in(self, reply: httpx.Response) -> str:
        return str(reply.raise_for_status().json()["access_token"])


app = Starlette(
    routes=[Route("/token", token, methods=["GET", "POST"])],
    lifespan=lifespan,
    exception_handlers={MediaError: error_handler},
)


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, log_level="warning")
    print("fetched from WeChat:", WECHAT.token_fetches)
