"""WeCom: its dialect, its large media, and an SDK that others wrote for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from wecomkit import AsyncWeComClient, WeComAPIError, WeComConfig

from tests.fakes import EAGER, FakeWeChat, client_of, error, names_in
from wxmedia_async import (
    WECOM,
    CloudbaseToken,
    CorpToken,
    MediaNotFound,
    Progress,
    TooLarge,
    UnexpectedReply,
)
from wxmedia_async._wire import ranges
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 40
LARGE = os.urandom(1024 * 1024) * 45


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    simulator = Simulator(WECOM)
    yield simulator
    simulator.close()


async def test_wecomkit_is_satisfied(
    simulator: Simulator, tmp_path: Path, anyio_backend_name: str
) -> None:
    """An SDK of others uploads, downloads byte for byte, and reads our errors."""
    if anyio_backend_name == "trio":
        pytest.skip("wecomkit is made for asyncio")
    async with serve(simulator) as url:
        config = WeComConfig(corp_id="corp", corp_secret="secret", base_url=url)
        async with AsyncWeComClient(config) as sdk:
            uploaded = await sdk.media.upload_bytes(PNG, "image", "cat.png")
            reply = await sdk.media.get(uploaded["media_id"])
            with pytest.raises(WeComAPIError) as refused:
                await sdk.media.upload_bytes(PNG, "voice", "cat.png")

    assert reply.content == PNG
    assert refused.value.errcode == 40113


async def test_round_trip_with_a_corp_token(simulator: Simulator) -> None:
    """Uploads and downloads work in WeCom's dialect, names in UTF-8 included."""
    async with simulator.client(token=CorpToken("corp", "secret")) as client:
        uploaded = await client.upload(PNG, "file", filename="聊天.png")
        content = await client.read(uploaded.media_id)

    assert content.content == PNG
    assert content.filename == "聊天.png"
    assert uploaded.type == "file"
    assert simulator.token_fetches == 1


async def test_830002_leads_to_ranges(simulator: Simulator, tmp_path: Path) -> None:
    """Above 20 MB a file is fetched in parallel parts, each small enough."""
    media_id = simulator.put(LARGE, "file", "film.bin")
    reports: list[Progress] = []

    async with simulator.client() as client:
        saved = await client.download(media_id, tmp_path, progress=reports.append)

    assert saved.path is not None
    assert saved.path.read_bytes() == LARGE
    assert saved.verified
    assert [report.done for report in reports] == sorted(r.done for r in reports)
    assert (reports[-1].done, reports[-1].total) == (len(LARGE), len(LARGE))
    asked = [r.headers["range"] for r in simulator.requests if "range" in r.headers]
    assert len(asked) == 1 + 3
    assert simulator.in_flight_peak > 1


async def test_parts_keep_to_the_bound(simulator: Simulator, tmp_path: Path) -> None:
    """With one slot the parts come one after the other, and all arrive."""
    media_id = simulator.put(LARGE, "file", "film.bin")

    async with simulator.client(max_concurrency=1) as client:
        saved = await client.download(media_id, tmp_path)

    assert saved.size == len(LARGE)
    assert simulator.in_flight_peak == 1


async def test_large_media_can_be_read_and_streamed(simulator: Simulator) -> None:
    """`read` and `stream` get the parts in order."""
    media_id = simulator.put(LARGE, "file", "film.bin")

    async with simulator.client() as client:
        content = await client.read(media_id, max_bytes=len(LARGE))
        async with client.stream(media_id) as media:
            streamed = b"".join([chunk async for chunk in media])

    assert content.content == LARGE
    assert streamed == LARGE
    assert media.size == len(LARGE)


async def test_a_stream_of_parts_may_be_left(simulator: Simulator) -> None:
    """Leaving a stream in the middle of a part gives the slot back."""
    media_id = simulator.put(LARGE, "file", "film.bin")

    async with simulator.client(max_concurrency=1) as client:
        async with client.stream(media_id) as media:
            await anext(aiter(media))
        assert simulator._in_flight.now == 0
        assert (await client.read(media_id, max_bytes=len(LARGE))).content == LARGE


async def test_a_part_is_tried_again_by_itself(
    simulator: Simulator, tmp_path: Path
) -> None:
    """A broken part costs that part, not all of the file."""
    media_id = simulator.put(LARGE, "file", "film.bin")

    def break_one(_: Progress) -> None:
        if not broken:
            broken.append(True)
            simulator.fail(1, "truncate")

    broken: list[bool] = []
    async with simulator.client(max_concurrency=1, retry=EAGER) as client:
        saved = await client.download(media_id, tmp_path, progress=break_one)

    assert saved.path is not None
    assert saved.path.read_bytes() == LARGE
    assert len(simulator.requests) == 1 + 1 + 3 + 1


async def test_parts_that_fail_for_good(simulator: Simulator, tmp_path: Path) -> None:
    """A part that cannot be had fails the whole, and leaves no file."""
    media_id = simulator.put(LARGE, "file", "film.bin")

    async with simulator.client() as client:
        await client.read(media_id, max_bytes=len(LARGE))
        asked = len(simulator.requests)
        simulator.fail(1, 830002)
        simulator.fail(1, 40007)
        with pytest.raises(MediaNotFound):
            await client.download(media_id, tmp_path)

    assert len(simulator.requests) == asked + 2
    assert names_in(tmp_path) == []


async def test_parts_beyond_the_cap(simulator: Simulator, tmp_path: Path) -> None:
    """A media larger than max_bytes is refused before its parts are fetched."""
    media_id = simulator.put(LARGE, "file", "film.bin")

    async with simulator.client() as client:
        with pytest.raises(TooLarge) as refused:
            await client.download(media_id, tmp_path, max_bytes=30_000_000)

    assert refused.value.size == len(LARGE)
    assert len(simulator.requests) == 2


@pytest.mark.parametrize(
    ("content_range", "size"),
    [
        ("bytes 0-9/100", 100),
        ("bytes 0-9/10", 10),
        ("bytes 0-4/5", 5),
        ("bytes 1-10/100", None),
        ("bytes 0-8/100", None),
        ("bytes */100", None),
        ("0-9/100", None),
        (None, None),
    ],
)
def test_content_range(content_range: str | None, size: int | None) -> None:
    """A part counts only if it is the one that was asked for."""
    asked = ranges.ByteRange(0, 10)

    assert ranges.whole_size(content_range, asked) == size


@pytest.mark.parametrize("size", [0, 1, ranges.LONGEST, ranges.LONGEST + 1])
def test_parts_cover_all_bytes_once(size: int) -> None:
    """Put end to end, the parts are the whole."""
    parts = list(ranges.parts(size))

    assert sum(map(len, parts)) == size
    assert all(a.stop == b.start for a, b in pairwise(parts))
    assert all(len(part) <= ranges.LONGEST for part in parts)


async def test_cloud_hosting(tmp_path: Path) -> None:
    """The container's token goes under its own name, read anew each time."""
    simulator = Simulator()
    simulator.open_access = True
    path = tmp_path / "token"
    path.write_text("first\n")

    async with simulator.client(token=CloudbaseToken(path)) as client:
        uploaded = await client.upload(PNG)
        path.write_text("second\n")
        await client.read(uploaded.media_id)

    asked = [dict(request.query) for request in simulator.requests]
    assert [query["cloudbase_access_token"] for query in asked] == ["first", "second"]
    assert not any("access_token" in query for query in asked)


NEEDS_PARTS = error(830002, "too large for one reply")
WHOLE = PNG * 20


def part_of(size: int, content_range: str | None, status: int = 206) -> httpx.Response:
    """The first bytes of a media, said to be some of *size*."""
    headers = {"Content-Disposition": "attachment; filename=x.png"}
    if content_range is not None:
        headers["Content-Range"] = content_range
    return httpx.Response(status, headers=headers, content=WHOLE[:size])


@pytest.mark.parametrize(
    "wrong",
    [
        "bytes 1-65535/200000",
        "bytes 0-65534/200000",
        "bytes 0-65535/*",
        "bytes */200000",
        "items 0-65535/200000",
        None,
    ],
)
async def test_another_part(wrong: str | None, tmp_path: Path) -> None:
    """A part that was not asked for is no beginning of a file."""
    service = FakeWeChat(answers=[NEEDS_PARTS, part_of(65_536, wrong)])

    async with client_of(service, platform=WECOM) as client:
        with pytest.raises(UnexpectedReply, match="another part of the media"):
            await client.download("ID", tmp_path)

    assert names_in(tmp_path) == []


async def test_media_that_is_replaced(tmp_path: Path) -> None:
    """Parts of two media make none."""
    probed = part_of(65_536, f"bytes 0-65535/{len(WHOLE)}")
    later = part_of(len(WHOLE), f"bytes 0-{len(WHOLE)}/{len(WHOLE) + 1}")
    later.headers["Content-Range"] = f"bytes 0-{len(WHOLE) - 1}/{len(WHOLE) + 1}"
    service = FakeWeChat(answers=[NEEDS_PARTS, probed, later])

    async with client_of(service, platform=WECOM) as client:
        with pytest.raises(UnexpectedReply):
            await client.download("ID", tmp_path)

    assert names_in(tmp_path) == []
