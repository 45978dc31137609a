from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.sockets.server import (
    Peer,
    Script,
    Server,
    always,
    client_to,
    response,
    said,
)
from wxmedia_async import WECOM, MediaClient, RetryPolicy, Truncated, UnexpectedReply

ONCE = RetryPolicy(attempts=1)
MEDIA = b"\xff\xd8\xff" + bytes(range(256)) * 400
IMAGE = "Content-Type: image/jpeg"


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 40 000 bytes, so that little data is much."""
    monkeypatch.setattr("wxmedia_async._wire.ranges.LONGEST", 40_000)
    monkeypatch.setattr("wxmedia_async._wire.ranges.PROBE", 100)


def in_parts(*headers: str, cut: int = 0) -> Script:
    """Give the media by ranges only, and *cut* bytes less of each longer part."""

    def script(peer: Peer) -> None:
        while True:
            asked = peer.read_request().header("range")
            if asked is None:
                peer.send(said('{"errcode":830002,"errmsg":"media too large"}'))
                continue
            found = re.fullmatch(r"bytes=(\d+)-(\d+)", asked)
            assert found is not None
            start, last = int(found[1]), min(int(found[2]), len(MEDIA) - 1)
            body = MEDIA[start : last + 1]
            if len(body) > 100:
                body = body[: len(body) - cut]
            shown = [*headers] or [f"Content-Length: {len(body)}"]
            covers = f"Content-Range: bytes {start}-{last}/{len(MEDIA)}"
            peer.send(response(body, IMAGE, covers, *shown, status="206 Partial"))
            if headers:
                return

    return script


async def wecom_read(client: MediaClient, folder: Path) -> bytes:
    return (await client.read("ID")).content


async def wecom_download(client: MediaClient, folder: Path) -> bytes:
    saved = await client.download("ID", folder / "x.jpg")
    return Path(saved.location).read_bytes()


Fetch = Callable[[MediaClient, Path], Awaitable[bytes]]

BOTH = pytest.mark.parametrize("fetch", [wecom_read, wecom_download])


@BOTH
@pytest.mark.parametrize(
    "headers", [(), ("Connection: close",)], ids=["length", "close"]
)
async def test_parts_make_the_whole(
    fetch: Fetch, headers: tuple[str, ...], tmp_path: Path
) -> None:
    """What WeCom gives in parts only is put together, however they are framed."""
    with Server(in_parts(*headers)) as server:
        async with client_to(server, platform=WECOM) as client:
            content = await fetch(client, tmp_path)

    assert content == MEDIA


@BOTH
@pytest.mark.parametrize(
    "headers", [(), ("Connection: close",)], ids=["length", "close"]
)
async def test_part_that_is_too_short(
    fetch: Fetch, headers: tuple[str, ...], tmp_path: Path
) -> None:
    """Fault 4: a part with fewer bytes than its range is cut, whatever its length."""
    with Server(in_parts(*headers, cut=10)) as server:
        async with client_to(server, platform=WECOM, retry=ONCE) as client:
            with pytest.raises(Truncated) as info:
                await fetch(client, tmp_path)

    assert info.value.expected is not None
    assert info.value.expected - info.value.received == 10
    assert list(tmp_path.iterdir()) == []


async def test_part_that_nobody_asked_for(tmp_path: Path) -> None:
    """Fault 4: a part of a media is not taken for all of it."""
    reply = response(
        MEDIA[:100],
        IMAGE,
        "Content-Length: 100",
        f"Content-Range: bytes 0-99/{len(MEDIA)}",
        status="206 Partial",
    )
    with Server(always(reply)) as server:
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply) as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert info.value.status == 206
    assert info.value.attempts == 1
    assert list(tmp_path.iterdir()) == []
