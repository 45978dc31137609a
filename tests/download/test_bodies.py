"""Bodies that are too long, break off or stall, and whether all of one came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from tests.download.replies import ATTACHED, cut, reply
from tests.fakes import JPEG, FakeWeChat, Pieces, client_of, media, names_in
from tests.sockets.server import Server, answers, client_to, response
from wxmedia_async import (
    MINI_PROGRAM,
    WECOM,
    RetryPolicy,
    TooLarge,
    TransferError,
    TransferTimeout,
    Truncated,
)


def stalled() -> httpx.Response:
    """A body that stops, without an end."""
    response = media(JPEG)
    response.stream = Pieces(JPEG[:1000], fails=httpx.ReadTimeout(""))
    return response


async def test_too_large_by_its_header(tmp_path: Path) -> None:
    """Fault 9: what is announced as too large is refused without reading it."""
    body = Pieces(JPEG)
    answer = media(JPEG)
    answer.stream = body
    service = FakeWeChat(answers=[answer])

    async with client_of(service) as client:
        with pytest.raises(TooLarge) as caught:
            await client.download("ID", tmp_path, max_bytes=len(JPEG) - 1)

    assert (caught.value.limit, caught.value.size) == (len(JPEG) - 1, len(JPEG))
    assert (caught.value.attempts, body.closed) == (1, True)
    assert len(service.requests) == 1
    assert names_in(tmp_path) == []


async def test_too_large_while_reading(tmp_path: Path) -> None:
    """Fault 9: a body without a length is read up to the limit, and then refused."""
    service = FakeWeChat(answers=[reply(bytes(100_000), ATTACHED)])

    async with client_of(service) as client:
        with pytest.raises(TooLarge) as caught:
            await client.download("ID", tmp_path, max_bytes=5000)

    assert caught.value.limit == 5000
    assert 5000 < caught.value.size <= 6000
    assert names_in(tmp_path) == []
    assert service.in_flight == 0


async def test_too_large_over_a_socket(tmp_path: Path) -> None:
    """Fault 9: an endless body is given up at the limit, wherever it comes from."""
    endless = response(JPEG * 1000, 'Content-Disposition: attachment; filename="a.b"')

    with Server(answers(endless)) as server:
        async with client_to(server) as client:
            with pytest.raises(TooLarge) as caught:
                await client.download("ID", tmp_path, max_bytes=500_000)

    assert caught.value.limit == 500_000
    assert names_in(tmp_path) == []


async def test_just_not_too_large(tmp_path: Path) -> None:
    """As many bytes as allowed are allowed."""
    service = FakeWeChat({"ID": JPEG}, answers=[reply(JPEG, ATTACHED)])

    async with client_of(service) as client:
        await client.download("ID", tmp_path / "a", max_bytes=len(JPEG))
        await client.download("ID", tmp_path / "b", max_bytes=len(JPEG))

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == JPEG


async def test_cap_of_the_platform(tmp_path: Path) -> None:
    """Where the caller gives no max_bytes, the platform's cap counts."""
    small = attrs.evolve(MINI_PROGRAM, max_bytes=1000)
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, platform=small) as client:
        with pytest.raises(TooLarge, match="1000"):
            await client.download("ID", tmp_path)
        with pytest.raises(TooLarge, match="1000"):
            await client.read("ID", max_bytes=None)
        content = await client.read("ID")

    assert content.content == JPEG
    assert (MINI_PROGRAM.max_bytes, WECOM.max_bytes) == (64 * 1024**2, 256 * 1024**2)


async def test_read_is_bounded() -> None:
    """Into memory go 32 MiB and no more, unless the caller says otherwise."""
    announced = media(JPEG, Content_Length=str(32 * 1024**2 + 1))
    service = FakeWeChat({"ID": JPEG}, answers=[announced])

    async with client_of(service) as client:
        with pytest.raises(TooLarge) as caught:
            await client.read("ID")

    assert caught.value.limit == 32 * 1024**2


@pytest.mark.parametrize("max_bytes", [-1, "1", 1.5], ids=range(3))
async def test_odd_max_bytes(max_bytes: Any, tmp_path: Path) -> None:
    """What cannot be a number of bytes is refused before any request."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises((ValueError, TypeError)):
            await client.download("ID", tmp_path, max_bytes=max_bytes)
        with pytest.raises((ValueError, TypeError)):
            await client.read("ID", max_bytes=max_bytes)
        with pytest.raises((ValueError, TypeError)):
            client.stream("ID", max_bytes=max_bytes)

    assert service.requests == []


@pytest.mark.parametrize("file_io", ["inline", "thread"])
async def test_truncated_is_tried_again(file_io: str, tmp_path: Path) -> None:
    """Fault 4: a body that was cut is fetched again from its beginning."""
    short = media(JPEG)
    short.stream = Pieces(JPEG[:700])
    service = FakeWeChat({"ID": JPEG}, answers=[cut(), short])

    async with client_of(service, file_io=file_io) as client:
        await client.download("ID", tmp_path)

    assert (tmp_path / "ID.jpg").read_bytes() == JPEG
    assert names_in(tmp_path) == ["ID.jpg"]
    assert len(service.requests) == 3


async def test_truncated_every_time(tmp_path: Path) -> None:
    """Fault 4: a body that is cut each time is Truncated, and leaves no file."""
    service = FakeWeChat(answers=[cut(size=1000) for _ in range(4)])

    async with client_of(service) as client:
        with pytest.raises(Truncated) as caught:
            await client.download("ID", tmp_path)

    assert (caught.value.expected, caught.value.received) == (len(JPEG), 1000)
    assert (caught.value.attempts, caught.value.phase) == (4, "receive")
    assert names_in(tmp_path) == []


async def test_reset_in_the_body(tmp_path: Path) -> None:
    """Fault 3: the error names host, phase and bytes, and nothing is left."""
    service = FakeWeChat()
    for _ in range(4):
        answer = media(JPEG)
        answer.stream = Pieces(JPEG[:1000], fails=httpx.ReadError(""))
        service.answers.append(answer)

    async with client_of(service) as client:
        with pytest.raises(
            TransferError, match=r"1000 bytes from wechat\.test"
        ) as caught:
            await client.download("ID", tmp_path)

    assert (caught.value.phase, caught.value.attempts) == ("receive", 4)
    assert names_in(tmp_path) == []


async def test_timeout_in_the_body(tmp_path: Path) -> None:
    """Fault 6: a body that stalls is TransferTimeout, and is tried again."""
    service = FakeWeChat({"ID": JPEG}, answers=[stalled()])

    async with client_of(service) as client:
        await client.download("ID", tmp_path)
        service.answers = [stalled(), stalled()]
        with pytest.raises(TransferTimeout) as caught:
            await client.with_options(retry=RetryPolicy(attempts=1)).read("ID")

    assert (tmp_path / "ID.jpg").read_bytes() == JPEG
    assert (caught.value.phase, caught.value.attempts) == ("receive", 1)


async def test_verified(tmp_path: Path) -> None:
    """Fault 5: without a length or chunks, nobody knows whether all of it came."""
    service = FakeWeChat()
    service.answers = [
        reply(JPEG, ATTACHED),
        reply(JPEG, ATTACHED | {"Transfer-Encoding": "chunked"}),
        reply(JPEG, ATTACHED | {"Content-Length": str(len(JPEG))}),
    ]

    async with client_of(service) as client:
        saved = [await client.download("ID", tmp_path / f"{n}") for n in range(3)]

    assert [each.verified for each in saved] == [False, True, True]
