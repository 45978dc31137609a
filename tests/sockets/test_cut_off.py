from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes import JPEG
from tests.sockets.server import (
    UPLOADED,
    Peer,
    Script,
    Server,
    always,
    answers,
    client_to,
    resets_after,
    response,
    said,
    whole,
)
from wxmedia_async import MediaStream, RetryPolicy, TransferError, Truncated

pytestmark = pytest.mark.usefixtures("way")

ONCE = RetryPolicy(attempts=1)
CUT = whole()[:-500]
CUT_CHUNKED = response(b"800\r\n" + JPEG[:1000], "Transfer-Encoding: chunked")


def closes(peer: Peer) -> None:
    """Read a request and say nothing."""
    peer.read_request()


def answers_then_closes(reply: bytes) -> Script:
    """Answer one request; the next one on this connection gets nothing."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(reply)
        peer.read_request()

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(closes, id="closed"),
        pytest.param(resets_after(b""), id="reset"),
        pytest.param(resets_after(b"HTTP/1.1 200 OK\r\nContent-"), id="reset-in-head"),
        pytest.param(answers(b"HTTP/1.1 200 OK\r\nContent-"), id="closed-in-head"),
        pytest.param(resets_after(CUT), id="reset-in-body"),
        pytest.param(answers(CUT), id="closed-in-body"),
        pytest.param(answers(CUT_CHUNKED), id="closed-in-chunk"),
    ],
)
async def test_download_is_tried_again(script: Script, tmp_path: Path) -> None:
    """Faults 2, 3 and 4: however a reply is cut off, the next try is whole."""
    with Server(script, always(whole())) as server:
        async with client_to(server) as client:
            saved = await client.download("ID", tmp_path / "x.jpg")

    assert (tmp_path / "x.jpg").read_bytes() == JPEG
    assert saved.size == len(JPEG)
    assert server.connections == 2


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(closes, id="closed"),
        pytest.param(resets_after(b""), id="reset"),
        pytest.param(answers(UPLOADED[:-10]), id="closed-in-body"),
    ],
)
async def test_upload_is_sent_again_in_full(script: Script) -> None:
    """Faults 2, 3 and 4: the second try sends all of the body again."""
    with Server(script, always(UPLOADED)) as server:
        async with client_to(server) as client:
            uploaded = await client.upload(JPEG)

    assert uploaded.media_id == "m1"
    assert [JPEG in request.body for request in server.requests] == [True, True]


@pytest.mark.parametrize("script", [closes, resets_after(b"")], ids=["close", "reset"])
async def test_nothing_came_back(script: Script, tmp_path: Path) -> None:
    """Faults 2 and 3: the error names phase and host, and no file is left."""
    with Server(script) as server:
        async with client_to(server) as client:
            with pytest.raises(
                TransferError, match=r"before the reply of 127\.0\.0\.1"
            ) as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert info.value.phase == "send"
    assert info.value.attempts == 4
    assert list(tmp_path.iterdir()) == []


async def test_reset_in_the_body(tmp_path: Path) -> None:
    """Fault 3: the error names the phase, the bytes that came, and the host."""
    received = len(JPEG) - 500
    with Server(resets_after(CUT)) as server:
        async with client_to(server) as client:
            with pytest.raises(
                TransferError, match=rf"after {received} bytes from 127\.0\.0\.1"
            ) as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert info.value.phase == "receive"
    assert info.value.attempts == 4
    assert list(tmp_path.iterdir()) == []


async def test_fewer_bytes_than_announced(tmp_path: Path) -> None:
    """Fault 4: the error tells both numbers, and no file is left."""
    with Server(answers(CUT)) as server:
        async with client_to(server, retry=ONCE) as client:
            with pytest.raises(Truncated) as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert info.value.expected == len(JPEG)
    assert info.value.received == len(JPEG) - 500
    assert list(tmp_path.iterdir()) == []


async def test_chunked_body_is_cut(tmp_path: Path) -> None:
    """Fault 4: without its last chunk a chunked body is not whole."""
    with Server(answers(CUT_CHUNKED)) as server:
        async with client_to(server, retry=ONCE) as client:
            with pytest.raises(Truncated) as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert info.value.expected is None
    assert info.value.received == 1000
    assert list(tmp_path.iterdir()) == []


async def test_stream_is_cut() -> None:
    """Fault 4: a stream that has begun is not begun again."""
    received = bytearray()

    async def receive(media: MediaStream) -> None:
        async for chunk in media:
            received.extend(chunk)

    with Server(answers(CUT)) as server:
        async with client_to(server) as client, client.stream("ID") as media:
            with pytest.raises(Truncated):
                await receive(media)

    assert received == JPEG[:-500]
    assert server.connections == 1


async def test_length_that_is_not_told(tmp_path: Path) -> None:
    """Fault 5: a body that ends with the connection is kept, but not verified."""
    reply = response(JPEG, "Content-Type: image/jpeg", "Connection: close")
    with Server(answers(reply)) as server:
        async with client_to(server) as client:
            saved = await client.download("ID", tmp_path / "x.jpg")

    assert saved.path is not None
    assert saved.path.read_bytes() == JPEG
    assert not saved.verified


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(whole(), id="length"),
        pytest.param(
            response(
                b"%x\r\n%s\r\n0\r\n\r\n" % (len(JPEG), JPEG),
                "Transfer-Encoding: chunked",
            ),
            id="chunked",
        ),
    ],
)
async def test_length_that_is_told(reply: bytes, tmp_path: Path) -> None:
    """Fault 5: a body whose framing shows its end is verified."""
    with Server(answers(reply)) as server:
        async with client_to(server) as client:
            saved = await client.download("ID", tmp_path / "x.jpg")

    assert saved.verified
    assert (tmp_path / "x.jpg").read_bytes() == JPEG


async def test_stale_connection_costs_no_try() -> None:
    """Fault 2: a kept-alive connection that is gone is replaced for nothing."""
    with Server(answers_then_closes(whole()), always(whole())) as server:
        async with client_to(server, retry=ONCE) as client:
            await client.read("ID")
            media = await client.read("ID")

    assert media.content == JPEG
    assert server.connections == 2


async def test_stale_connection_costs_an_upload_no_try() -> None:
    """Fault 2: an upload is sent again in full, also without a try left."""
    with Server(answers_then_closes(whole()), always(UPLOADED)) as server:
        async with client_to(server, retry=ONCE) as client:
            await client.read("ID")
            uploaded = await client.upload(JPEG)

    assert uploaded.media_id == "m1"
    assert JPEG in server.requests[-1].body


async def test_stale_connection_is_free_once() -> None:
    """Fault 2: a transfer that meets a second one pays for it with a try."""
    busy = response(b"", "Content-Length: 0", status="503 Busy")
    with Server(
        answers_then_closes(whole()), answers_then_closes(busy), always(whole())
    ) as server:
        async with client_to(
            server, retry=RetryPolicy(attempts=2, initial=0)
        ) as client:
            await client.read("ID")
            with pytest.raises(TransferError) as info:
                await client.read("ID")

    assert info.value.attempts == 2
    assert server.connections == 2


async def test_stale_connection_fails_a_call() -> None:
    """Fault 2: what must not reach WeChat twice is not sent again."""
    with Server(answers_then_closes(said("{}")), always(said("{}"))) as server:
        async with client_to(server) as client:
            await client.call("POST", "/cgi-bin/message/send", json={})
            with pytest.raises(TransferError, match="may have carried it out") as info:
                await client.call("POST", "/cgi-bin/message/send", json={})

    assert info.value.attempts == 1
    assert server.connections == 1


async def test_stale_connection_and_a_source_that_is_used_up() -> None:
    """Fault 19: what cannot be read again is not sent again, nor sent empty."""

    async def source() -> AsyncIterator[bytes]:
        yield JPEG

    with Server(answers_then_closes(whole()), always(UPLOADED)) as server:
        async with client_to(server) as client:
            await client.read("ID")
            with pytest.raises(TransferError, match="cannot be read twice"):
                await client.upload(source(), size=len(JPEG))

    assert server.connections == 1


async def test_closed_while_idle() -> None:
    """Fault 2: a connection that was closed between two calls is not used."""
    with Server(answers(said("{}")), always(said("{}"))) as server:
        async with client_to(server, retry=ONCE) as client:
            await client.call("POST", "/cgi-bin/message/send", json={})
            await server.until_gone(0)
            reply = await client.call("POST", "/cgi-bin/message/send", json={})

    assert reply == {}
    assert server.connections == 2
