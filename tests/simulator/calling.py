"""The simulator, called as plainly as curl would."""

from __future__ import annotations

from typing import Any

import attrs
import httpx

from wxmedia_async.simulator import Simulator

PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 40


@attrs.define
class Clock:
    """A clock that tests move."""

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


def in_process(simulator: Simulator) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=simulator.transport(), base_url="http://wechat.test"
    )


async def fetch_token(http: httpx.AsyncClient, *, wecom: bool = False) -> str:
    """Return a token, from whichever endpoint the platform has."""
    if wecom:
        reply = await http.get("/cgi-bin/gettoken?corpid=c&corpsecret=s")
    else:
        reply = await http.post("/cgi-bin/stable_token", json=credentials())
    token: str = reply.json()["access_token"]
    return token


def credentials(**more: object) -> dict[str, object]:
    asked = {"grant_type": "client_credential", "appid": "a", "secret": "s"}
    return asked | more


async def upload(
    http: httpx.AsyncClient,
    content: bytes = PICTURE,
    *,
    token: str | None,
    type: str = "image",
    filename: str = "cat.jpg",
) -> httpx.Response:
    return await http.post(
        "/cgi-bin/media/upload",
        params={"type": type} | _token(token),
        files={"media": (filename, content)},
    )


async def download(
    http: httpx.AsyncClient,
    media_id: str,
    *,
    token: str | None,
    hd_voice: bool = False,
    method: str = "GET",
    **headers: str,
) -> httpx.Response:
    return await http.request(
        method,
        "/cgi-bin/media/get/jssdk" if hd_voice else "/cgi-bin/media/get",
        params={"media_id": media_id} | _token(token),
        headers=headers,
    )


def _token(token: str | None) -> dict[str, Any]:
    return {} if token is None else {"access_token": token}
