"""Somebody else's client agrees that this is the service: wechatpy."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import Any

import anyio.to_thread
import pytest

from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

wechatpy = pytest.importorskip("wechatpy")

# It warns of its own methods, by which alone a media is uploaded.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`_(get|post)` method of `WeChatClient`:DeprecationWarning"
)

PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 300


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(appid="wx1", secret="s3")


@pytest.fixture
async def client(simulator: Simulator) -> AsyncIterator[Any]:
    """Give a wechatpy client that takes the simulator for WeChat."""
    async with serve(simulator) as url:
        yield client_of(url, secret="s3")


async def test_a_media_comes_back_byte_for_byte(
    simulator: Simulator, client: Any
) -> None:
    """What wechatpy uploads, it downloads again, with a token it fetched itself."""
    file = io.BytesIO(PICTURE)
    file.name = "cat.jpg"

    uploaded = await call(client.media.upload, "image", file)
    reply = await call(client.media.download, uploaded["media_id"])

    assert reply.content == PICTURE
    assert simulator.media[uploaded["media_id"]].filename == "cat.jpg"
    assert simulator.token_fetches == 1


async def test_a_wrong_media_id_is_its_own_error(client: Any) -> None:
    """wechatpy recognises the errcode of a media_id that does not exist."""
    with pytest.raises(wechatpy.exceptions.WeChatClientException) as caught:
        await call(client.media.download, "wrong")

    assert caught.value.errcode == 40007


async def test_a_wrong_type_is_its_own_error(client: Any) -> None:
    """wechatpy recognises the errcode of a media type that does not exist."""
    with pytest.raises(wechatpy.exceptions.WeChatClientException) as caught:
        await call(client.media.upload, "picture", io.BytesIO(PICTURE))

    assert caught.value.errcode == 40004


async def test_a_token_that_died_is_fetched_anew(
    simulator: Simulator, client: Any
) -> None:
    """wechatpy recognises a refused token: it fetches another and tries again."""
    media_id = simulator.put(PICTURE)
    await call(client.media.download, media_id)
    simulator.revoke_tokens()

    reply = await call(client.media.download, media_id)

    assert reply.content == PICTURE
    assert simulator.token_fetches == 2


async def test_a_wrong_secret_is_its_own_error(simulator: Simulator) -> None:
    """wechatpy recognises the errcode of a wrong secret."""
    async with serve(simulator) as url:
        with pytest.raises(wechatpy.exceptions.WeChatClientException) as caught:
            await call(client_of(url, secret="wrong").media.download, "any")

    assert caught.value.errcode == 40125


def client_of(url: str, *, secret: str) -> Any:
    class Client(wechatpy.WeChatClient):  # type: ignore[name-defined,misc]  # untyped
        API_BASE_URL = f"{url}/cgi-bin/"

        def fetch_access_token(self) -> Any:
            # Its own method has WeChat's address written into it.
            asked = {"grant_type": "client_credential"}
            return self._fetch_access_token(
                url=f"{self.API_BASE_URL}token",
                params=asked | {"appid": self.appid, "secret": self.secret},
            )

    return Client("wx1", secret)


async def call(function: Any, *args: Any) -> Any:
    """Call what blocks, in a thread."""
    return await anyio.to_thread.run_sync(function, *args)
