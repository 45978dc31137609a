from __future__ import annotations

import email
import email.policy
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import JPEG
from tests.sockets.server import (
    UPLOADED,
    Peer,
    Request,
    Server,
    always,
    answers,
    client_to,
    said,
)
from wxmedia_async import (
    MediaRejected,
    RetryPolicy,
    SourceChanged,
    UploadedMedia,
)

# More than the buffers of both sides hold, so that the client is still sending.
LARGE = bytes(9_000_000)
REFUSAL = said('{"errcode":40004,"errmsg":"invalid media type"}', "Connection: close")


async def chunks() -> AsyncIterator[bytes]:
    yield JPEG[:700]
    yield b""
    yield JPEG[700:]


def the_only_part(request: Request) -> tuple[str | None, bytes]:
    """Read the body with the standard library: filename and content."""
    head = f"Content-Type: {request.header('content-type')}\r\n\r\n".encode()
    message = email.message_from_bytes(
        head + request.body, policy=email.policy.HTTP.clone(utf8=True)
    )
    (part,) = message.iter_parts()
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return part.get_filename(), content


@pytest.mark.parametrize("kind", ["bytes", "path", "file", "iterable", "spooled"])
async def test_framing_on_the_wire(kind: str, tmp_path: Path) -> None:
    """Whatever the source is, its exact length is sent, one part, never chunked."""
    path = tmp_path / "猫.jpg"
    path.write_bytes(JPEG)
    with Server(answers(UPLOADED)) as server, path.open("rb") as file:
        sources: dict[str, Any] = {"bytes": JPEG, "path": path, "file": file}
        source = sources.get(kind) or chunks()
        size = len(JPEG) if kind == "iterable" else None
        async with client_to(server) as client:
            await client.upload(source, filename="猫.jpg", size=size)

    (request,) = server.requests
    assert request.header("content-length") == str(len(request.body))
    assert request.header("transfer-encoding") is None
    assert 'filename="猫.jpg"'.encode() in request.body
    assert the_only_part(request) == ("猫.jpg", JPEG)


async def test_path_of_a_source_stays_here(tmp_path: Path) -> None:
    """Of a path only the base name is sent."""
    (tmp_path / "cat.jpg").write_bytes(JPEG)
    with Server(answers(UPLOADED)) as server:
        async with client_to(server) as client:
            await client.upload(str(tmp_path / "cat.jpg"))

    assert the_only_part(server.requests[0])[0] == "cat.jpg"
    assert tmp_path.name.encode() not in server.requests[0].body


async def test_reply_comes_before_the_end_of_the_body() -> None:
    """Fault 23: an error that the server sends half-way is the one that is raised."""

    def refuses(peer: Peer) -> None:
        peer.read_head()
        peer.send(REFUSAL)
        peer.drain()

    with Server(refuses) as server:
        async with client_to(server) as client:
            with pytest.raises(MediaRejected) as info:
                await client.upload(LARGE, filename="x.jpg")

    assert info.value.code == 40004
    assert info.value.attempts == 1


@pytest.mark.parametrize("kind", ["bytes", "path"])
async def test_reply_comes_before_the_server_closes(kind: str, tmp_path: Path) -> None:
    """Fault 23: also where the server closes with the body still on its way."""
    path = tmp_path / "x.jpg"
    path.write_bytes(LARGE)
    source: Any = {"bytes": LARGE, "path": path}[kind]

    def refuses(peer: Peer) -> None:
        peer.read_head()
        peer.send(REFUSAL)

    with Server(refuses) as server:
        async with client_to(server, retry=RetryPolicy(attempts=1)) as client:
            with pytest.raises(MediaRejected) as info:
                await client.upload(source, filename="x.jpg")

    assert info.value.code == 40004


async def test_connection_with_half_a_body_on_it_is_not_used_again() -> None:
    """Fault 23: after an early reply the rest of the body is nobody's request."""

    def accepts_early(peer: Peer) -> None:
        head = peer.read_head()
        peer.send(UPLOADED)
        peer.read_body(head)
        always(UPLOADED)(peer)

    with Server(accepts_early, always(UPLOADED)) as server:
        async with client_to(server) as client:
            await client.upload(LARGE, filename="x.jpg")
            second = await client.upload(JPEG)

    assert second.media_id == "m1"
    assert the_only_part(server.requests[-1])[1] == JPEG


@pytest.mark.parametrize("change", ["grows", "shrinks", "is-replaced"])
async def test_file_changes_while_it_is_sent(change: str, tmp_path: Path) -> None:
    """Fault 21: a file that is another one by now is not tried again."""
    path = tmp_path / "x.jpg"
    path.write_bytes(LARGE)

    def changes(peer: Peer) -> None:
        peer.read_head()
        if change == "is-replaced":
            (tmp_path / "new").write_bytes(LARGE)
            os.replace(tmp_path / "new", path)
        else:
            os.truncate(path, len(LARGE) + (1000 if change == "grows" else -1000))
        peer.drain()

    with Server(changes) as server:
        async with client_to(server) as client:
            with pytest.raises(SourceChanged) as info:
                await client.upload(path)

        await server.until_gone(0)

    assert info.value.attempts == 1
    assert not info.value.retryable
    assert server.connections == 1


async def test_source_ends_early() -> None:
    """Fault 21: a source that breaks its promise breaks the connection, no more."""
    with Server(always(UPLOADED)) as server:
        async with client_to(server) as client:
            with pytest.raises(SourceChanged):
                await client.upload(chunks(), size=len(JPEG) + 1)
            uploaded = await client.upload(JPEG)

    assert uploaded == UploadedMedia(
        "m1", "image", uploaded.created_at, uploaded.expires_at
    )
    assert the_only_part(server.requests[-1])[1] == JPEG
