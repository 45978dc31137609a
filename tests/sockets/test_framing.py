from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.fakes import JPEG, TOKEN
from tests.sockets.server import (
    Peer,
    Script,
    Server,
    always,
    answers,
    client_to,
    response,
    said,
    stalls_after,
    whole,
)
from wxmedia_async import ServerBusy, TooLarge, UnexpectedReply

pytestmark = pytest.mark.usefixtures("way")

IMAGE = "Content-Type: image/jpeg"
LENGTH = f"Content-Length: {len(JPEG)}"
LOGIN_PAGE = (f"<html>Log in to reach ?access_token={TOKEN} " * 100).encode()


def endless(first: bytes, chunk: bytes) -> Script:
    """Send *chunk* as fast as the client reads it, for ever."""

    def script(peer: Peer) -> None:
        peer.read_request()
        peer.send(first)
        while True:
            peer.send(chunk)

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            endless(response(JPEG, IMAGE, "Connection: close"), bytes(1000)),
            id="until-it-closes",
        ),
        pytest.param(
            endless(
                response(b"", IMAGE, "Transfer-Encoding: chunked"),
                b"3e8\r\n" + bytes(1000) + b"\r\n",
            ),
            id="chunked",
        ),
        pytest.param(
            endless(response(JPEG, IMAGE, "Content-Length: 999999999999"), bytes(1000)),
            id="length",
        ),
    ],
)
async def test_body_without_end(script: Script, tmp_path: Path) -> None:
    """Fault 9: no more is read than allowed, and no file is left."""
    with Server(script) as server:
        async with client_to(server) as client:
            with pytest.raises(TooLarge) as info:
                await client.download("ID", tmp_path / "x.jpg", max_bytes=100_000)

        await server.until_gone(0)

    assert info.value.limit == 100_000
    assert info.value.size > 100_000
    assert info.value.attempts == 1
    assert list(tmp_path.iterdir()) == []


async def test_length_beyond_the_limit() -> None:
    """Fault 9: what announces too much is refused without waiting for all of it."""
    reply = response(JPEG, IMAGE, "Content-Length: 100001")
    with Server(stalls_after(reply)) as server:
        async with client_to(server) as client:
            with pytest.raises(TooLarge) as info:
                await client.read("ID", max_bytes=100_000)

    assert info.value.size == 100_001


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("disposition", ["attachment; filename=x.jpg", "inline"])
async def test_encoding_that_nobody_asked_for(
    coding: str, disposition: str, tmp_path: Path
) -> None:
    """Fault 10: we ask for identity, and an encoded body is not taken for media."""
    body = gzip.compress(JPEG)
    reply = whole(
        body, f"Content-Encoding: {coding}", f"Content-Disposition: {disposition}"
    )
    with Server(answers(reply)) as server:
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply, match=coding) as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert server.requests[0].header("accept-encoding") == "identity"
    assert info.value.attempts == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param((LENGTH, "Content-Length: 5"), id="two-lengths"),
        pytest.param((LENGTH, "Transfer-Encoding: chunked"), id="length-and-chunked"),
        pytest.param(("Content-Length: -1",), id="negative"),
        pytest.param(("Content-Length: 1_0",), id="no-number"),
        pytest.param((f"Content-Length: {10**30}",), id="too-many-digits"),
        pytest.param(("Transfer-Encoding: gzip, chunked",), id="other-coding"),
        pytest.param(("No colon",), id="no-header"),
        pytest.param(("A: b\0c",), id="nul"),
    ],
)
async def test_ambiguous_framing(headers: tuple[str, ...], tmp_path: Path) -> None:
    """Fault 11: where a body ends must be certain, or the connection is closed."""
    reply = response(JPEG, IMAGE, *headers)
    with Server(stalls_after(reply)) as server:
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply) as info:
                await client.download("ID", tmp_path / "x.jpg")
            await server.until_gone(0)

    assert info.value.attempts == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", id="another-protocol"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="status-of-four-digits"),
        pytest.param(LOGIN_PAGE + b"\r\n\r\n", id="no-head"),
        pytest.param(b"Connection closed.\r\n\r\n", id="misleading-text"),
        pytest.param(bytes(range(256)) * 10 + b"\r\n\r\n", id="noise"),
    ],
)
async def test_garbage_for_a_status_line(garbage: bytes) -> None:
    """Fault 12: what is no HTTP is not tried again, and the error is short."""
    with Server(answers(garbage)) as server:
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply) as info:
                await client.read("ID")

    assert info.value.attempts == 1
    assert len(str(info.value)) < 400
    assert TOKEN not in f"{info.value!r} {info.value.__cause__!r}"


async def test_bad_gateway() -> None:
    """Fault 12: a gateway's page is a busy service, quoted without the token."""
    page = response(LOGIN_PAGE, f"Content-Length: {len(LOGIN_PAGE)}", status="502 Bad")
    with Server(always(page)) as server:
        async with client_to(server) as client:
            with pytest.raises(ServerBusy) as info:
                await client.read("ID")

    assert info.value.status == 502
    assert info.value.attempts == 4
    assert len(info.value.message) <= 200
    assert TOKEN not in repr(info.value)


async def test_login_page(tmp_path: Path) -> None:
    """Fault 12: a page with status 200 is no media, and quoted without the token."""
    page = said(LOGIN_PAGE.decode())
    with Server(answers(page)) as server:
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply) as info:
                await client.download("ID", tmp_path / "x.jpg")

    assert info.value.attempts == 1
    assert 0 < len(info.value.excerpt) <= 200
    assert TOKEN not in repr(info.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Again", "308 Moved"])
async def test_redirect_of_the_api_host(status: str) -> None:
    """Fault 15: a redirect would take the token along, so it is not followed."""
    with Server(answers(whole())) as elsewhere:
        location = f"Location: {elsewhere.url}/"
        moved = response(b"", location, "Content-Length: 0", status=status)
        with Server(answers(moved)) as server:
            async with client_to(server) as client:
                with pytest.raises(UnexpectedReply) as info:
                    await client.read("ID")

    assert info.value.status == int(status[:3])
    assert info.value.attempts == 1
    assert elsewhere.connections == 0


async def test_huge_head() -> None:
    """Fault 8: 200 kB of headers are not taken."""
    reply = response(JPEG, LENGTH, *(f"X-{n}: {'x' * 980}" for n in range(200)))
    with Server(answers(reply)) as server:
        async with client_to(server) as client:
            with pytest.raises(UnexpectedReply) as info:
                await client.read("ID")

    assert info.value.attempts == 1


async def test_announced_too_large_and_nothing_sent(tmp_path: Path) -> None:
    """Fault 9: what the header announces is believed before any byte of it comes."""
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n"
        b'Content-Disposition: attachment; filename="m.jpg"\r\n\r\n'
    )
    with Server(stalls_after(head)) as server:
        async with client_to(server) as client:
            with pytest.raises(TooLarge) as info:
                await client.download("m", tmp_path, max_bytes=10)

    assert (info.value.limit, info.value.size) == (10, 1_000_000)
    assert list(tmp_path.iterdir()) == []
