"""What a command line names, of which ``-`` stands for standard input."""

from __future__ import annotations

import codecs
import errno
import os
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import TypeVar

import anyio

from ._literal import plain

STDIN = "-"

Item = TypeVar("Item")

# The longer ones first: one begins like another.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


async def given(
    arguments: Iterable[str], stdin: int | None, item_of: Callable[[str], Item]
) -> AsyncGenerator[Item]:
    """
    Yield what is named by *arguments*, and for each ``-`` by the lines of *stdin*.

    No more is read than is asked for, so a list without end will do.

    Args:
        arguments: Names, or ``-``.

        stdin: The file descriptor to read; None where there is none.

        item_of: Makes an item of a name.

    Raises:
        OSError: *stdin* cannot be read, or is not there.
    """
    for argument in arguments:
        if argument != STDIN:
            yield item_of(plain(argument))
            continue
        async with aclosing(_lines(stdin)) as lines:
            async for line in lines:
                yield item_of(line)


async def _lines(stdin: int | None) -> AsyncGenerator[str]:
    if stdin is None:
        raise OSError(errno.EBADF, "standard input is closed")
    text, rest = _Text(), ""
    while chunk := await _read(stdin):
        *lines, rest = (rest + text.decoded(chunk)).split("\n")
        for line in _without_ends(lines):
            yield line
    for line in _without_ends([rest + text.end()]):
        yield line


def _without_ends(lines: Iterable[str]) -> Iterable[str]:
    return (line.rstrip("\r") for line in lines if line.strip())


class _Text:
    """Bytes as text: UTF-8, unless a mark at their beginning names another."""

    def __init__(self) -> None:
        self._beginning = b""
        self._decoder: codecs.IncrementalDecoder | None = None

    def decoded(self, chunk: bytes) -> str:
        if self._decoder is not None:
            return self._decoder.decode(chunk)
        self._beginning += chunk
        return "" if self._may_become_a_mark() else self._begin()

    def end(self) -> str:
        begun = self._begin() if self._decoder is None else ""
        assert self._decoder is not None
        return begun + self._decoder.decode(b"", final=True)

    def _may_become_a_mark(self) -> bool:
        return any(
            len(self._beginning) < len(mark) and mark.startswith(self._beginning)
            for mark, _ in _MARKS
        )

    def _begin(self) -> str:
        mark, encoding = next(
            (known for known in _MARKS if self._beginning.startswith(known[0])),
            (b"", "utf-8"),
        )
        # As in the names of files: bytes that are no text are to come out again.
        errors = "surrogateescape" if encoding == "utf-8" else "replace"
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        return self._decoder.decode(self._beginning.removeprefix(mark))


async def _read(file: int) -> bytes:
    # A thread that reads a terminal cannot be interrupted, and the process
    # would not end before the next line is typed. So wait first, then read.
    while True:
        try:
            await anyio.wait_readable(file)
        # What cannot be waited for: plain files, which never block, and Windows.
        except OSError:
            return await anyio.to_thread.run_sync(_chunk, file, abandon_on_cancel=True)
        try:
            return _chunk(file)
        # Another process that has it too was faster.
        except BlockingIOError:
            continue


def _chunk(file: int) -> bytes:
    return os.read(file, 65_536)
