"""The media_ids of a command line, of which ``-`` stands for standard input."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterable

import anyio

STDIN = "-"


async def given_ids(arguments: Iterable[str], stdin: int) -> AsyncGenerator[str]:
    """
    Yield the ids among *arguments*, and for each ``-`` the lines of *stdin*.

    No more is read than is asked for, so a list without end will do.

    Args:
        arguments: Ids, or ``-``.

        stdin: The file descriptor to read.

    Raises:
        OSError: *stdin* cannot be read.
    """
    for argument in arguments:
        if argument != STDIN:
            yield argument
            continue
        rest = b""
        while chunk := await _read(stdin):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in _stripped(lines):
                yield line
        for line in _stripped([rest]):
            yield line


def _stripped(lines: Iterable[bytes]) -> Iterable[str]:
    decoded = (line.decode("utf-8", "replace").strip() for line in lines)
    return filter(None, decoded)


async def _read(file: int) -> bytes:
    # A thread that reads a terminal cannot be interrupted, and the process
    # would not end before the next line is typed. So wait first, then read.
    try:
        await anyio.wait_readable(file)
    # What cannot be waited for: plain files, which never block, and Windows.
    except OSError:
        return await anyio.to_thread.run_sync(_chunk, file, abandon_on_cancel=True)
    return _chunk(file)


def _chunk(file: int) -> bytes:
    return os.read(file, 65_536)
