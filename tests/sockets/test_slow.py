from __future__ import annotations

import gc
from pathlib import Path

import anyio
import httpx
import pytest

from tests.fakes import JPEG
from tests.sockets.server import (
    UPLOADED,
    Peer,
    Script,
    Server,
    always,
    client_to,
    drips,
    response,
    stalls_after,
    whole,
)
from wxmedia_async import RetryPolicy, TransferTimeout
from wxmedia_async._session import speed as _speed

pytestmark = pytest.mark.usefixtures("way")

ONCE = RetryPolicy(attempts=1)
HALF_A_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-"
STALLS = [
    pytest.param(stalls_after(b""), "send", id="before-head"),
    pytest.param(stalls_after(HALF_A_HEAD), "send", id="in-head"),
    pytest.param(stalls_after(whole()[:-500]), "receive", id="in-body"),
]
ENDLESS = [
    pytest.param(
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", every=0.01), id="100-continue"
    ),
    pytest.param(drips(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", every=0.01), id="headers"),
    pytest.param(drips(whole()[:-500], b".", every=0.02), id="one-byte-now-and-then"),
    pytest.param(
        drips(
            response(b"", "Transfer-Encoding: chunked", "Content-Type: image/jpeg"),
            b"1\r\n.\r\n",
            every=0.02,
        ),
        id="chunks-of-one-byte",
    ),
]


def reads_no_body(peer: Peer) -> None:
    """Read the head, and nothing after it."""
    peer.read_head()
    peer.wait_finished()


@pytest.mark.parametrize(("script", "phase"), STALLS)
async def test_stall(script: Script, phase: str, tmp_path: Path) -> None:
    """Fault 6: a read that takes too long ends the try, and leaves no file."""
    with Server(script) as server:
        async with client_to(server, timeout=0.05, retry=ONCE) as client:
            with pytest.raises(TransferTimeout, match=r"127\.0\.0\.1") as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert info.value.phase == phase
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("script", "phase"), STALLS)
async def test_stall_is_tried_again(script: Script, phase: str) -> None:
    """Fault 6: the next try may go well."""
    with Server(script, always(whole())) as server:
        async with client_to(server, timeout=0.05) as client:
            media = await client.read("ID")

    assert media.content == JPEG
    assert phase in ("send", "receive")


async def test_stalls_end_with_the_deadline() -> None:
    """Fault 6: all tries together take no longer than the deadline."""
    with Server(stalls_after(b"")) as server:
        patient = RetryPolicy(attempts=1000, initial=0)
        async with client_to(
            server, timeout=0.04, deadline=0.1, retry=patient
        ) as client:
            started = anyio.current_time()
            with pytest.raises(TransferTimeout) as info:
                await client.read("ID")
            elapsed = anyio.current_time() - started

    assert 1 < info.value.attempts <= 3
    assert elapsed < 1


@pytest.mark.parametrize("script", ENDLESS)
async def test_endless_reply(script: Script, tmp_path: Path) -> None:
    """Fault 7: what trickles in for ever ends with the deadline, with no file."""
    with Server(script) as server:
        async with client_to(server, deadline=0.1) as client:
            started = anyio.current_time()
            with pytest.raises(TransferTimeout, match="deadline"):
                await client.download("ID", tmp_path / "x.jpg")
            elapsed = anyio.current_time() - started

        await server.until_gone(0)

    assert elapsed < 1
    assert list(tmp_path.iterdir()) == []


async def test_endless_stream() -> None:
    """Fault 7: the waiting for chunks of a stream counts towards its deadline."""
    with Server(drips(whole()[:-500], b".", every=0.02)) as server:
        async with (
            client_to(server, deadline=0.1) as client,
            client.stream("ID") as media,
        ):
            with pytest.raises(TransferTimeout, match="deadline"):
                async for _ in media:
                    pass


async def test_minimum_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 7: a body that drips ends without a deadline as well."""
    monkeypatch.setattr("wxmedia_async._session.speed.WINDOW", 0.1)
    with Server(drips(whole()[:-500], b".", every=0.02)) as server:
        async with client_to(server, deadline=None, retry=ONCE) as client:
            with pytest.raises(TransferTimeout, match="bytes moved") as info:
                await client.read("ID")

    assert info.value.phase == "receive"


async def test_server_reads_nothing() -> None:
    """Fault 24: a write that takes too long ends the try."""
    large = bytes(8_000_000)
    with Server(reads_no_body, buffer=4096) as server:
        async with client_to(server, timeout=0.1, retry=ONCE) as client:
            with pytest.raises(TransferTimeout) as info:
                await client.upload(large, filename="x.jpg")

    assert info.value.phase == "send"


async def test_server_reads_nothing_once() -> None:
    """Fault 24: the next try may go well, and sends everything."""
    large = bytes(8_000_000)
    with Server(reads_no_body, always(UPLOADED), buffer=4096) as server:
        async with client_to(server, timeout=0.3) as client:
            uploaded = await client.upload(large, filename="x.jpg")

    assert uploaded.media_id == "m1"
    assert large in server.requests[0].body


async def test_server_reads_nothing_and_nobody_set_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 24: without a timeout it is the minimum speed that ends a write."""
    monkeypatch.setattr("wxmedia_async._session.speed.WINDOW", 0.1)
    with Server(reads_no_body, buffer=4096) as server:
        async with client_to(
            server, timeout=httpx.Timeout(None), deadline=None, retry=ONCE
        ) as client:
            with pytest.raises(TransferTimeout) as info:
                await client.upload(bytes(8_000_000), filename="x.jpg")

    assert info.value.phase == "send"


@pytest.mark.parametrize("patience", [None, 60.0])
async def test_silent_body_outlasts_no_window(
    patience: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 7: a body that goes silent ends with the window, whatever the timeout."""
    monkeypatch.setattr(_speed, "WINDOW", 0.1)
    timeout = httpx.Timeout(patience)
    with Server(stalls_after(whole()[:-500])) as server:
        async with client_to(
            server, timeout=timeout, deadline=5.0, retry=ONCE
        ) as client:
            with pytest.raises(TransferTimeout, match="timed out after"):
                await client.download("ID", tmp_path / "x.jpg")

    assert list(tmp_path.iterdir()) == []


async def test_call_that_nobody_reads() -> None:
    """A call whose body is not taken ends with its deadline, and leaves nothing open."""
    with Server(Peer.wait_finished, buffer=4096) as server:
        async with client_to(server, deadline=0.2) as client:
            with pytest.raises(TransferTimeout):
                await client.call("POST", "/x", json={"text": "x" * 8_000_000})
        gc.collect()
