"""Standard streams of which each line arrives, or it is known that it did not."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from collections.abc import Generator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TextIO, cast


class Undelivered(Exception):
    """
    Standard output did not take what was written to it.

    Not an OSError: nobody is to take it for a file that is transferred.
    """

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"standard output: {cause}")
        self.reader_left = isinstance(cause, BrokenPipeError)


class Output(io.TextIOBase):
    """
    Standard output: all that is written is there, or `Undelivered` is raised.

    Python's own stream loses bytes where the file does not block, keeps some
    that are then lost at the end of the process, and is None where it was closed.
    """

    def __init__(self, file: TextIO | None) -> None:
        self._file = file
        # A console of Windows takes text, not bytes.
        self._descriptor = None if sys.platform == "win32" else descriptor_of(file)
        # One that goes on: the mark of an encoding comes once.
        encoder = codecs.getincrementalencoder(self.encoding)
        self._encoder = encoder("backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]  # typeshed: writable
        return getattr(self._file, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        return self._file is not None and self._file.isatty()

    def fileno(self) -> int:
        return super().fileno() if self._descriptor is None else self._descriptor

    def write(self, text: str, /) -> int:
        try:
            self._send(self._encoder.encode(text))
        # A ValueError is what Python says of a file that it has closed.
        except (OSError, ValueError) as error:
            raise Undelivered(error) from None
        return len(text)

    def _send(self, text: bytes) -> None:
        if self._descriptor is not None:
            write_all(self._descriptor, text)
        elif self._file is None:
            raise OSError(errno.EBADF, "it is closed; /dev/null would do")
        else:
            self._file.write(text.decode(self.encoding))
            self._file.flush()


class ErrorOutput(Output):
    """
    Standard error: where it takes nothing there is no one left to tell.

    Attributes:
        lost: Whether anything was not written, which is for the exit code to say.
    """

    lost = False

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except Undelivered:
            self.lost = True
            return len(text)


@contextmanager
def reliable_streams() -> Generator[ErrorOutput]:
    """Replace both outputs while the block lasts; gives standard error."""
    _occupy_closed_descriptors()
    error_output = ErrorOutput(sys.stderr)
    output = cast("TextIO", Output(sys.stdout))
    with redirect_stdout(output), redirect_stderr(cast("TextIO", error_output)):
        yield error_output


def descriptor_of(file: TextIO | None) -> int | None:
    """Return the descriptor of a standard stream, or None where it has none."""
    try:
        return None if file is None else file.fileno()
    # It is closed, or something of a test's or a notebook's.
    except (OSError, ValueError):
        return None


def write_all(descriptor: int, content: bytes) -> None:
    """Write all, and wait where the descriptor does not block."""
    # Nothing is written as well: that tells a descriptor which takes nothing.
    left = content[_written(descriptor, content) :]
    while left:
        left = left[_written(descriptor, left) :]


def takes_more(descriptor: int, patience: float | None) -> bool:
    """Tell whether some bytes can be written without waiting, soon."""
    return bool(select.select([], [descriptor], [], patience)[1])


def _written(descriptor: int, content: bytes) -> int:
    try:
        return os.write(descriptor, content)
    except BlockingIOError:
        takes_more(descriptor, None)
        return 0


def _occupy_closed_descriptors() -> None:
    """Have no file of ours become a standard stream, to which others may write."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest one that is free is taken, which is this.
            os.open(os.devnull, os.O_RDWR)
