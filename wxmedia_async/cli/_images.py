"""Images of noise that every viewer opens, made of the standard library alone."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Iterator

# A strip is one row of blocks between two restart markers. It stands by itself,
# so a few of them, encoded once, make an image of any size.
_BLOCKS = 64
_STRIPS = 16
_RESTARTS = 8


def png(size: int, noise: random.Random) -> bytes:
    """Return a PNG of about *size* bytes, which are hard to compress."""
    width = 256
    height = max(1, size // (3 * width))
    rows = b"".join(b"\0" + noise.randbytes(3 * width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", zlib.compress(rows, 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, content: bytes) -> bytes:
    check = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)


def jpeg(size: int, noise: random.Random) -> bytes:
    """Return a grey baseline JPEG of about *size* bytes (ITU T.81)."""
    strips = [_strip(noise) for _ in range(_STRIPS)]
    average = sum(map(len, strips)) // _STRIPS + 2
    count = max(1, size // average)
    frame = struct.pack(">BHHBBBB", 8, 8 * count, 8 * _BLOCKS, 1, 1, 0x11, 0)
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"),
            _segment(0xDB, b"\0" + bytes([8, *[2] * 63])),
            _segment(0xC0, frame),
            _segment(0xC4, b"\x00" + _lengths(_DC) + _DC),
            _segment(0xC4, b"\x10" + _lengths(_AC) + _AC),
            _segment(0xDD, struct.pack(">H", _BLOCKS)),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            b"".join(_scan(strips, count, noise)),
            b"\xff\xd9",
        )
    )


# Huffman tables of codes that are all equally long, so that a symbol's code is
# its place in the table. Less dense than the usual ones, and as valid.
_DC = bytes(range(12))
_AC = bytes(
    [0x00, 0xF0, *(run << 4 | bits for run in range(16) for bits in range(1, 11))]
)
_CODE_LENGTH = {_DC: 4, _AC: 8}


def _lengths(table: bytes) -> bytes:
    """Return how many codes there are of 1 to 16 bits."""
    length = _CODE_LENGTH[table]
    return bytes(len(table) if bits == length else 0 for bits in range(1, 17))


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _scan(strips: list[bytes], count: int, noise: random.Random) -> Iterator[bytes]:
    for index in range(count):
        if index:
            yield bytes([0xFF, 0xD0 + (index - 1) % _RESTARTS])
        yield noise.choice(strips)


def _strip(noise: random.Random) -> bytes:
    bits = "".join(_block(noise) for _ in range(_BLOCKS))
    bits += "1" * (-len(bits) % 8)
    content = int(bits, 2).to_bytes(len(bits) // 8)
    return content.replace(b"\xff", b"\xff\0")


def _block(noise: random.Random) -> str:
    """Return the bits of one block: a change of brightness, and some texture."""
    brightness = noise.randint(-15, 15)
    texture = (noise.choice((-1, 1)) * noise.randint(1, 63) for _ in range(20))
    first = _coded(_DC, 0, brightness)
    rest = "".join(_coded(_AC, 0, value) for value in texture)
    return first + rest + _code(_AC, 0x00)


def _coded(table: bytes, run: int, value: int) -> str:
    """Return a coefficient: its length in bits as a symbol, then its bits."""
    bits = abs(value).bit_length()
    # A negative value is written as the ones' complement of its amount.
    written = value if value >= 0 else value + (1 << bits) - 1
    tail = f"{written:0{bits}b}" if bits else ""
    return _code(table, run << 4 | bits) + tail


def _code(table: bytes, symbol: int) -> str:
    return f"{table.index(symbol):0{_CODE_LENGTH[table]}b}"
