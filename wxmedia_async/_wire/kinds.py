"""What a media is, told by its first bytes: WeChat's Content-Type does not."""

from __future__ import annotations

import re

import attrs

ENOUGH = 64
"""So many bytes tell every kind of the table from all others."""


@attrs.frozen
class Kind:
    """
    A kind of media that WeChat's users send.

    Attributes:
        name: A short name, such as ``jpg``.

        suffix: The filename suffix, with its dot.

        content_type: The media type.
    """

    name: str
    suffix: str
    content_type: str


MP3 = Kind("mp3", ".mp3", "audio/mpeg")

# "BM" alone begins many an English text, so the header is read as far as its
# length field; Speex stands bare or in an Ogg page; WeChat puts a 2 before SILK.
_MAGIC = (
    (rb"\xff\xd8\xff", Kind("jpg", ".jpg", "image/jpeg")),
    (rb"\x89PNG\r\n\x1a\n", Kind("png", ".png", "image/png")),
    (rb"GIF8[79]a", Kind("gif", ".gif", "image/gif")),
    (
        rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0",
        Kind("bmp", ".bmp", "image/bmp"),
    ),
    (rb"RIFF.{4}WEBP", Kind("webp", ".webp", "image/webp")),
    (rb"ID3[\0-\x0f]", MP3),
    (rb"#!AMR\n", Kind("amr", ".amr", "audio/amr")),
    (rb"#!AMR-WB\n", Kind("amr-wb", ".awb", "audio/amr-wb")),
    (rb"(?:OggS.{24})?Speex   ", Kind("speex", ".speex", "audio/speex")),
    (rb"\x02?#!SILK_V3", Kind("silk", ".silk", "audio/silk")),
    (rb".{4}ftyp(?:heic|heix|mif1)", Kind("heic", ".heic", "image/heic")),
    (rb".{4}ftypavi[fs]", Kind("avif", ".avif", "image/avif")),
    (rb".{4}ftypqt  ", Kind("mov", ".mov", "video/quicktime")),
    (rb".{4}ftypM4[AB] ", Kind("m4a", ".m4a", "audio/mp4")),
    (rb".{4}ftyp3g", Kind("3gp", ".3gp", "video/3gpp")),
    (rb"\0\0.{2}ftyp", Kind("mp4", ".mp4", "video/mp4")),
)
_PATTERNS = tuple((re.compile(magic, re.DOTALL), kind) for magic, kind in _MAGIC)


def kind_of(first: bytes) -> Kind | None:
    """
    Tell the kind of a media by its first bytes.

    Args:
        first: The beginning of the media; `ENOUGH` bytes, or all there are.

    Returns:
        None where the bytes are of no kind that is known here.
    """
    for pattern, kind in _PATTERNS:
        if pattern.match(first):
            return kind
    return MP3 if _is_mp3_frame(first) else None


def _is_mp3_frame(first: bytes) -> bool:
    # The sync word alone (eleven bits) also begins UTF-16 texts and AAC, so
    # every field with a reserved value is looked at: version, layer, bitrate,
    # sampling rate and emphasis.
    if len(first) < 4 or first[0] != 0xFF:
        return False
    layer_3 = first[1] in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)
    bitrate, rate = first[2] >> 4, first[2] >> 2 & 0b11
    return layer_3 and 0 < bitrate < 15 and rate != 3 and first[3] & 0b11 != 2
