from __future__ import annotations

import math
from collections.abc import AsyncIterator

import anyio
import attrs
import httpx
import pytest

from tests.fakes import JPEG, FakeWeChat, Pieces, client_of, error, media
from wxmedia_async import (
    WECOM,
    ClientClosed,
    MediaNotFound,
    MediaStream,
    RetryPolicy,
    ServerBusy,
    TooLarge,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
)


def bodied(body: httpx.AsyncByteStream) -> httpx.Response:
    response = media(JPEG)
    response.stream = body
    return response


async def collected(media: MediaStream) -> bytes:
    return b"".join([chunk async for chunk in media])


async def test_what_it_tells() -> None:
    """A stream tells of the media before its bytes, and gives each of them once."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client, client.stream("ID") as media:
        told = (media.media_id, media.content_type, media.filename, media.size)
        content = await collected(media)
        rest = await collected(media)

    assert told == ("ID", "image/jpeg", "ID.jpg", len(JPEG))
    assert (content, rest) == (JPEG, b"")


async def test_what_it_cannot_tell() -> None:
    """Where WeChat says nothing, type, name and size are None."""
    nothing = httpx.Response(200, stream=Pieces(JPEG))
    service = FakeWeChat(answers=[nothing])

    async with client_of(service) as client, client.stream("ID") as media:
        told = (media.content_type, media.filename, media.size)
        content = await collected(media)

    assert told == (None, None, None)
    assert content == JPEG


async def test_tried_again_until_the_head() -> None:
    """A stream is tried again until the reply's head is there."""
    service = FakeWeChat({"ID": JPEG})
    service.answers = [error(-1), httpx.ReadTimeout(""), httpx.Response(502)]

    async with client_of(service) as client, client.stream("ID") as media:
        content = await collected(media)

    assert content == JPEG
    assert len(service.requests) == 4
    assert service.in_flight == 0


async def test_not_tried_again_after_the_head() -> None:
    """What breaks after the head is raised, as the bytes before are gone."""
    gone = httpx.RemoteProtocolError("peer closed connection without the rest")
    service = FakeWeChat(answers=[error(-1), bodied(Pieces(JPEG[:1000], fails=gone))])

    async with client_of(service) as client, client.stream("ID") as media:
        first = await anext(media)
        with pytest.raises(Truncated) as caught:
            await anext(media)

    assert first == JPEG[:1000]
    assert (caught.value.expected, caught.value.received) == (len(JPEG), 1000)
    assert caught.value.attempts == 2
    assert len(service.requests) == 2


async def test_reset_after_the_head() -> None:
    """A reset in the body is TransferError of the phase that it is in."""
    body = Pieces(JPEG[:1000], fails=httpx.ReadError("reset"))
    service = FakeWeChat(answers=[bodied(body)])

    async with client_of(service) as client, client.stream("ID") as media:
        with pytest.raises(TransferError, match="after 1000 bytes") as caught:
            await collected(media)
        rest = await collected(media)

    assert caught.value.phase == "receive"
    assert rest == b""


async def test_failure_before_the_head() -> None:
    """What WeChat refuses is raised by the entry of the block."""
    service = FakeWeChat(answers=[error(-1)] * 4)

    async with client_of(service) as client:
        with pytest.raises(ServerBusy) as busy:
            async with client.stream("ID"):
                raise AssertionError("not reached")
        with pytest.raises(MediaNotFound):
            async with client.stream("ID"):
                raise AssertionError("not reached")

    assert busy.value.attempts == 4
    assert service.in_flight == 0


async def test_slot_is_held() -> None:
    """A stream holds its slot until its block ends; the wait for one is bounded."""
    service = FakeWeChat({"ID": JPEG})
    brief = httpx.Timeout(5.0, pool=0.02)

    async with client_of(service, max_concurrency=1, timeout=brief) as client:
        async with client.stream("ID") as media:
            await collected(media)
            with pytest.raises(TransferTimeout, match="no slot") as caught:
                await client.read("ID")
        await client.read("ID")

    assert caught.value.attempts == 1
    assert len(service.requests) == 2


async def test_left_early() -> None:
    """Leaving the block early closes the reply and frees the slot."""
    body = Pieces(JPEG * 20)
    response = bodied(body)
    response.headers["content-length"] = str(len(body.content))
    service = FakeWeChat({"ID": JPEG}, answers=[response])

    async with client_of(service, max_concurrency=1) as client:
        async with client.stream("ID") as media:
            await anext(media)
        assert (body.closed, service.in_flight) == (True, 0)
        await client.read("ID")

    assert service.peak == 1


class Chunks(AsyncIterator[bytes]):
    """An iterator that is no generator, and so has no `aclose()`."""

    def __init__(self, count: int) -> None:
        self.left = count

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return JPEG


@attrs.frozen
class Iterated(httpx.AsyncByteStream):
    """A body that goes on, although it was closed."""

    chunks: Chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.chunks


async def test_left_early_without_an_end() -> None:
    """A transport whose body goes on after it was closed keeps nobody from leaving."""
    chunks = Chunks(1_000_000)
    endless = httpx.Response(200, stream=Iterated(chunks))
    service = FakeWeChat({"ID": JPEG}, answers=[endless])

    async with client_of(service, max_concurrency=1) as client:
        async with client.stream("ID") as media:
            await anext(media)
        await client.read("ID")

    assert chunks.left > 900_000


class Answers(httpx.AsyncClient):
    """A client of a user's that answers by itself, as those with a cache do."""

    async def send(self, *_: object, **__: object) -> httpx.Response:
        return bodied(Iterated(Chunks(1)))


async def test_body_that_is_no_generator() -> None:
    """Any iterator is a body: one can be read to its end, and be left early."""
    async with Answers() as http, client_of(FakeWeChat(), http=http) as client:
        async with client.stream("ID") as media:
            content = await collected(media)
        async with client.stream("ID") as media:
            await anext(media)

    assert content == JPEG


async def test_error_in_the_block() -> None:
    """What the user's block raises passes unchanged, and frees the slot."""
    service = FakeWeChat({"ID": JPEG})
    mine = LookupError("mine")

    async with client_of(service, max_concurrency=1) as client:
        with pytest.raises(LookupError) as caught:
            async with client.stream("ID"):
                raise mine
        await client.read("ID")

    assert caught.value is mine
    assert service.in_flight == 0


async def test_too_large() -> None:
    """A stream gives no more than max_bytes, by the header or while reading."""
    endless = httpx.Response(200, stream=Pieces(JPEG))
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(TooLarge):
            async with client.stream("ID", max_bytes=len(JPEG) - 1):
                raise AssertionError("not reached")
        service.answers = [endless]
        async with client.stream("ID", max_bytes=1500) as media:
            assert await anext(media) == JPEG[:1000]
            with pytest.raises(TooLarge) as caught:
                await anext(media)

    assert (caught.value.limit, caught.value.attempts) == (1500, 1)
    assert service.in_flight == 0


class Stalls(httpx.AsyncByteStream):
    """Gives one chunk, and then nothing."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield JPEG[:1000]
        await anyio.sleep(math.inf)


async def test_deadline_in_the_body() -> None:
    """Fault 7: the deadline ends a body that never ends."""
    service = FakeWeChat(answers=[bodied(Stalls())])

    async with client_of(service, deadline=0.05) as client:
        async with client.stream("ID") as media:
            await anext(media)
            with anyio.fail_after(5):
                with pytest.raises(TransferTimeout, match=r"deadline of 0\.05 s"):
                    await anext(media)

    assert service.in_flight == 0


class Dawdles(Stalls):
    """Gives one chunk after the other, each of them soon."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(JPEG), 20):
            yield JPEG[start : start + 20]
            await anyio.sleep(0.01)


async def test_waits_add_up() -> None:
    """Fault 7: many short waits for a body are one long wait for the deadline."""
    service = FakeWeChat(answers=[bodied(Dawdles())])

    async with client_of(service, deadline=0.3) as client:
        async with client.stream("ID") as media:
            with anyio.fail_after(5), pytest.raises(TransferTimeout):
                await collected(media)

    assert service.in_flight == 0


async def test_own_work_does_not_count() -> None:
    """What is done with a chunk takes nothing off the deadline."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, deadline=0.3) as client:
        async with client.stream("ID") as media:
            first = await anext(media)
            await anyio.sleep(0.35)
            rest = await collected(media)

    assert first + rest == JPEG


async def test_read_in_another_task() -> None:
    """Another task than the one that opened it may read a stream."""
    service, got = FakeWeChat({"ID": JPEG}), list[bytes]()

    async def read(media: MediaStream) -> None:
        got.append(await collected(media))

    async with client_of(service) as client, client.stream("ID") as media:
        async with anyio.create_task_group() as readers:
            readers.start_soon(read, media)

    assert got == [JPEG]


class Held(httpx.AsyncByteStream):
    """Gives one chunk, and the rest when it is let go."""

    def __init__(self) -> None:
        self.gate = anyio.Event()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield JPEG[:1000]
        await self.gate.wait()
        yield JPEG[1000:]


async def test_read_in_two_tasks_at_once() -> None:
    """Who asks while another waits for the next chunk is refused, and takes none."""
    body, got = Held(), list[bytes]()
    service = FakeWeChat(answers=[bodied(body)])

    async def read(media: MediaStream) -> None:
        got.append(await collected(media))

    async with client_of(service) as client, client.stream("ID") as media:
        async with anyio.create_task_group() as readers:
            readers.start_soon(read, media)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeError, match="another task is waiting"):
                await anext(media)
            body.gate.set()

    assert got == [JPEG]


async def test_closed_client() -> None:
    """Fault 33: once the client is closed, a stream gives ClientClosed."""
    service = FakeWeChat({"ID": JPEG})
    client = client_of(service)

    async with client.stream("ID") as media:
        await anext(media)
        await client.aclose()
        with pytest.raises(ClientClosed):
            await anext(media)

    with pytest.raises(ClientClosed):
        async with client.stream("ID"):
            raise AssertionError("not reached")
    assert service.in_flight == 0


async def test_closed_while_it_waits() -> None:
    """Fault 33: closing the client ends the wait for a chunk."""
    service = FakeWeChat(answers=[bodied(Stalls())])
    client, failures = client_of(service), list[ClientClosed]()

    async def read() -> None:
        async with client.stream("ID") as media:
            await anext(media)
            with pytest.raises(ClientClosed) as caught:
                await anext(media)
            failures.append(caught.value)

    async with anyio.create_task_group() as reader:
        reader.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()

    assert [failure.attempts for failure in failures] == [1]


async def test_link() -> None:
    """A video is streamed from where the link leads."""
    link = httpx.Response(200, text='{"video_url":"http://203.205.137.89/a?vkey=K"}')
    mp4 = httpx.Response(200, stream=Pieces(b"\0\0\0\x18ftypmp42" + bytes(5000)))
    service = FakeWeChat(answers=[link, mp4])

    async with client_of(service, max_concurrency=1) as client:
        async with client.stream("ID") as media:
            content = await collected(media)

    assert len(content) == 5012
    assert service.in_flight == 0


async def test_login_page() -> None:
    """Fault 12: a page that is no media is raised before the block."""
    page = httpx.Response(200, text="<html>Log in</html>")
    service = FakeWeChat(answers=[page])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply):
            async with client.stream("ID"):
                raise AssertionError("not reached")

    assert service.in_flight == 0


async def test_options() -> None:
    """A client made by with_options streams with its own policy and platform."""
    service = FakeWeChat(answers=[error(-1)])

    async with client_of(service, platform=WECOM) as client:
        once = client.with_options(retry=RetryPolicy(attempts=1))
        with pytest.raises(ServerBusy) as caught:
            async with once.stream("ID"):
                raise AssertionError("not reached")

    assert caught.value.attempts == 1


@pytest.mark.parametrize("size", [1, 7, 1000], ids="{}-byte pieces".format)
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (JPEG, "image/jpeg"),
        (b"\xff\xd8\xff", "image/jpeg"),
        (b"\0\0\0\x18ftypmp42" + bytes(100), "video/mp4"),
        (b"<!doctype html><script>alert(1)</script>" * 9, None),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", None),
        (b"", None),
    ],
)
async def test_kind(content: bytes, kind: str | None, size: int) -> None:
    """A stream tells the kind that its first bytes confirm, however they come."""
    reply = media(content)
    reply.stream = Pieces(content, size=size)

    async with client_of(FakeWeChat(answers=[reply])) as client:
        async with client.stream("ID") as stream:
            told, got = stream.kind, await collected(stream)

    assert told == kind
    assert stream.content_type == "image/jpeg"
    assert got == content
