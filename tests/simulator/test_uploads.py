from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator

import attrs
import httpx
import pytest

from tests.simulator.calling import PICTURE, Clock, fetch_token, in_process, upload
from wxmedia_async import MINI_PROGRAM, OFFICIAL_ACCOUNT, WECOM, Platform
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

KIB = 1024
MIB = 1024 * KIB


async def answer_to(
    platform: Platform,
    content: bytes = PICTURE,
    *,
    type: str = "image",
    filename: str = "cat.jpg",
) -> dict[str, object]:
    """Upload to a simulator of a platform, and return its answer."""
    simulator = Simulator(platform, clock=Clock(1_700_000_000.9))
    async with in_process(simulator) as http:
        token = await fetch_token(http, wecom=platform.wecom)
        reply = await upload(http, content, token=token, type=type, filename=filename)
    answer: dict[str, object] = reply.json()
    assert len(simulator.media) == ("errcode" not in answer or answer["errcode"] == 0)
    return answer


async def test_an_upload_is_stored() -> None:
    """What is stored has the bytes, the name, the type and the time of the upload."""
    simulator = Simulator(clock=Clock(1_700_000_000.0))
    async with in_process(simulator) as http:
        reply = await upload(http, token=await fetch_token(http), filename="猫.JPG")

    (stored,) = simulator.media.values()
    assert reply.json()["media_id"] in simulator.media
    assert (stored.content, stored.size) == (PICTURE, len(PICTURE))
    assert (stored.type, stored.filename) == ("image", "猫.JPG")
    assert stored.content_type == "image/jpeg"
    assert stored.created_at == 1_700_000_000.0


async def test_the_answer() -> None:
    """An upload is answered with type, media_id and the time, as a number."""
    answer = await answer_to(MINI_PROGRAM)

    assert answer.pop("media_id")
    assert answer == {"type": "image", "created_at": 1_700_000_000, "item": []}


async def test_the_answer_to_a_thumb() -> None:
    """A thumb has a thumb_media_id instead of a media_id."""
    answer = await answer_to(OFFICIAL_ACCOUNT, type="thumb")

    assert answer["thumb_media_id"]
    assert "media_id" not in answer


async def test_the_answer_of_wecom() -> None:
    """WeCom says that it is well, and gives the time as a string."""
    answer = await answer_to(WECOM)

    assert answer.pop("media_id")
    assert answer == {
        "errcode": 0,
        "errmsg": "ok",
        "type": "image",
        "created_at": "1700000000",
    }


@pytest.mark.parametrize(
    ("platform", "type", "filename", "code"),
    [
        (OFFICIAL_ACCOUNT, "picture", "cat.jpg", 40004),
        (OFFICIAL_ACCOUNT, "file", "a.pdf", 40004),
        (OFFICIAL_ACCOUNT, "", "cat.jpg", 40004),
        (MINI_PROGRAM, "voice", "a.amr", 40004),
        (WECOM, "thumb", "cat.jpg", 40005),
        (OFFICIAL_ACCOUNT, "image", "cat", 40005),
        (OFFICIAL_ACCOUNT, "image", "cat.exe", 40113),
        (OFFICIAL_ACCOUNT, "video", "cat.jpg", 40113),
        (WECOM, "voice", "a.mp3", 40113),
    ],
)
async def test_wrong_kinds(
    platform: Platform, type: str, filename: str, code: int
) -> None:
    """A type or a name that the platform does not take is refused, and not stored."""
    answer = await answer_to(platform, type=type, filename=filename)

    assert answer["errcode"] == code


async def test_wecom_files_have_any_name() -> None:
    """WeCom takes a file whatever its name."""
    answer = await answer_to(WECOM, type="file", filename="no suffix")

    assert answer["errcode"] == 0


@pytest.mark.parametrize(
    ("platform", "size", "type", "filename", "code"),
    [
        (OFFICIAL_ACCOUNT, 0, "image", "a.jpg", 44001),
        (WECOM, 0, "image", "a.jpg", 44001),
        (OFFICIAL_ACCOUNT, 1, "image", "a.jpg", None),
        (WECOM, 5, "file", "a", 40006),
        (WECOM, 6, "file", "a", 0),
        (OFFICIAL_ACCOUNT, 64 * KIB, "thumb", "a.jpg", None),
        (OFFICIAL_ACCOUNT, 64 * KIB + 1, "thumb", "a.jpg", 45001),
        (OFFICIAL_ACCOUNT, 2 * MIB, "voice", "a.amr", None),
        (OFFICIAL_ACCOUNT, 2 * MIB + 1, "voice", "a.amr", 45001),
    ],
)
async def test_sizes(
    platform: Platform, size: int, type: str, filename: str, code: int | None
) -> None:
    """A file must be no smaller and no larger than the platform's limits."""
    answer = await answer_to(platform, b"x" * size, type=type, filename=filename)

    assert answer.get("errcode") == code


async def test_without_limits_everything_is_taken() -> None:
    """Without limits any type, name and size is taken, but for an empty file."""
    platform = attrs.evolve(OFFICIAL_ACCOUNT, limits={})

    taken = await answer_to(platform, b"x", type="anything", filename="a.exe")
    empty = await answer_to(platform, b"")

    assert taken["type"] == "anything"
    assert empty["errcode"] == 44001


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="media"',
        "form-data; name=\"media\"; filename*=utf-8''a.jpg",
        'form-data; name="file"; filename="a.jpg"',
    ],
    ids=["no filename", "filename* alone", "another name"],
)
async def test_forms_without_the_media(disposition: str) -> None:
    """A form whose part has no plain filename, or another name, has no media."""
    body = f"--b\r\nContent-Disposition: {disposition}\r\n\r\nx\r\n--b--\r\n"

    assert await errcode_of(body.encode()) == 41005


async def test_a_body_that_is_no_form() -> None:
    """A bare file for a body has no media either."""
    assert await errcode_of(PICTURE, "image/jpeg") == 41005


async def test_the_token_is_looked_at_first() -> None:
    """A wrong token is told even where nothing else is right."""
    async with in_process(Simulator()) as http:
        reply = await http.post("/cgi-bin/media/upload?access_token=x", content=b"?")

    assert reply.json()["errcode"] == 40001


async def errcode_of(
    body: bytes, content_type: str = "multipart/form-data; boundary=b"
) -> int:
    async with in_process(Simulator()) as http:
        reply = await http.post(
            "/cgi-bin/media/upload",
            params={"access_token": await fetch_token(http), "type": "image"},
            content=body,
            headers={"content-type": content_type},
        )
    code: int = reply.json()["errcode"]
    return code


async def chunked(http: httpx.AsyncClient, **headers: str) -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield PICTURE

    return await http.post(
        "/cgi-bin/media/upload?type=image", content=body(), headers=headers
    )


@pytest.mark.parametrize("more", [{}, {"content-length": "1"}], ids=["alone", "both"])
async def test_chunked_bodies(more: dict[str, str]) -> None:
    """A chunked body gets 412 before anything else is looked at."""
    async with in_process(Simulator()) as http:
        reply = await chunked(http, **{"transfer-encoding": "chunked", **more})

    assert reply.status_code == 412
    assert "html" in reply.headers["content-type"]


async def test_errors_look_as_they_do() -> None:
    """An error has status 200, calls itself plain text, and ends with a rid."""
    async with in_process(Simulator()) as http:
        reply = await upload(http, token="wrong")

    assert reply.status_code == 200
    assert reply.headers["content-type"] == "text/plain"
    assert re.search(r" rid: \w+-\w+-\w+$", json.loads(reply.content)["errmsg"])


async def test_errors_look_as_they_do_in_wecom() -> None:
    """WeCom's errors have a hint, the caller's address and a link."""
    answer = await answer_to(WECOM, b"")

    assert re.search(
        r"hint: \[\d+\], from ip: [\d.]+, more info at https://\S+e=44001$",
        str(answer["errmsg"]),
    )


async def test_over_a_port() -> None:
    """Uploads, refusals and chunked bodies get the same answers over a port."""
    simulator = Simulator()
    async with serve(simulator) as url, httpx.AsyncClient(base_url=url) as http:
        token = await fetch_token(http)
        stored = await upload(http, token=token)
        refused = await upload(http, b"", token=token)
        chunks = await chunked(http)

    assert simulator.media[stored.json()["media_id"]].content == PICTURE
    assert stored.headers["content-type"] == "text/plain"
    assert refused.json()["errcode"] == 44001
    assert chunks.status_code == 412


async def test_what_comes_in_is_remembered() -> None:
    """Requests are seen as they came, names of headers in lower case."""
    simulator = Simulator()
    async with in_process(simulator) as http:
        await upload(http, token="x y")

    (seen,) = simulator.requests
    assert (seen.method, seen.path) == ("POST", "/cgi-bin/media/upload")
    assert seen.query == {"type": "image", "access_token": "x y"}
    assert seen.headers["content-type"].startswith("multipart/form-data")


@pytest.mark.parametrize("path", ["/", "/cgi-bin/media", "/cgi-bin/media/get/other"])
async def test_unknown_paths(path: str) -> None:
    """An unknown path is not found."""
    async with in_process(Simulator()) as http:
        reply = await http.get(path)

    assert reply.status_code == 404


@pytest.mark.parametrize(
    ("platform", "path"),
    [
        (OFFICIAL_ACCOUNT, "/cgi-bin/message/custom/send"),
        (WECOM, "/cgi-bin/message/send"),
    ],
)
async def test_customer_messages(platform: Platform, path: str) -> None:
    """A customer message that is sent is kept for the test to look at."""
    simulator = Simulator(platform)
    message = {"touser": "o", "msgtype": "image", "image": {"media_id": "m"}}
    async with in_process(simulator) as http:
        token = await fetch_token(http, wecom=platform.wecom)
        reply = await http.post(path, params={"access_token": token}, json=message)

    assert reply.json() == {"errcode": 0, "errmsg": "ok"}
    assert simulator.sent == [message]
