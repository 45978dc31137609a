"""Videos: the link that WeChat gives, and where it may lead."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from tests.download.replies import moved, reply
from tests.fakes import BASE, JPEG, FakeWeChat, client_of, media, names_in
from wxmedia_async import MediaError, UnexpectedReply, UnsafeURL

PUBLIC = "http://203.205.137.89"


def link(url: str) -> httpx.Response:
    return httpx.Response(200, text=json.dumps({"video_url": url}))


async def test_link(tmp_path: Path) -> None:
    """A video is fetched where the link leads, with one slot, and nothing of ours."""
    url = f"{PUBLIC}/vweixinp.tc.qq.com/1007_a.f10.mp4?vkey=K&b=%2F"
    mp4 = b"\0\0\0\x18ftypmp42" + bytes(1000)
    service = FakeWeChat(answers=[link(url), reply(mp4, {"Content-Type": "video/mp4"})])
    http = httpx.AsyncClient(
        transport=service,
        headers={"Authorization": "Basic b3Vy", "X-Ours": "1"},
        cookies={"session": "ours"},
        auth=("us", "ours"),
        params={"ours": "1"},
    )

    async with client_of(service, http=http, max_concurrency=1) as client:
        saved = await client.download("ID", tmp_path)

    asked, followed = service.requests
    assert saved.path == tmp_path / "ID.mp4"
    assert saved.path.read_bytes() == mp4
    assert (asked.headers["x-ours"], asked.headers["cookie"]) == ("1", "session=ours")
    assert asked.headers["authorization"] == "Basic b3Vy"
    assert dict(asked.url.params)["ours"] == "1"
    assert (followed.method, followed.content) == ("GET", b"")
    assert followed.url == httpx.URL(url)
    assert followed.url.raw_path == b"/vweixinp.tc.qq.com/1007_a.f10.mp4?vkey=K&b=%2F"
    assert set(followed.headers) == {"host", "accept", "accept-encoding"}


async def test_link_after_redirects() -> None:
    """Fault 16: a link may be redirected three times."""
    service = FakeWeChat(
        answers=[
            link(f"{PUBLIC}/1"),
            moved("/2?vkey=K"),
            moved("//203.205.137.90/3?vkey=K"),
            moved("https://video.qq.com/4"),
            media(JPEG),
        ]
    )

    async with client_of(service, max_concurrency=1) as client:
        found = await client.read("ID")

    assert found.content == JPEG
    assert [(each.url.host, each.url.path) for each in service.requests[1:]] == [
        ("203.205.137.89", "/1"),
        ("203.205.137.89", "/2"),
        ("203.205.137.90", "/3"),
        ("video.qq.com", "/4"),
    ]
    assert dict(service.requests[2].url.params) == {"vkey": "K"}


async def test_too_many_redirects() -> None:
    """Fault 16: the fourth redirect of a link is one too many."""
    service = FakeWeChat(
        answers=[link(f"{PUBLIC}/0"), *[moved(f"/{n}") for n in range(1, 9)]]
    )

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply, match="redirects") as caught:
            await client.read("ID")

    assert caught.value.attempts == 1
    assert len(service.requests) == 5


UNSAFE = [
    "file:///etc/passwd",
    "ftp://203.205.137.89/a",
    "//203.205.137.89/a",
    "http:///a",
    "a.mp4",
    "http://user:pw@203.205.137.89/a",
    "http://127.0.0.1/a",
    "http://2130706433/a",
    "http://0x7f.1/a",
    "http://[::1]/a",
    "http://[::ffff:10.0.0.1]/a",
    "http://10.0.0.1/a",
    "http://169.254.169.254/latest/meta-data",
    "http://100.64.0.1/a",
    "http://localhost/a",
    "http://LOCALHOST./a",
    "http://intranet/a",
    "http://printer.local/a",
    "http://metadata.google.internal/a",
    "http://0/a",
    "https://api.weixin.qq.com@127.0.0.1/a",
    "http://[::1",
    "http://a b/",
    "http://203.205.137.89:port/",
]


@pytest.mark.parametrize("url", UNSAFE, ids=range(len(UNSAFE)))
async def test_unsafe_link(url: str, tmp_path: Path) -> None:
    """Fault 16: a link to anything but a public address is not followed."""
    service = FakeWeChat(answers=[link(url)])

    async with client_of(service) as client:
        with pytest.raises(UnsafeURL) as caught:
            await client.download("ID", tmp_path)

    assert (caught.value.attempts, caught.value.retryable) == (1, False)
    assert len(service.requests) == 1
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/a",
        "http://user:pw@203.205.137.89/a",
        "http://169.254.169.254/latest/meta-data",
        "ftp://203.205.137.89/a",
        "http://localhost/",
    ],
)
async def test_redirect_to_an_unsafe_place(location: str) -> None:
    """Fault 16: each redirect is checked as the link is."""
    service = FakeWeChat(answers=[link(f"{PUBLIC}/1"), moved(location)])

    async with client_of(service) as client:
        with pytest.raises(UnsafeURL):
            await client.read("ID")

    assert len(service.requests) == 2


async def test_redirect_that_is_no_url() -> None:
    """Fault 16: a redirect that cannot be understood is not followed."""
    service = FakeWeChat(answers=[link(f"{PUBLIC}/1"), moved("http://[::1")])

    async with client_of(service) as client:
        with pytest.raises(MediaError):
            await client.read("ID")

    assert len(service.requests) == 2


async def test_link_to_our_own_origin() -> None:
    """Fault 16: the exact origin of base_url is allowed, and no other of its kind."""
    service = FakeWeChat(answers=[link(f"{BASE}/video"), media(JPEG)])

    async with client_of(service) as client:
        found = await client.read("ID")
        service.answers = [link("https://wechat.test@localhost/video")]
        with pytest.raises(UnsafeURL):
            await client.read("ID")
        service.answers = [link(f"{BASE.replace('//', '//a:b@')}/video")]
        with pytest.raises(UnsafeURL):
            await client.read("ID")

    assert found.content == JPEG
    assert "access_token" not in service.requests[1].url.params


async def test_link_that_leads_to_an_error() -> None:
    """What a link leads to is told from an error like any other reply."""
    refused = httpx.Response(403, text="key K is over")
    service = FakeWeChat(answers=[link(f"{PUBLIC}/a?vkey=K"), refused])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply) as caught:
            await client.read("ID")

    assert caught.value.status == 403


async def test_link_that_leads_to_a_link() -> None:
    """A link that leads to another link is an unexpected reply."""
    service = FakeWeChat(answers=[link(f"{PUBLIC}/a"), link(f"{PUBLIC}/b")])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply, match="media was expected"):
            await client.read("ID")

    assert len(service.requests) == 2


async def test_link_is_asked_for_anew() -> None:
    """When a link fails, WeChat is asked for a new one."""
    service = FakeWeChat(
        answers=[
            link(f"{PUBLIC}/old"),
            httpx.Response(503),
            link(f"{PUBLIC}/new"),
            media(JPEG),
        ]
    )

    async with client_of(service) as client:
        await client.read("ID")

    assert service.requests[3].url.path == "/new"
