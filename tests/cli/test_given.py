from __future__ import annotations

import codecs
import io
import os
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from wxmedia_async.cli import _given
from wxmedia_async.cli._given import given
from wxmedia_async.cli._literal import marked


async def collected(arguments: list[str], stdin: int | None) -> list[str]:
    return [name async for name in given(arguments, stdin, str)]


async def test_arguments() -> None:
    """Ids on the command line are taken as they are, in their order."""
    assert await collected(["b", "-a", "b"], None) == ["b", "-a", "b"]


async def test_file(tmp_path: Path) -> None:
    """Standard input may be a file; blank lines are no names, the last has no end."""
    (tmp_path / "ids").write_bytes(b"one\r\n\n \r\n  two \nthree")

    with open(tmp_path / "ids", "rb") as file:
        ids = await collected(["zero", "-", "four"], file.fileno())

    assert ids == ["zero", "one", "  two ", "three", "four"]


async def test_lines_longer_than_a_read(tmp_path: Path) -> None:
    """Ids that a read cuts in two are put together again."""
    expected = [f"id-{index:06}" for index in range(20_000)]
    (tmp_path / "ids").write_text("\n".join(expected))

    with open(tmp_path / "ids", "rb") as file:
        ids = await collected(["-"], file.fileno())

    assert ids == expected


async def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 do not end the reading, and come out as in file names."""
    (tmp_path / "ids").write_bytes(b"\xfa\xfb\ntwo\n")

    with open(tmp_path / "ids", "rb") as file:
        ids = await collected(["-"], file.fileno())

    assert ids == ["\udcfa\udcfb", "two"]


async def test_pipe_is_read_as_it_is_written() -> None:
    """An id is given as soon as its line is there, long before the end."""
    reads, writes = os.pipe()
    try:
        async with aclosing(given(["-"], reads, str)) as ids:
            os.write(writes, b"one\ntwo\nthr")
            first = [await anext(ids), await anext(ids)]
            os.write(writes, b"ee\n")
            third = await anext(ids)
    finally:
        os.close(reads)
        os.close(writes)

    assert [*first, third] == ["one", "two", "three"]


async def test_waiting_can_be_cancelled() -> None:
    """Nobody has to type a line before a command can end."""
    reads, writes = os.pipe()
    try:
        with anyio.move_on_after(0.01) as scope:
            await collected(["-"], reads)
    finally:
        os.close(reads)
        os.close(writes)

    assert scope.cancelled_caught


MARKED = {
    "utf-8": codecs.BOM_UTF8,
    "utf-16-le": codecs.BOM_UTF16_LE,
    "utf-16-be": codecs.BOM_UTF16_BE,
    "utf-32-le": codecs.BOM_UTF32_LE,
    "utf-32-be": codecs.BOM_UTF32_BE,
}


@pytest.mark.parametrize("size", [1, 3, 65_536])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", MARKED)
async def test_marked_text(
    encoding: str, end: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mark at the beginning tells the encoding, however the bytes come."""
    names = ["one", "猫.jpg", "", "\U0001f408", "four"]
    content = io.BytesIO(MARKED[encoding] + end.join(names).encode(encoding))

    async def read(_: int) -> bytes:
        return content.read(size)

    monkeypatch.setattr(_given, "_read", read)

    assert await collected(["-"], 0) == list(filter(None, names))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b"\n"])
async def test_nothing_but_a_mark(content: bytes, tmp_path: Path) -> None:
    """What holds no line names nothing; half a mark is a name like others."""
    (tmp_path / "ids").write_bytes(content)

    with open(tmp_path / "ids", "rb") as file:
        names = await collected(["-"], file.fileno())

    assert names == (["\udcff"] if content == b"\xff" else [])


async def test_mark_in_the_middle(tmp_path: Path) -> None:
    """Only the beginning of a text has a mark."""
    (tmp_path / "ids").write_bytes(b"one\n\xef\xbb\xbftwo")

    with open(tmp_path / "ids", "rb") as file:
        names = await collected(["-"], file.fileno())

    assert names == ["one", "\ufefftwo"]


async def test_short_lines_are_not_held_back() -> None:
    """A line that cannot be the beginning of a mark is given at once."""
    reads, writes = os.pipe()
    try:
        async with aclosing(given(["-"], reads, str)) as names:
            os.write(writes, b"a\n")
            first = await anext(names)
    finally:
        os.close(reads)
        os.close(writes)

    assert first == "a"


async def test_pipe_that_does_not_block() -> None:
    """A pipe that does not block is waited for, though another was faster to read."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    os.write(writes, b"one\n")
    taken: list[bytes] = []

    def read(file: int, size: int) -> bytes:
        if not taken:
            # What another process that has the pipe as well would do.
            taken.append(os_read(file, size))
            os.write(writes, b"two\n")
            os.close(writes)
            raise BlockingIOError
        return os_read(file, size)

    os_read = os.read
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "read", read)
            names = await collected(["-"], reads)
    finally:
        os.close(reads)

    assert (taken, names) == ([b"one\n"], ["two"])


async def test_no_standard_input() -> None:
    """Where there is no standard input that is said, once it is asked for."""
    async with aclosing(given(["one", "-"], None, str)) as names:
        first = await anext(names)
        with pytest.raises(OSError, match="standard input is closed"):
            await anext(names)

    assert first == "one"


async def test_after_two_hyphens() -> None:
    """What follows -- is a name, also where it is a hyphen or looks like an option."""
    arguments = marked(["-", "--", "-", "--json", "x", "--"])[2:]

    assert await collected(arguments, None) == ["-", "--json", "x", "--"]
