"""Where a command's words go: results to standard output, the rest to error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Protocol, TextIO

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
        write_line(sys.stdout, line)

    def complain(self, line: str) -> None:
        write_line(sys.stderr, f"wxmedia: {line}")


def write_line(file: TextIO, line: str) -> None:
    """Write a line at once, whatever the file's encoding lacks."""
    encoding = file.encoding or "utf-8"
    encodable = line.encode(encoding, "backslashreplace").decode(encoding)
    file.write(f"{encodable}\n")
    file.flush()


class _Above:
    """Lines above a live display, which stays at the bottom of the terminal."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def say(self, line: str) -> None:
        if sys.stdout.isatty():
            self._write(line)
        else:
            write_line(sys.stdout, line)

    def complain(self, line: str) -> None:
        self._write(f"wxmedia: {line}")


@contextmanager
def open_screen(tally: Tally) -> Generator[Screen]:
    """Show *tally* live while the block lasts, where standard error is a terminal."""
    if not sys.stderr.isatty():
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
