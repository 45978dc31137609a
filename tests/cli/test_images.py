from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator

import pytest

from wxmedia_async.cli import _images

SIZES = [10_000, 100_000, 3_000_000]

Make = Callable[[int, random.Random], bytes]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("make", [_images.png, _images.jpeg])
def test_size(make: Make, size: int) -> None:
    """An image has about the size that was asked for."""
    assert len(make(size, random.Random(0))) == pytest.approx(size, rel=0.2)


@pytest.mark.parametrize("make", [_images.png, _images.jpeg])
def test_smallest(make: Make) -> None:
    """Even the smallest image has a row."""
    assert make(1, random.Random(0))[:3] in (b"\x89PN", b"\xff\xd8\xff")


@pytest.mark.parametrize("make", [_images.png, _images.jpeg])
def test_repeatable(make: Make) -> None:
    """The same noise makes the same image, and other noise another one."""
    first = make(20_000, random.Random(1))

    assert make(20_000, random.Random(1)) == first
    assert make(20_000, random.Random(2)) != first


def test_png_is_whole() -> None:
    """Every chunk of a PNG has its check, and the pixels are as many as it says."""
    image = _images.png(50_000, random.Random(0))

    chunks = dict(png_chunks(image))

    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + 3 * width)


def test_jpeg_decodes() -> None:
    """Every block of a JPEG decodes, strip by strip, to the end of the scan."""
    image = _images.jpeg(30_000, random.Random(0))

    segments, scan = jpeg_segments(image)

    height, width = struct.unpack(">HH", segments[0xC0][1:5])
    (interval,) = struct.unpack(">H", segments[0xDD])
    dc, ac = huffman_tables(segments)
    strips = split_at_restarts(scan)
    assert (width // 8, height // 8) == (interval, len(strips))
    assert [decoded_blocks(strip, dc, ac) for strip in strips] == [
        interval for _ in strips
    ]


def png_chunks(image: bytes) -> Iterator[tuple[bytes, bytes]]:
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    place = 8
    while place < len(image):
        (length,) = struct.unpack_from(">I", image, place)
        name = image[place + 4 : place + 8]
        content = image[place + 8 : place + 8 + length]
        (check,) = struct.unpack_from(">I", image, place + 8 + length)
        assert check == zlib.crc32(name + content)
        yield name, content
        place += 12 + length


def jpeg_segments(image: bytes) -> tuple[dict[int, bytes], bytes]:
    """Segments by marker, tables of Huffman codes by 0xC400 and 0xC410; the scan."""
    assert image.startswith(b"\xff\xd8")
    assert image.endswith(b"\xff\xd9")
    segments: dict[int, bytes] = {}
    place = 2
    while 0xDA not in segments:
        start, marker, length = struct.unpack_from(">BBH", image, place)
        content = image[place + 4 : place + 2 + length]
        assert start == 0xFF
        assert len(content) == length - 2
        segments[marker << 8 | content[0] if marker == 0xC4 else marker] = content
        place += 2 + length
    return segments, image[place:-2]


Codes = dict[str, int]


def huffman_tables(segments: dict[int, bytes]) -> tuple[Codes, Codes]:
    return codes(segments[0xC400]), codes(segments[0xC410])


def codes(content: bytes) -> Codes:
    """Canonical codes: one more for each symbol, a bit more for each length."""
    counts, symbols = content[1:17], iter(content[17:])
    table: Codes = {}
    code = 0
    for length, count in enumerate(counts, 1):
        for _ in range(count):
            table[f"{code:0{length}b}"] = next(symbols)
            code += 1
        code <<= 1
    assert next(symbols, None) is None
    assert all("0" in code for code in table)
    return table


def split_at_restarts(scan: bytes) -> list[bytes]:
    first, *rest = scan.split(b"\xff")
    strips = [first]
    for piece in rest:
        if piece.startswith(b"\0"):
            strips[-1] += b"\xff" + piece[1:]
        else:
            assert piece[0] == 0xD0 + (len(strips) - 1) % 8
            strips.append(piece[1:])
    return strips


def decoded_blocks(strip: bytes, dc: Codes, ac: Codes) -> int:
    """Decode a strip to its end, and count its blocks."""
    bits = "".join(f"{byte:08b}" for byte in strip)
    place = blocks = 0
    while set(bits[place:]) - {"1"}:
        place = after_symbol(bits, place, dc)[0]
        coefficients = 1
        place, symbol = after_symbol(bits, place, ac)
        while symbol != 0:
            coefficients += 1 + (symbol >> 4)
            assert coefficients <= 64
            place, symbol = after_symbol(bits, place, ac)
        blocks += 1
    assert len(bits) - place < 8
    return blocks


def after_symbol(bits: str, place: int, table: Codes) -> tuple[int, int]:
    end = next(e for e in range(place + 1, place + 17) if bits[place:e] in table)
    symbol = table[bits[place:end]]
    return end + (symbol & 15), symbol
