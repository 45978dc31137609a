"""The simulator below a path of another application."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.simulator.calling import PICTURE
from wxmedia_async import (
    OFFICIAL_ACCOUNT,
    WECOM,
    AppToken,
    CorpToken,
    MediaClient,
    Platform,
)
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator._inprocess import App, InProcess
from wxmedia_async.simulator._requests import Receive, Scope, Send
from wxmedia_async.simulator.serve import serve

Mounted: TypeAlias = Callable[[Simulator], App]

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(1000)


def by_starlette(simulator: Simulator) -> App:
    return Starlette(routes=[Mount("/wx", app=simulator)])


def twice(simulator: Simulator) -> App:
    inner = Starlette(routes=[Mount("/wx", app=simulator)])
    return Starlette(routes=[Mount("/a/b", app=inner)])


def with_root(root: str, *, in_path: bool = True) -> Mounted:
    """Mount by hand, as a server with an option for it does."""

    def mount(simulator: Simulator) -> App:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            path = scope["path"]
            if not in_path:
                path = path.removeprefix(root)
            await simulator({**scope, "root_path": root, "path": path}, receive, send)

        return app

    return mount


MOUNTS = [
    pytest.param(by_starlette, "/wx", id="starlette"),
    pytest.param(twice, "/a/b/wx", id="nested"),
    pytest.param(with_root("/wx"), "/wx", id="root_path"),
    pytest.param(with_root("/wx/"), "/wx", id="with-slash"),
    pytest.param(with_root("/wx", in_path=False), "/wx", id="as-it-was-once"),
    pytest.param(with_root("/wéi xìn"), "/w%C3%A9i%20x%C3%ACn", id="quoted"),
    pytest.param(with_root("/cgi-bin"), "/cgi-bin", id="like-a-route"),
    pytest.param(with_root(""), "", id="at-the-root"),
]


@pytest.mark.parametrize("platform", [OFFICIAL_ACCOUNT, WECOM], ids=lambda it: it.name)
@pytest.mark.parametrize(("mounted", "path"), MOUNTS)
async def test_a_client_of_a_mounted_simulator(
    mounted: Mounted, path: str, platform: Platform, tmp_path: Path
) -> None:
    """Tokens, uploads, downloads and messages work below a path."""
    simulator = Simulator(platform, appid="a", secret="s")
    token = CorpToken if platform.wecom else AppToken
    http = httpx.AsyncClient(transport=InProcess(mounted(simulator)))
    async with (
        http,
        MediaClient(
            token("a", "s"), platform=platform, base_url=f"http://host{path}", http=http
        ) as client,
    ):
        uploaded = await client.upload(PICTURE)
        saved = await client.download(uploaded.media_id, tmp_path)
        kind = "" if platform.wecom else "custom/"
        await client.call("POST", f"/cgi-bin/message/{kind}send", json={"text": "hi"})

    assert saved.path is not None
    assert saved.path.read_bytes() == PICTURE
    assert (simulator.token_fetches, len(simulator.sent)) == (1, 1)
    assert all(request.path.startswith("/cgi-bin/") for request in simulator.requests)


@pytest.mark.parametrize(("mounted", "path"), MOUNTS)
async def test_links_lead_below_the_path(mounted: Mounted, path: str) -> None:
    """A link to a video leads to where the simulator is mounted."""
    simulator = Simulator()
    simulator.open_access = True
    media_id = simulator.put(VIDEO, "video", "a.mp4")
    http = httpx.AsyncClient(transport=InProcess(mounted(simulator)))
    async with http:
        answer = await http.get(
            f"http://host{path}/cgi-bin/media/get", params={"media_id": media_id}
        )
        link = answer.json()["video_url"]
        video = await http.get(link)

    assert link.startswith(f"http://host{path}/vweixinp/")
    assert video.content == VIDEO


async def test_over_sockets() -> None:
    """A mounted simulator that is served on a port gives videos by their links."""
    simulator = Simulator()
    media_id = simulator.put(VIDEO, "video", "a.mp4")
    token, _ = simulator._tokens.stable("client")
    async with (
        serve(by_starlette(simulator)) as url,
        MediaClient(token, platform=OFFICIAL_ACCOUNT, base_url=f"{url}/wx") as client,
    ):
        content = await client.read(media_id)

    assert content.content == VIDEO


async def test_beside_the_mount() -> None:
    """A path that only begins like the mount's is another one."""
    simulator = Simulator()
    async with httpx.AsyncClient(
        transport=InProcess(with_root("/wx")(simulator)), base_url="http://host"
    ) as http:
        reply = await http.get("/wxcgi-bin/token")

    assert reply.status_code == 404
