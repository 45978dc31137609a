"""A file of lines that several processes append to and read."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Protocol

from . import locks

# Of a line, at first; and of what others have written, at a time.
_LINE = 1024
_PIECE = 1024 * 1024


class _Raw(Protocol):
    def read(self, size: int, /) -> bytes | None: ...
    def write(self, data: bytes, /) -> int | None: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...
    def tell(self) -> int: ...
    def fileno(self) -> int: ...
    def close(self) -> None: ...


class SharedFile:
    """
    Lines, each written whole by one call under a lock.

    Whoever writes knows all lines before, so a line that was torn by a kill is
    seen, and ended. Where files cannot be locked, each line is still one call.

    Attributes:
        end: Where the last whole line that was read ends.
    """

    def __init__(
        self, path: str | os.PathLike[str], see: Callable[[bytes, int], None]
    ) -> None:
        """*see* is called with each line, its own ones too, and its place."""
        self.end = 0
        self._see = see
        self._file: _Raw = open(path, "a+b", buffering=0)  # noqa: SIM115

    def close(self) -> None:
        self._file.close()

    def size(self) -> int:
        return os.fstat(self._file.fileno()).st_size

    def read_on(self) -> bool:
        """Read some lines of others'; False: there are none by now."""
        piece = self._read(self.end, min(_PIECE, self.size() - self.end))
        if b"\n" not in piece and len(piece) == _PIECE:
            piece = self._to_newline(self.end, _PIECE)
        whole = piece[: piece.rfind(b"\n") + 1]
        for line in io.BytesIO(whole):  # not splitlines(): some end in "\r" alone
            self._see(line, self.end)
            self.end += len(line)
        return bool(whole)

    def rest(self) -> bytes:
        """Return what follows the last whole line."""
        return self._read(self.end, _LINE)

    def line(self, place: int) -> bytes:
        """Return the line that begins at *place*."""
        return self._to_newline(place, _LINE).partition(b"\n")[0]

    def append(self, line: bytes) -> bool:
        """
        Write a line; False where somebody else is writing.

        Raises:
            OSError: It cannot be written.
        """
        if not locks.lock(self._file):
            return False
        try:
            self.append_unlocked(line)
        finally:
            locks.unlock(self._file)
        return True

    def append_unlocked(self, line: bytes) -> None:
        """Write a line, whoever else is writing."""
        while self.size() > self.end and self.read_on():
            pass
        torn = self.size() > self.end
        self._write(b"\n" + line if torn else line)
        place = self._file.tell() - len(line)
        self.end = place + len(line)
        self._see(line, place)

    def _write(self, data: bytes) -> None:
        written = 0
        while written < len(data):
            written += self._file.write(data[written:]) or 0

    def _read(self, place: int, size: int) -> bytes:
        if size <= 0:
            return b""
        self._file.seek(place)
        return self._file.read(size) or b""

    def _to_newline(self, place: int, size: int) -> bytes:
        found = self._read(place, size)
        while b"\n" not in found:
            more = self._read(place + len(found), size)
            if not more:
                break
            found += more
        return found
