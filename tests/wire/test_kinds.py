from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxmedia_async._wire.kinds import ENOUGH, kind_of

BMP = b"BM" + bytes(12) + b"\x28\0\0\0"
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0"


@pytest.mark.parametrize(
    ("first", "name"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "jpg"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "png"),
        (b"GIF87a", "gif"),
        (b"GIF89a\x01\0", "gif"),
        (BMP, "bmp"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "webp"),
        (b"ID3\x03\0\0\0\0\x0f\x76TIT2", "mp3"),
        (b"\xff\xfb\x90\x64", "mp3"),
        (b"\xff\xf3\x48\xc4", "mp3"),
        (b"#!AMR\n\x3c", "amr"),
        (b"#!AMR-WB\n\x3c", "amr-wb"),
        (MP4, "mp4"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "mp4"),
        (b"\0\0\0\x14ftypqt  ", "mov"),
        (b"\0\0\0\x20ftypM4A ", "m4a"),
        (b"\0\0\0\x18ftyp3gp4", "3gp"),
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"\0\0\0\x1cftypavif", "avif"),
        (b"Speex   1.2rc1", "speex"),
        (b"OggS" + bytes(24) + b"Speex   ", "speex"),
        (b"#!SILK_V3\x0c", "silk"),
        (b"\x02#!SILK_V3\x0c", "silk"),
    ],
)
def test_first_bytes_tell_the_kind(first: bytes, name: str) -> None:
    """Every kind that WeChat's users send is known by its first bytes."""
    kind = kind_of(first.ljust(ENOUGH, b"\xaa"))

    assert kind is not None
    assert kind.name == name
    assert kind.suffix.startswith(".")
    assert "/" in kind.content_type


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<!DOCTYPE html>", id="html"),
        pytest.param(b'{"errcode":40007}', id="json"),
        pytest.param(b"BMW is a maker of cars in Bavaria.", id="text like BMP"),
        pytest.param(b"ID3 tags are explained here", id="text like MP3"),
        pytest.param(b"\xff\xfeh\0i\0", id="UTF-16, little endian"),
        pytest.param(b"\xfe\xff\0h\0i", id="UTF-16, big endian"),
        pytest.param(b"\xff\xf1\x50\x80", id="AAC"),
        pytest.param(b"\xff\xfd\x90\x64", id="MPEG layer II"),
        pytest.param(b"\xff\xfb\xf0\x64", id="reserved bitrate"),
        pytest.param(b"\xff\xfb\x00\x64", id="free bitrate"),
        pytest.param(b"\xff\xfb\x9c\x64", id="reserved sampling rate"),
        pytest.param(b"\xff\xfb\x90\x66", id="reserved emphasis"),
        pytest.param(b"\xff\xfb\x90", id="too short for a frame"),
        pytest.param(b"RIFF\x24\0\0\0WAVEfmt ", id="WAV"),
        pytest.param(b"OggS" + bytes(24) + b"OpusHead", id="Opus"),
        pytest.param(b"see ftyp in the manual", id="text like MP4"),
        pytest.param(b"PK\3\4", id="ZIP"),
    ],
)
def test_other_bytes_are_of_no_kind(first: bytes) -> None:
    """Texts and formats that WeChat does not know are not taken for media."""
    assert kind_of(first) is None


@given(first=st.text(min_size=1))
def test_text_is_of_no_kind_by_its_sync_word(first: str) -> None:
    """UTF-8 never holds the byte that MP3 frames and JPEG begin with."""
    kind = kind_of(first.encode())

    assert kind is None or kind.name not in ("jpg", "mp3") or first[:3] == "ID3"
