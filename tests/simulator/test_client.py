from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.simulator.calling import PICTURE
from wxmedia_async import MINI_PROGRAM as MINI
from wxmedia_async import OFFICIAL_ACCOUNT as OFFICIAL
from wxmedia_async import (
    WECOM,
    AppToken,
    CorpToken,
    MediaClient,
    MediaNotFound,
    Platform,
    TokenProvider,
)
from wxmedia_async.simulator import Simulator


@pytest.mark.parametrize("platform", [MINI, OFFICIAL, WECOM], ids=lambda it: it.name)
async def test_a_client_of_the_simulator(platform: Platform, tmp_path: Path) -> None:
    """A client that is wired to it uploads and downloads, with no token to care for."""
    simulator = Simulator(platform)
    async with simulator.client() as client:
        uploaded = await client.upload(PICTURE)
        saved = await client.download(uploaded.media_id, tmp_path)

    assert saved.path is not None
    assert saved.path.read_bytes() == PICTURE
    assert simulator.media[uploaded.media_id].content == PICTURE
    assert simulator.token_fetches == 0


@pytest.mark.parametrize(
    ("platform", "token"),
    [
        (OFFICIAL, AppToken("a", "s")),
        (OFFICIAL, AppToken("a", "s", endpoint="token")),
        (WECOM, CorpToken("a", "s")),
    ],
    ids=["stable", "old", "wecom"],
)
async def test_a_client_that_fetches_tokens(
    platform: Platform, token: TokenProvider
) -> None:
    """A client with credentials fetches a token once, and anew when that is revoked."""
    simulator = Simulator(platform, appid="a", secret="s")
    media_id = simulator.put(PICTURE)
    async with simulator.client(token=token) as client:
        await client.read(media_id)
        await client.read(media_id)
        once = simulator.token_fetches
        simulator.revoke_tokens()

        content = await client.read(media_id)

    assert content.content == PICTURE
    assert (once, simulator.token_fetches) == (1, 2)


async def test_options_reach_the_client() -> None:
    """The options are those of the client, such as its retries and its platform."""
    simulator = Simulator(OFFICIAL)
    simulator.open_access = True
    async with simulator.client(token=None, platform=MINI) as client:
        with pytest.raises(MediaNotFound):
            await client.read("wrong")

    assert repr(client) == "<MediaClient of mini_program>"
    assert "access_token" not in simulator.requests[-1].query


async def test_a_transport_to_it(tmp_path: Path) -> None:
    """An application that builds its own client gets there by a transport."""
    simulator = Simulator(OFFICIAL)
    simulator.open_access = True
    http = httpx.AsyncClient(transport=simulator.transport(), base_url="http://any")
    media_id = simulator.put(PICTURE)

    async with (
        http,
        MediaClient(
            None, platform=OFFICIAL, base_url="http://any", http=http
        ) as client,
    ):
        plain = await http.get(f"/cgi-bin/media/get?media_id={media_id}")
        saved = await client.download(media_id, tmp_path)

    assert plain.content == PICTURE
    assert saved.size == len(PICTURE)


def test_the_application_needs_no_client() -> None:
    """Whoever serves it loads neither httpx nor the client."""
    program = """if True:
        import sys
        from wxmedia_async.simulator import Simulator
        Simulator().put(b"x")
        print(sys.modules.keys() & {"httpx", "wxmedia_async._client"})
    """
    line = [sys.executable, "-c", program]

    done = subprocess.run(line, capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_it_shows_what_it_is() -> None:
    """Its repr names the platform and how much is stored."""
    simulator = Simulator(WECOM, appid="a", secret="SECRET")
    simulator.put(b"123456")

    assert repr(simulator) == "<Simulator of wecom, 1 media>"


def test_nobody_has_to_close_it() -> None:
    """A simulator that is just dropped leaves no file open, which would warn."""
    simulator = Simulator()
    simulator.put(bytes(1_000_000))

    del simulator
    gc.collect()
