from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

from tests.simulator.calling import PICTURE, Clock, download, fetch_token, in_process
from wxmedia_async import MINI_PROGRAM, OFFICIAL_ACCOUNT, WECOM, Platform
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

MIB = 1024 * 1024
THREE_DAYS = 3 * 86_400


async def get(
    simulator: Simulator,
    media_id: str,
    *,
    hd_voice: bool = False,
    method: str = "GET",
    **headers: str,
) -> httpx.Response:
    """Download with a token, in process."""
    async with in_process(simulator) as http:
        return await download(
            http,
            media_id,
            token=await fetch_token(http, wecom=simulator.platform.wecom),
            hd_voice=hd_voice,
            method=method,
            **headers,
        )


async def test_the_documented_head() -> None:
    """A media comes with the headers of the documentation, and whole."""
    simulator = Simulator()
    media_id = simulator.put(PICTURE)

    reply = await get(simulator, media_id)

    assert (reply.status_code, reply.content) == (200, PICTURE)
    assert dict(reply.headers) == {
        "connection": "close",
        "content-type": "image/jpeg",
        "content-disposition": f'attachment; filename="{media_id}.jpg"',
        "cache-control": "no-cache, must-revalidate",
        "content-length": str(len(PICTURE)),
    }


async def test_the_head_of_wecom() -> None:
    """WeCom sends the name that was uploaded, encoded and as it is, in that order."""
    simulator = Simulator(WECOM)

    reply = await get(simulator, simulator.put(b"123456", "file", "聊 天.bin"))

    raw = dict(reply.headers.raw)[b"content-disposition"].decode()
    assert raw == (
        "attachment; filename*=utf-8''%E8%81%8A%20%E5%A4%A9.bin; filename=\"聊 天.bin\""
    )
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["accept-ranges"] == "bytes"


async def test_names_stay_in_their_quotes() -> None:
    """A name that would break out of its header does not."""
    simulator = Simulator(WECOM)

    reply = await get(simulator, simulator.put(b"123456", "file", 'a"\r\nX: b.txt'))

    assert reply.headers["content-disposition"].endswith('; filename="a___X: b.txt"')


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_head_over_a_port(method: str) -> None:
    """HEAD gives the head alone, as for GET, and the connection is closed."""
    simulator = Simulator()
    media_id = simulator.put(PICTURE)
    async with serve(simulator) as url, httpx.AsyncClient(base_url=url) as http:
        token = await fetch_token(http)
        reply = await download(http, media_id, token=token, method=method)

    assert reply.content == (PICTURE if method == "GET" else b"")
    assert reply.headers["content-length"] == str(len(PICTURE))
    assert reply.headers.get_list("connection") == ["close"]


@pytest.mark.parametrize("media_id", ["known", "wrong"])
async def test_head_in_process(media_id: str) -> None:
    """HEAD has no body in process either, neither of a media nor of an error."""
    simulator = Simulator()
    if media_id == "known":
        media_id = simulator.put(PICTURE)

    reply = await get(simulator, media_id, method="HEAD")

    assert reply.content == b""
    assert int(reply.headers["content-length"]) > 0


async def test_a_large_media_comes_whole() -> None:
    """A media that is too large for memory comes back as it was put."""
    simulator = Simulator()
    content = bytes(range(256)) * 4096

    reply = await get(simulator, simulator.put(content))

    assert reply.content == content


async def test_the_media_id_is_required() -> None:
    """A call without a media_id is told so."""
    async with in_process(Simulator()) as http:
        token = await fetch_token(http)
        reply = await http.get(f"/cgi-bin/media/get?access_token={token}")

    assert reply.json()["errcode"] == 41006


@pytest.mark.parametrize("platform", [MINI_PROGRAM, WECOM])
async def test_a_wrong_media_id(platform: Platform) -> None:
    """A wrong media_id is an error with status 200, in plain text."""
    reply = await get(Simulator(platform), "wrong")

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain"
    assert reply.json()["errcode"] == 40007
    assert "content-disposition" not in reply.headers


async def test_a_media_lives_three_days() -> None:
    """A media can be fetched again and again for three days, and then is gone."""
    clock = Clock()
    simulator = Simulator(clock=clock)
    media_id = simulator.put(PICTURE)
    clock.now += THREE_DAYS - 1
    just_in_time = [await get(simulator, media_id) for _ in range(2)]
    clock.now += 1

    late = await get(simulator, media_id)

    assert [reply.content for reply in just_in_time] == [PICTURE, PICTURE]
    assert late.json()["errcode"] == 40007
    assert not simulator.media


@pytest.mark.parametrize(
    ("asked", "shown", "start", "stop"),
    [
        ("bytes=0-0", "bytes 0-0/100", 0, 1),
        ("bytes=10-19", "bytes 10-19/100", 10, 20),
        ("bytes=90-1000", "bytes 90-99/100", 90, 100),
        ("bytes=90-", "bytes 90-99/100", 90, 100),
    ],
)
async def test_ranges_of_wecom(asked: str, shown: str, start: int, stop: int) -> None:
    """WeCom gives a range of a media, and says which it is."""
    content = bytes(range(100))
    simulator = Simulator(WECOM)

    reply = await get(simulator, simulator.put(content), Range=asked)

    assert reply.status_code == 206
    assert reply.content == content[start:stop]
    assert reply.headers["content-range"] == shown
    assert reply.headers["content-length"] == str(stop - start)
    assert "attachment" in reply.headers["content-disposition"]


@pytest.mark.parametrize("asked", ["bytes=5-4", "bytes=-5", "bytes=a-b", "lines=1-2"])
async def test_what_is_no_range(asked: str) -> None:
    """What is no range that is understood is ignored."""
    simulator = Simulator(WECOM)

    reply = await get(simulator, simulator.put(PICTURE), Range=asked)

    assert (reply.status_code, reply.content) == (200, PICTURE)


async def test_a_range_beyond_the_end() -> None:
    """A range beyond the end gets 416, and the size that there is."""
    simulator = Simulator(WECOM)

    reply = await get(simulator, simulator.put(b"0123456789"), Range="bytes=10-11")

    assert reply.status_code == 416
    assert reply.headers["content-range"] == "bytes */10"


async def test_only_wecom_has_ranges() -> None:
    """The other platforms give a media whole."""
    simulator = Simulator(OFFICIAL_ACCOUNT)

    reply = await get(simulator, simulator.put(PICTURE), Range="bytes=0-9")

    assert (reply.status_code, reply.content) == (200, PICTURE)
    assert "accept-ranges" not in reply.headers


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        ("", None),
        ("bytes=0-", None),
        (f"bytes=0-{20 * MIB}", None),
        (f"bytes=0-{20 * MIB - 1}", 20 * MIB),
        (f"bytes={20 * MIB}-{40 * MIB}", 1),
    ],
)
async def test_large_media_of_wecom(asked: str, size: int | None) -> None:
    """WeCom gives at most 20 MiB at once; for more there is an error of its own."""
    simulator = Simulator(WECOM)
    media_id = simulator.put(bytes(20 * MIB + 1), "file", "large.bin")

    reply = await get(simulator, media_id, Range=asked)

    if size is None:
        assert reply.json()["errcode"] == 830002
    else:
        assert (reply.status_code, len(reply.content)) == (206, size)
    simulator.close()


@pytest.mark.parametrize("platform", [OFFICIAL_ACCOUNT, WECOM])
async def test_hd_voice(platform: Platform) -> None:
    """A voice can be had in speex from Official Accounts and from WeCom."""
    simulator = Simulator(platform)

    reply = await get(simulator, simulator.put(b"speex", "voice", "a"), hd_voice=True)

    assert reply.headers["content-type"] == "voice/speex"
    assert reply.content == b"speex"


@pytest.mark.parametrize(
    ("platform", "type", "code"),
    [(OFFICIAL_ACCOUNT, "image", 40007), (MINI_PROGRAM, "voice", 48001)],
)
async def test_no_hd_voice(platform: Platform, type: str, code: int) -> None:
    """There is no speex of a picture, nor for a Mini Program."""
    simulator = Simulator(platform)

    reply = await get(simulator, simulator.put(PICTURE, type), hd_voice=True)

    assert reply.json()["errcode"] == code


@pytest.mark.parametrize("platform", [OFFICIAL_ACCOUNT, MINI_PROGRAM])
async def test_a_video_is_a_link(platform: Platform) -> None:
    """A video is answered with a link, which needs a key and no token."""
    simulator = Simulator(platform)
    video = simulator.put(b"mp4", "video", "a.mp4")

    reply = await get(simulator, video)
    link = reply.json()["video_url"]
    async with in_process(simulator) as http:
        followed = await http.get(link)
        head = await http.head(link)
        without_key = await http.get(link.partition("?")[0])

    assert reply.headers["content-type"] == "text/plain"
    assert urlsplit(link)[:2] == ("http", "wechat.test")
    assert (followed.content, followed.headers["content-type"]) == (b"mp4", "video/mp4")
    assert (head.content, head.headers["content-length"]) == (b"", "3")
    assert without_key.status_code == 403


async def test_links_lead_back_to_the_port() -> None:
    """Over a port the link leads to that port."""
    simulator = Simulator()
    video = simulator.put(b"mp4", "video", "a.mp4")
    async with serve(simulator) as url, httpx.AsyncClient(base_url=url) as http:
        reply = await download(http, video, token=await fetch_token(http))
        link = reply.json()["video_url"]
        followed = await http.get(link)

    assert link.startswith(f"{url}/")
    assert followed.content == b"mp4"


@pytest.mark.parametrize("link", ["/vweixinp/wrong.mp4?vkey=1", "/vweixinp/?vkey="])
async def test_links_to_nothing(link: str) -> None:
    """A link to what is not there is forbidden."""
    async with in_process(Simulator()) as http:
        reply = await http.get(link)

    assert reply.status_code == 403


async def test_videos_can_be_streamed() -> None:
    """As newer reports have it, and WeCom always, the video itself can come."""
    simulator = Simulator()
    simulator.video_links = False
    corporate = Simulator(WECOM)

    replies = [
        await get(simulator, simulator.put(b"mp4", "video", "a.mp4")),
        await get(corporate, corporate.put(b"mp4", "video", "a.mp4")),
    ]

    assert [reply.content for reply in replies] == [b"mp4", b"mp4"]
    assert replies[0].headers["content-type"] == "video/mp4"


async def test_closing_forgets_the_media() -> None:
    """What was stored is gone once the simulator is closed; it may be used on."""
    simulator = Simulator()
    media_id = simulator.put(PICTURE)
    simulator.close()

    late = await get(simulator, media_id)
    again = await get(simulator, simulator.put(PICTURE))

    assert late.json()["errcode"] == 40007
    assert again.content == PICTURE


async def test_several_read_one_media_at_the_same_time() -> None:
    """Two downloads of one media that take turns both get it whole."""
    content = bytes(range(256)) * 4096
    simulator = Simulator()
    simulator.open_access = True
    media_id = simulator.put(content)
    url = f"/cgi-bin/media/get?media_id={media_id}"
    async with in_process(simulator) as http:
        async with http.stream("GET", url) as one, http.stream("GET", url) as other:
            chunks = one.aiter_raw(), other.aiter_raw()
            read = [b"", b""]
            for place in [0, 1] * 5:
                read[place] += await anext(chunks[place], b"")

    assert read == [content, content]
