"""What browsers get, from each of the frameworks, over real sockets."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus

import attrs
import httpx
import pytest

from tests.contrib.browsing import JPEG, MIB, MP4, Http, get, long_jpeg
from tests.contrib.conftest import Service
from tests.fakes import FakeWeChat, Pieces, client_of, media
from wxmedia_async import WECOM
from wxmedia_async.contrib.web import etag_of
from wxmedia_async.simulator import Fault, Simulator

LARGE = 24 * MIB


def put(service: Service, content: bytes, filename: str = "cat.jpg") -> str:
    return service.simulator.put(content, filename=filename)


def url_of(service: Service, media_id: str, query: str = "") -> str:
    return f"{service.url}/media/{media_id}{query}"


@pytest.mark.parametrize("size", [len(JPEG), 2 * MIB, 2 * MIB + 1, 5 * MIB])
def test_picture(service: Service, size: int) -> None:
    """A picture arrives whole, with its length, its kind and a name, in one call."""
    content = long_jpeg(size)
    media_id = put(service, content)

    reply = get(url_of(service, media_id))

    assert reply.status_code == 200
    assert reply.content == content
    assert service.media_calls() == 1
    headers = reply.headers
    assert headers["content-length"] == str(size)
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-disposition"] == f'inline; filename="{media_id}.jpg"'
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "private, max-age=86400, immutable"
    assert headers["etag"] == etag_of(media_id)
    assert headers.get("accept-ranges") == ("bytes" if size <= 2 * MIB else None)


def test_video_behind_a_link(service: Service) -> None:
    """A video, to which WeChat gives a link, is shown as what its bytes are."""
    media_id = service.simulator.put(MP4, "video", "clip.mp4")

    reply = get(url_of(service, media_id))

    assert reply.content == MP4
    assert reply.headers["content-type"] == "video/mp4"
    assert reply.headers["content-disposition"] == f'inline; filename="{media_id}.mp4"'


def test_parts_of_wecom(service: Service) -> None:
    """A file that WeCom gives in parts arrives whole, one slot being enough."""
    client = service.wired(Simulator(attrs.evolve(WECOM, limits={})), max_concurrency=1)
    content = b"PK" + bytes(21 * MIB)
    media_id = put(service, content, "照片.zip")

    reply = get(url_of(service, media_id))

    service.portal.call(client.aclose)
    assert reply.content == content
    assert reply.headers["content-disposition"] == (
        "attachment; filename=\"__.zip\"; filename*=UTF-8''%E7%85%A7%E7%89%87.zip"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"<!doctype html><script>alert(document.cookie)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"\xef\xbb\xbf<html>" + bytes(3 * MIB),
        b"MZ" + bytes(100),
    ],
    ids=["html", "svg", "long html", "program"],
)
@pytest.mark.parametrize("filename", ["cat.jpg", "page.html", "drawing.svg"])
def test_only_what_is_confirmed_is_shown(
    service: Service, content: bytes, filename: str
) -> None:
    """What is no picture is saved and not shown, whatever it is called."""
    media_id = put(service, content, filename)

    reply = get(url_of(service, media_id))

    assert reply.content == content
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"].startswith("attachment;")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_name_with_quotes_and_line_breaks(service: Service) -> None:
    """A name with quotes and line breaks is one header with one name."""
    client = service.wired(Simulator(attrs.evolve(WECOM, limits={})))
    media_id = put(service, b"text", 'a"; x="\r\nSet-Cookie: b=1.txt')

    reply = get(url_of(service, media_id))

    service.portal.call(client.aclose)
    disposition = reply.headers["content-disposition"]
    assert "set-cookie" not in reply.headers
    assert disposition.count('"') == 2
    assert disposition.startswith('attachment; filename="a_; x=_Set-Cookie_ b=1.txt"')


def test_head(service: Service) -> None:
    """HEAD has the headers of GET and no body, and gives its slot back."""
    media_ids = [put(service, long_jpeg(size)) for size in (5000, 5 * MIB)]
    service.wired(service.simulator, max_concurrency=1)

    for media_id in media_ids:
        with Http() as http:
            head = http.head(url_of(service, media_id))
            full = http.get(url_of(service, media_id))

        assert head.status_code == 200
        assert head.content == b""
        assert without_date(head.headers) == without_date(full.headers)

    service.portal.call(service.client.aclose)


def without_date(headers: httpx.Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name != "date"}


@pytest.mark.parametrize("size", [5000, 3 * MIB])
def test_not_modified(service: Service, size: int) -> None:
    """Who has the media already gets 304 without a call of WeChat."""
    media_id = put(service, long_jpeg(size))
    first = get(url_of(service, media_id))
    calls = service.media_calls()

    for known in ('"{}"', '"x", "{}"', 'W/"{}"', 'W/"x",W/"{}"'):
        tag = known.format(first.headers["etag"].strip('"'))
        again = get(url_of(service, media_id), If_None_Match=tag, Range="bytes=0-1")

        assert again.status_code == 304
        assert again.content == b""
        assert again.headers["etag"] == first.headers["etag"]
        assert again.headers["cache-control"] == first.headers["cache-control"]
        assert "content-type" not in again.headers
    assert service.media_calls() == calls


@pytest.mark.parametrize("known", ['"x"', "*", "", "x", '"'])
def test_modified(service: Service, known: str) -> None:
    """Who has something else gets the media; so does who claims to have anything."""
    media_id = put(service, JPEG)

    reply = get(url_of(service, media_id), If_None_Match=known)

    assert (reply.status_code, reply.content) == (200, JPEG)


def test_tag_of_the_better_recording(service: Service) -> None:
    """A voice and its better recording are two things to a cache."""
    media_id = service.simulator.put(b"#!AMR\n" + bytes(50), "voice", "a.amr")
    plain = get(url_of(service, media_id)).headers["etag"]

    reply = get(url_of(service, media_id, "?hd_voice=1"), If_None_Match=plain)

    assert reply.status_code == 200
    assert reply.headers["etag"] == etag_of(media_id, hd_voice=True) != plain


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=2000-", 2000, len(JPEG)),
        ("bytes=-10", len(JPEG) - 10, len(JPEG)),
        ("bytes=-999999", 0, len(JPEG)),
        ("bytes=0-999999999999999999999", 0, len(JPEG)),
    ],
)
def test_range(service: Service, asked: str, start: int, stop: int) -> None:
    """One range of a short media is answered with just that."""
    media_id = put(service, JPEG)

    reply = get(url_of(service, media_id), Range=asked)

    assert reply.status_code == 206
    assert reply.content == JPEG[start:stop]
    shown = f"bytes {start}-{stop - 1}/{len(JPEG)}"
    assert reply.headers["content-range"] == shown
    assert reply.headers["content-length"] == str(stop - start)
    assert reply.headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("asked", ["bytes=99999-", "bytes=99999-100000", "bytes=-0"])
def test_range_beyond_the_end(service: Service, asked: str) -> None:
    """A range that the media does not have is refused, and its length told."""
    media_id = put(service, JPEG)

    reply = get(url_of(service, media_id), Range=asked)

    assert reply.status_code == 416
    assert reply.content == b""
    assert reply.headers["content-range"] == f"bytes */{len(JPEG)}"


@pytest.mark.parametrize(
    "asked",
    [
        "bytes=9-1",
        "bytes=0-1,5-6",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes",
        "pages=1-2",
        "bytes=²-",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_range_that_is_none(service: Service, asked: str) -> None:
    """A range that cannot be understood, or is several, is ignored."""
    media_id = put(service, JPEG)

    with Http() as http:
        headers = {b"Range": asked.encode()}
        reply = http.get(url_of(service, media_id), headers=headers)

    assert (reply.status_code, reply.content) == (200, JPEG)
    assert "content-range" not in reply.headers


@pytest.mark.parametrize(("fresh", "status"), [(True, 206), (False, 200)])
def test_if_range(service: Service, fresh: bool, status: int) -> None:
    """A part is given only to who has other parts of the same media."""
    media_id = put(service, JPEG)
    tag = etag_of(media_id) if fresh else "Sat, 29 Oct 2026 19:43:31 GMT"

    reply = get(url_of(service, media_id), Range="bytes=0-1", If_Range=tag)

    assert reply.status_code == status


def test_range_of_a_long_media(service: Service) -> None:
    """A media that is too long to be held in memory is given whole."""
    content = long_jpeg(3 * MIB)
    media_id = put(service, content)

    reply = get(url_of(service, media_id), Range="bytes=0-1")

    assert (reply.status_code, len(reply.content)) == (200, len(content))


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        (40007, 404, None),
        (40006, 422, None),
        (45009, 503, True),
        (45011, 429, True),
        (-1, 503, "5"),
        (429, 503, "5"),
        (48001, 500, None),
        (40013, 500, None),
        (40001, 500, None),
        (40164, 500, None),
        (412, 502, None),
        ("reset", 502, None),
    ],
)
def test_status(
    service: Service,
    caplog: pytest.LogCaptureFixture,
    fault: Fault,
    status: int,
    retry_after: str | bool | None,
) -> None:
    """A failure has the status that fits, and no details where it is not theirs."""
    client = service.wired(service.simulator, deadline=5)
    media_id = put(service, JPEG)
    service.simulator.fail(9, fault)

    reply = get(url_of(service, media_id))

    service.portal.call(client.aclose)
    assert reply.status_code == status
    said = reply.headers.get("retry-after")
    assert said == retry_after or (retry_after is True and int(said) > 0)
    hidden = reply.json()["detail"] == HTTPStatus(status).phrase
    assert reply.headers["content-type"].startswith("application/json")
    logged = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert hidden == (status >= 500)
    assert len(logged) == hidden
    assert all(record.exc_info is None for record in logged)


@pytest.mark.parametrize("media_id", ["wrong", "a%20b", "%F0%9F%98%80", "%27%22%3C"])
def test_wrong_media_id(service: Service, media_id: str) -> None:
    """A media_id that there is none of is not found, and the detail is harmless."""
    reply = get(url_of(service, media_id))

    assert reply.status_code == 404
    assert reply.json()["detail"].startswith("errcode 40007")


def test_too_large(service: Service) -> None:
    """What is larger than the application allows is refused."""
    media_id = put(service, JPEG)

    reply = get(url_of(service, media_id, "?max_bytes=100"))

    assert reply.status_code == 413


@pytest.mark.parametrize("fault", ["truncate", "reset", -1, 503])
def test_short_media_is_tried_again(service: Service, fault: Fault) -> None:
    """A short media is read like every other: a failure in its body is not seen."""
    media_id = put(service, JPEG)
    service.simulator.fail(2, fault)

    reply = get(url_of(service, media_id))

    assert (reply.status_code, reply.content) == (200, JPEG)
    assert service.media_calls() == 3


def test_short_media_that_always_breaks_off(service: Service) -> None:
    """Where tries do not help, the status says so, as nothing has been sent."""
    media_id = put(service, JPEG)
    service.simulator.fail(99, "truncate")

    reply = get(url_of(service, media_id))

    assert reply.status_code == 502


def test_failure_after_the_head(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """What breaks off on its way is one line in the log, and a cut connection."""
    media_id = put(service, long_jpeg(4 * MIB))
    service.simulator.fail(1, "truncate")

    with pytest.raises(httpx.TransportError):
        get(url_of(service, media_id))

    [record] = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert record.name == "wxmedia_async"
    assert "broke off" in record.getMessage()
    assert record.exc_info is None
    assert get(url_of(service, media_id)).status_code == 200


def test_reader_that_takes_nothing(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """A browser that does not read is cut off, and the slot is free again."""
    client = service.wired(service.simulator, max_concurrency=1)
    long, short = put(service, long_jpeg(LARGE)), put(service, JPEG)

    with service.browser() as stuck:
        stuck.ask(f"/media/{long}?reader_timeout=0.2")
        assert stuck.take(12) == b"HTTP/1.1 200"
        reply = get(url_of(service, short))
        rest = stuck.take_all()

    service.portal.call(client.aclose)
    assert reply.content == JPEG
    assert len(rest) < LARGE
    [record] = [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert "took nothing for 0.2 s" in record.getMessage()


def test_short_media_hold_no_slot(service: Service) -> None:
    """Browsers that do not read their short media keep nobody waiting."""
    client = service.wired(service.simulator, max_concurrency=1)
    long, short = put(service, long_jpeg(2 * MIB)), put(service, JPEG)
    stuck = [service.browser() for _ in range(5)]

    for browser in stuck:
        browser.ask(f"/media/{long}")
    reply = get(url_of(service, short))
    replies = [browser.take(2 * MIB) for browser in stuck]

    for browser in stuck:
        browser.close()
    service.portal.call(client.aclose)
    assert reply.content == JPEG
    assert all(taken.startswith(b"HTTP/1.1 200") for taken in replies)


def test_browsers_that_leave(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Fifty browsers that leave in the middle keep no slot, and are no error."""
    client = service.wired(service.simulator, max_concurrency=4)
    long, short = put(service, long_jpeg(LARGE)), put(service, JPEG)

    for _ in range(50):
        with service.browser() as browser:
            browser.ask(f"/media/{long}?reader_timeout=30")
            assert browser.take(200).startswith(b"HTTP/1.1 200")
    replies = [get(url_of(service, short)) for _ in range(8)]

    service.portal.call(client.aclose)
    assert {reply.content for reply in replies} == {JPEG}
    assert service.simulator.in_flight_peak <= 4
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("timeout", [0, -1, "nan"])
def test_timeout_that_is_none(service: Service, timeout: object) -> None:
    """A timeout that is no time is refused before any call."""
    reply = get(url_of(service, "ID", f"?reader_timeout={timeout}"))

    assert reply.status_code == 500
    assert service.media_calls() == 0


@pytest.mark.parametrize("size", [5000, 5 * MIB])
def test_browser_that_leaves_before_the_head(
    service: Service, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    """A browser that left while WeChat was slow keeps no slot, and is no error."""
    client = service.wired(service.simulator, max_concurrency=1)
    service.simulator.latency = 0.1
    media_id, short = put(service, long_jpeg(size)), put(service, JPEG)

    with service.browser() as browser:
        browser.ask(f"/media/{media_id}")
        while not service.simulator.requests:
            # It notes what comes in the server's thread, and wakes nobody.
            time.sleep(0.001)
    reply = get(url_of(service, short))

    service.portal.call(client.aclose)
    assert reply.content == JPEG
    assert [r for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("size", [0, 5000, 2 * MIB, 2 * MIB + 1, 5 * MIB])
def test_length_that_is_not_told(service: Service, size: int) -> None:
    """A media whose length WeChat does not tell arrives whole, and ends."""
    content = long_jpeg(size) if size else b""
    reply = media(content)
    del reply.headers["Content-Length"]
    client = service.portal.call(lambda: client_of(FakeWeChat(answers=[reply])))
    service.client = client

    shown = get(url_of(service, "ID"))

    service.portal.call(client.aclose)
    assert shown.status_code == 200
    assert shown.content == content
    is_short = size <= 2 * MIB
    assert shown.headers.get("content-length") == (str(size) if is_short else None)


def test_break_where_no_length_is_told(service: Service) -> None:
    """Where no length says so, a cut connection tells that something is missing."""
    reply = media(b"")
    del reply.headers["Content-Length"]
    reply.stream = Pieces(long_jpeg(3 * MIB), MIB, httpx.ReadError("broken"))
    client = service.portal.call(lambda: client_of(FakeWeChat(answers=[reply])))
    service.client = client

    with pytest.raises(httpx.TransportError):
        get(url_of(service, "ID"))

    service.portal.call(client.aclose)
