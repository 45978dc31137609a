"""Uploads: what is sent, and what comes of it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of
from tests.upload.sending import flow
from wxmedia_async import OFFICIAL_ACCOUNT, ClientClosed, UploadedMedia


async def test_result() -> None:
    """An upload gives the media_id, its type, and how long it will live, in UTC."""
    service = FakeWeChat(created_at=1_700_000_000)

    async with client_of(service) as client:
        uploaded = await client.upload(JPEG)

    created_at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    expires_at = created_at + timedelta(days=3)
    assert uploaded == UploadedMedia("m0", "image", created_at, expires_at)
    assert uploaded.created_at.tzinfo is UTC
    assert service.stored == {"m0": JPEG}


async def test_request() -> None:
    """An upload is one POST with its length, its type and the token."""
    service = FakeWeChat()

    async with client_of(service, platform=OFFICIAL_ACCOUNT) as client:
        await client.upload(b"#!AMR\nsound", "voice")

    [request] = service.requests
    assert request.method == "POST"
    assert request.url.path == "/cgi-bin/media/upload"
    assert dict(request.url.params) == {"access_token": TOKEN, "type": "voice"}
    assert request.headers["content-length"] == str(len(service.bodies[0]))
    assert "transfer-encoding" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


async def test_kinds_of_sources(tmp_path: Path) -> None:
    """Whatever holds bytes can be uploaded, and arrives whole."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    service = FakeWeChat()
    sources: list[Any] = [JPEG, bytearray(JPEG), memoryview(JPEG), path, str(path)]

    async with client_of(service) as client:
        with path.open("rb") as file:
            async with await anyio.open_file(path, "rb") as async_file:
                for source in [*sources, file, async_file, flow(), io.BytesIO(JPEG)]:
                    await client.upload(source)
        await client.upload(flow(), size=len(JPEG))

    assert list(service.stored.values()) == [JPEG] * 10


@pytest.mark.parametrize("source", [3, None, object(), ["a.jpg"], io.StringIO("text")])
async def test_not_a_source(source: Any) -> None:
    """What cannot be uploaded is a TypeError, before any request."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(TypeError):
            await client.upload(source)

    assert service.requests == []


async def test_missing_file(tmp_path: Path) -> None:
    """Fault 29: a file that is not there is the OSError that it is."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(FileNotFoundError):
            await client.upload(tmp_path / "missing.jpg")

    assert service.requests == []


async def test_source_that_fails() -> None:
    """An exception of the source itself comes out as it is, and frees the slot."""

    async def failing() -> AsyncIterator[bytes]:
        yield bytes(100)
        raise LookupError("mine")

    service = FakeWeChat()

    async with client_of(service, max_concurrency=1) as client:
        with pytest.raises(LookupError, match="mine"):
            await client.upload(failing(), size=1000)
        await client.upload(JPEG)

    assert service.stored == {"m0": JPEG}


async def test_after_close(tmp_path: Path) -> None:
    """Fault 33: a closed client does not even look at the source."""
    service, read = FakeWeChat(), False

    async def source() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield JPEG

    client = client_of(service)
    await client.aclose()

    with pytest.raises(ClientClosed):
        await client.upload(tmp_path / "missing.jpg")
    with pytest.raises(ClientClosed):
        await client.upload(source())
    assert not read


async def test_few_sources_are_open_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for leave to open a source gets it, and its deadline stands still."""
    monkeypatch.setattr("wxmedia_async._assembly._OPEN_SOURCES", 1)
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    service = FakeWeChat(gate=anyio.Event())

    async with client_of(service, deadline=2.0) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(client.upload, path)
            await anyio.wait_all_tasks_blocked()
            waiting = len(service.requests)
            assert service.gate is not None
            service.gate.set()

    assert (waiting, len(service.stored), service.peak) == (1, 3, 1)
