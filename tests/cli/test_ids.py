from __future__ import annotations

import os
from contextlib import aclosing
from pathlib import Path

import anyio

from wxmedia_async.cli._ids import given_ids


async def collected(arguments: list[str], stdin: int) -> list[str]:
    return [media_id async for media_id in given_ids(arguments, stdin)]


async def test_arguments() -> None:
    """Ids on the command line are taken as they are, in their order."""
    assert await collected(["b", "-a", "b"], -1) == ["b", "-a", "b"]


async def test_file(tmp_path: Path) -> None:
    """Standard input may be a file; blank lines are no ids, the last has no end."""
    (tmp_path / "ids").write_bytes(b"one\r\n\n  two \nthree")

    with open(tmp_path / "ids", "rb") as file:
        ids = await collected(["zero", "-", "four"], file.fileno())

    assert ids == ["zero", "one", "two", "three", "four"]


async def test_lines_longer_than_a_read(tmp_path: Path) -> None:
    """Ids that a read cuts in two are put together again."""
    expected = [f"id-{index:06}" for index in range(20_000)]
    (tmp_path / "ids").write_text("\n".join(expected))

    with open(tmp_path / "ids", "rb") as file:
        ids = await collected(["-"], file.fileno())

    assert ids == expected


async def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 do not end the reading."""
    (tmp_path / "ids").write_bytes(b"\xff\xfe\ntwo\n")

    with open(tmp_path / "ids", "rb") as file:
        ids = await collected(["-"], file.fileno())

    assert ids == ["\ufffd\ufffd", "two"]


async def test_pipe_is_read_as_it_is_written() -> None:
    """An id is given as soon as its line is there, long before the end."""
    reads, writes = os.pipe()
    try:
        async with aclosing(given_ids(["-"], reads)) as ids:
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
