"""The filename and the media type that an upload bears."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import JPEG, FakeWeChat, client_of
from wxmedia_async import WECOM

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, "cat.jpg"),
        ({"filename": "dog.png"}, "dog.png"),
        ({"filename": "in/some/folder/dog.png"}, "dog.png"),
        ({"filename": "dog"}, "dog.jpg"),
        ({"filename": "狗.jpg"}, "狗.jpg"),
        ({"filename": 'a"b.jpg'}, "a%22b.jpg"),
        ({"filename": ""}, "cat.jpg"),
    ],
)
async def test_filename(options: dict[str, Any], sent: str, tmp_path: Path) -> None:
    """Fault 18: the name is the argument, else the source's own, and never a path."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(JPEG)
    service = FakeWeChat()

    async with client_of(service) as client:
        await client.upload(path, **options)

    assert service.names == {"m0": sent}


@pytest.mark.parametrize(
    ("content", "type", "sent"),
    [
        (JPEG, "image", "media.jpg"),
        (PNG, "image", "media.png"),
        (b"what is this?", "image", "media.jpg"),
        (b"what is this?", "video", "media.mp4"),
        (b"what is this?", "file", "media.bin"),
        (PNG, "file", "media.png"),
    ],
)
async def test_made_up_filename(content: bytes, type: str, sent: str) -> None:
    """A source without a name gets one from its type and its first bytes."""
    service = FakeWeChat()

    async with client_of(service, platform=WECOM) as client:
        await client.upload(content, type)

    assert service.names == {"m0": sent}


@pytest.mark.parametrize(
    ("source", "options", "content_type"),
    [
        (PNG, {}, b"image/png"),
        (b"what is this?", {}, b"application/octet-stream"),
        (PNG, {"content_type": "image/x-own"}, b"image/x-own"),
    ],
)
async def test_content_type(
    source: bytes, options: dict[str, Any], content_type: bytes
) -> None:
    """The part's type is the argument, else what the first bytes say."""
    service = FakeWeChat()

    async with client_of(service) as client:
        await client.upload(source, **options)

    assert b"\r\nContent-Type: " + content_type + b"\r\n\r\n" in service.bodies[0]


@pytest.mark.parametrize("char", ["\r", "\n", "\0"])
@pytest.mark.parametrize("option", ["filename", "content_type"])
async def test_header_injection(option: str, char: str) -> None:
    """Fault 18: CR, LF and NUL in a name or a type are refused before a request."""
    service = FakeWeChat()
    options: Any = {option: f"a{char}b"}

    async with client_of(service) as client:
        with pytest.raises(ValueError, match=r"CR, LF|media type"):
            await client.upload(JPEG, **options)

    assert service.requests == []
