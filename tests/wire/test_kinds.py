from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxmedia_async._wire.kinds import ENOUGH, content_type_of, kind_of

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


def boxed(*brands: bytes) -> bytes:
    """An `ftyp` box, and what looks like more brands behind it."""
    inside = b"ftyp" + brands[0] + b"\0\0\2\0" + b"".join(brands[1:])
    return (4 + len(inside)).to_bytes(4) + inside + b"avifheicisom" * 5


@pytest.mark.parametrize(
    ("brands", "name"),
    [
        *((brand, "heic") for brand in ("heic", "heix", "heim", "heis")),
        *((brand, "heic") for brand in ("hevc", "hevx", "hevm", "hevs")),
        *((brand, "avif") for brand in ("avif", "avis")),
        *((brand, "heif") for brand in ("mif1", "msf1", "mif2")),
        ("mif1 mif1 heic", "heic"),
        ("mif1 avif", "avif"),
        ("msf1 iso8 hevc", "heic"),
        ("mif1 iso8", "heif"),
        ("MiHE mif1 heic", "heic"),
        ("jpeg mif1", "heif"),
        ("isom mif1 heic", "mp4"),
        *((brand, "mp4") for brand in ("isom", "iso2", "iso6", "mp41", "mp42")),
        *((brand, "mp4") for brand in ("avc1", "M4V_", "MSNV", "dash", "mp71")),
        ("XAVC XAVC mp42 iso2", "mp4"),
        ("cmfc iso6", "mp4"),
        ("qt__", "mov"),
        ("M4A_ mp42", "m4a"),
        ("M4B_", "m4a"),
        ("3gp5 isom", "3gp"),
        ("3g2a", "3gp"),
        ("KDDI 3g2a", "3gp"),
        ("crx_ crx_ isom", None),
        ("JP20 JP20", None),
        ("zzzz", None),
    ],
)
def test_an_iso_media_file_is_what_its_brands_say(
    brands: str, name: str | None
) -> None:
    """Films, songs and images begin alike; what is of no known brand is unknown."""
    named = [brand.replace("_", " ").encode() for brand in brands.split()]

    kind = kind_of(boxed(*named))

    assert (kind and kind.name) == name


@pytest.mark.parametrize("size", range(8, 32))
def test_a_cut_box_breaks_nothing(size: int) -> None:
    """However little there is of a file, looking at it is safe."""
    kind = kind_of(boxed(b"mif1", b"iso8", b"heic")[:size])

    assert kind is None or kind.suffix in (".heif", ".heic", ".mp4")


@pytest.mark.parametrize(
    ("first", "label", "content_type"),
    [
        (b"GIF89a", "image/jpeg", "image/gif"),
        (b"GIF89a", None, "image/gif"),
        (b"what?", "text/plain", "text/plain"),
        (b"what?", None, "application/octet-stream"),
    ],
)
def test_bytes_count_more_than_a_label(
    first: bytes, label: str | None, content_type: str
) -> None:
    """Browsers make labels up of names; what the bytes are is known better."""
    assert content_type_of(first, label) == content_type


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
