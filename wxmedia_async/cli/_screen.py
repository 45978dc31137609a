"""Where a command's words go: results to standard output, the rest to error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, TextIO

import anyio

from ._lines import printable
from ._streams import descriptor_of, takes_more
from ._tally import Tally


class Screen(Protocol):
    """Takes the lines of a command."""

    def say(self, line: str) -> None:
        """Write a line to standard output."""
        ...

    def complain(self, line: str) -> None:
        """Write a line to standard error."""
        ...


class PlainScreen:
    """Two streams of lines."""

    def say(self, line: str) -> None:
        sys.stdout.write(f"{line}\n")

    def complain(self, line: str) -> None:
        sys.stderr.write(f"wxmedia: {line}\n")


async def has_room(file: TextIO) -> None:
    """Return when *file* takes a line, and let the transfers go on meanwhile."""
    descriptor = descriptor_of(file)
    # What cannot be waited for is no pipe, and written to at once.
    if descriptor is None or takes_more(descriptor, 0):
        return
    await anyio.wait_writable(descriptor)


class _Above:
    """Lines above a live display, which stays at the bottom of the terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def say(self, line: str) -> None:
        if sys.stdout.isatty():
            self._write(line)
        else:
            sys.stdout.write(f"{line}\n")

    def complain(self, line: str) -> None:
        self._write(f"wxmedia: {line}")


class _Warnings(logging.Handler):
    """Warnings of the library, each a line like others."""

    def __init__(self, screen: Screen) -> None:
        super().__init__(logging.WARNING)
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        self._screen.complain(printable(record.getMessage()))


@contextmanager
def open_screen(tally: Tally, *, quiet: bool = False) -> Generator[Screen]:
    """
    Give a place for lines, and for warnings of the library, while the block lasts.

    Where standard error is a terminal, *tally* is shown there live.
    """
    logger = logging.getLogger("wxmedia_async")
    with _lines_of(tally, quiet=quiet) as screen:
        warnings = _Warnings(screen)
        logger.addHandler(warnings)
        try:
            yield screen
        finally:
            logger.removeHandler(warnings)


@contextmanager
def _lines_of(tally: Tally, *, quiet: bool) -> Generator[Screen]:
    if quiet or not sys.stderr.isatty():
        yield PlainScreen()
        return
    from rich.console import Console
    from rich.live import Live

    from ._display import drawn

    console = Console(stderr=True)

    def write(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    with Live(
        console=console,
        get_renderable=lambda: drawn(tally),
        refresh_per_second=8,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield _Above(write)
