"""A file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import attrs

from .._local.disk import Disk, FileIO, disk_for
from . import publish as _publish

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)

# Of the 255 bytes of a name that most filesystems take, and the 143 of some.
_LONGEST_HINT = 100


def make_folder(path: str) -> None:
    """Make the folder that downloads go into, and those above it."""
    os.makedirs(path, exist_ok=True)


def open_part(final: str, *, file_io: FileIO, folder: str | None = None) -> Part:
    """
    Open a temporary file beside *final*, removed unless it is published.

    To be used with ``async with``. *folder* is made if it is not there.

    Nothing is synced to the disk: safe against a crash of the process, not of
    the power. A killed process leaves the temporary file, ``.*.part``, behind.

    Raises:
        OSError: It cannot be made.
    """
    above, name = os.path.split(final)
    beside = os.path.join(above, _part_name(name))
    return Part(beside, final, folder, disk_for(file_io))


@attrs.define(eq=False)
class Part:
    """
    A file that is not yet there for others. Made by `open_part()`.

    Attributes:
        path: Its temporary name.

        fd: The descriptor that it is written to; -1 when closed.
    """

    path: str
    _final: str
    _folder: str | None
    _disk: Disk
    fd: int = attrs.field(default=-1, init=False)
    _pending: bytearray = attrs.field(factory=bytearray, init=False, repr=False)
    _is_there: bool = attrs.field(default=False, init=False)

    async def __aenter__(self) -> Self:
        try:
            await self._disk.run(self._open)
        except BaseException:
            await self._disk.finish(self._remove)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._disk.finish(self._remove)

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append *chunk*, at once or with those that follow."""
        if not self._pending and len(chunk) >= self._disk.batch:
            await self._disk.run(_write_all, self.fd, chunk)
            return
        self._pending += chunk
        if len(self._pending) >= self._disk.batch:
            await self._disk.run(self._write_pending)

    @property
    def writes_at_once(self) -> bool:
        """Whether `append()` may be used: the disk is fast enough for the loop."""
        return self._disk.batch == 0

    def append(self, chunk: bytes | memoryview) -> None:
        """Append *chunk* without a pause; not to be mixed with `write()`."""
        _write_all(self.fd, chunk)

    async def write_at(self, offset: int, chunk: bytes | bytearray) -> None:
        """Write *chunk* at its place; not to be mixed with `write()`."""
        await self._disk.run(_write_all_at, self.fd, chunk, offset)

    async def restart(self) -> None:
        """Forget what was written, for another try."""
        self._pending.clear()
        await self._disk.run(_empty, self.fd)

    async def publish(self, *, overwrite: bool) -> None:
        """
        Let the file appear under its final name, the last thing done to it.

        With *overwrite* it takes the place of a file or a symbolic link.
        Cancelled, it has either appeared whole or not at all.

        Raises:
            FileExistsError: There is one by now, and no *overwrite*.

            IsADirectoryError: There is a folder, and *overwrite*.

            OSError: The last bytes could not be written.
        """
        appear = _publish.replace if overwrite else _publish.add
        await self._disk.run(self._publish, appear)

    def _open(self) -> None:
        try:
            self.fd = os.open(self.path, _NEW, 0o666)
        except FileNotFoundError:
            # Not before: it is there nearly always, and to ask takes a while.
            if self._folder is None:
                raise
            make_folder(self._folder)
            self.fd = os.open(self.path, _NEW, 0o666)
        self._is_there = True

    def _publish(self, appear: Callable[[str, str], None]) -> None:
        self._write_pending()
        # Network disks report a full disk only when a file is closed.
        fd, self.fd = self.fd, -1
        os.close(fd)
        appear(self.path, self._final)
        self._is_there = False

    def _write_pending(self) -> None:
        if self._pending:
            _write_all(self.fd, self._pending)
            self._pending.clear()

    def _remove(self) -> None:
        # Whatever stands in the way, why the file is discarded matters more.
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)
        if self._is_there:
            with suppress(OSError):
                os.unlink(self.path)


def _part_name(final: str) -> str:
    """Say in the name what it was to become, for people who find it."""
    hint = os.fsencode(final)[:_LONGEST_HINT].decode(errors="ignore")
    return f".{hint}.{os.urandom(8).hex()}.part"


def _write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """A disk that is nearly full takes a part, and refuses the next."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _seek_and_write(fd: int, data: memoryview, offset: int) -> int:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.write(fd, data)


# Windows has no pwrite(); the position is used by nobody else.
_pwrite: Callable[[int, memoryview, int], int] = getattr(os, "pwrite", _seek_and_write)


def _write_all_at(fd: int, data: bytes | bytearray, offset: int) -> None:
    view = memoryview(data)
    written = 0
    while written < len(view):
        written += _pwrite(fd, view[written:], offset + written)


def _empty(fd: int) -> None:
    os.lseek(fd, 0, os.SEEK_SET)
    os.ftruncate(fd, 0)
