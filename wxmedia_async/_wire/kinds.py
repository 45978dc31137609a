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
MP4 = Kind("mp4", ".mp4", "video/mp4")
_HEIC = Kind("heic", ".heic", "image/heic")
_HEIF = Kind("heif", ".heif", "image/heif")
_AVIF = Kind("avif", ".avif", "image/avif")
_MOV = Kind("mov", ".mov", "video/quicktime")
_M4A = Kind("m4a", ".m4a", "audio/mp4")
_3GP = Kind("3gp", ".3gp", "video/3gpp")

# Photographs, songs and films all begin with an `ftyp` box; its brands tell which
# it is. https://mp4ra.org/registered-types/brands
_IMAGES = (
    (rb"he(?:ic|ix|im|is|vc|vx|vm|vs)", _HEIC),
    (rb"avi[fso]", _AVIF),
)
# Of an image, but not by which codec: these count after those that say it.
_STRUCTURES = ((rb"mif[12]|msf1|miaf", _HEIF),)
_FILMS = (
    (rb"qt  ", _MOV),
    (rb"M4[ABP] ", _M4A),
    (rb"3g..", _3GP),
    (rb"iso.|mp4[0-9]|mp71|avc.|M4V.|MSNV|dash|f4v |ND..|mmp4", MP4),
)
_MANY = (_IMAGES, _STRUCTURES, _FILMS)
# A camera's raw image, though it claims to be compatible with films.
_RAW = b"crx "

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
    if first[4:8] == b"ftyp" and first[:2] == b"\0\0":
        return _kind_of_brands(first)
    return MP3 if _is_mp3_frame(first) else None


def content_type_of(first: bytes, label: str | None) -> str:
    """
    Tell the media type of what is uploaded.

    Args:
        first: Its first bytes, which count more than any label.

        label: What came with it: browsers make it up of the name.
    """
    kind = kind_of(first)
    return kind.content_type if kind else label or "application/octet-stream"


def _kind_of_brands(first: bytes) -> Kind | None:
    """Read the box: its length, `ftyp`, a brand, a version, and further brands."""
    end = min(int.from_bytes(first[:4]), len(first))
    major = first[8:12]
    if major == _RAW:
        return None
    if kind := _kind_of_brand(major, _IMAGES + _FILMS):
        return kind
    brands = [major, *(first[at : at + 4] for at in range(16, end - 3, 4))]
    kinds = (_kind_of_brand(brand, table) for table in _MANY for brand in brands)
    return next(filter(None, kinds), None)


def _kind_of_brand(brand: bytes, table: tuple[tuple[bytes, Kind], ...]) -> Kind | None:
    for pattern, kind in table:
        if re.fullmatch(pattern, brand, re.DOTALL):
            return kind
    return None


def _is_mp3_frame(first: bytes) -> bool:
    # The sync word alone (eleven bits) also begins UTF-16 texts and AAC, so
    # every field with a reserved value is looked at: version, layer, bitrate,
    # sampling rate and emphasis.
    if len(first) < 4 or first[0] != 0xFF:
        return False
    layer_3 = first[1] in (0xE2, 0xE3, 0xF2, 0xF3, 0xFA, 0xFB)
    bitrate, rate = first[2] >> 4, first[2] >> 2 & 0b11
    return layer_3 and 0 < bitrate < 15 and rate != 3 and first[3] & 0b11 != 2
