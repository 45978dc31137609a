"""A file that appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Self

import attrs

from .._local.disk import Disk, FileIO, disk_for
from .draft import Draft, Identity, identity_of, open_draft, write_all


def make_folder(path: str) -> None:
    """Make the folder that downloads go into, and those above it."""
    os.makedirs(path, exist_ok=True)


def open_part(final: str, *, file_io: FileIO, folder: str | None = None) -> Part:
    """
    Open a file that will be *final*, gone unless it is published.

    To be used with ``async with``. *folder* is made if it is not there.

    Nothing is synced to the disk: safe against a crash of the process, not of
    the power. Where the disk has files without a name, a killed process leaves
    nothing; elsewhere a temporary file, ``.*.part``.

    Raises:
        OSError: It cannot be made.
    """
    return Part(final, folder, disk_for(file_io))


@attrs.define(eq=False)
class Part:
    """
    A file that is not yet there for others. Made by `open_part()`.

    Attributes:
        fd: The descriptor that it is written to; -1 when closed.
    """

    _final: str
    _folder: str | None
    _disk: Disk
    fd: int = attrs.field(default=-1, init=False)
    _draft: Draft | None = attrs.field(default=None, init=False)
    _pending: bytearray = attrs.field(factory=bytearray, init=False, repr=False)

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
            await self._disk.run(write_all, self.fd, chunk)
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
        write_all(self.fd, chunk)

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
        await self._disk.run(self._publish, overwrite)

    async def identity(self) -> Identity:
        """
        Return what tells the file from all others, once it is published as well.

        Nothing is to be written to it any more.

        Raises:
            OSError: The last bytes could not be written.
        """
        return await self._disk.run(self._identity)

    def _identity(self) -> Identity:
        self._write_pending()
        return identity_of(os.fstat(self.fd))

    def _open(self) -> None:
        try:
            self._draft = open_draft(self._final)
        except FileNotFoundError:
            # Not before: it is there nearly always, and to ask takes a while.
            if self._folder is None:
                raise
            make_folder(self._folder)
            self._draft = open_draft(self._final)
        self.fd = self._draft.fd

    def _publish(self, overwrite: bool) -> None:
        assert self._draft is not None
        self._write_pending()
        self.fd = -1
        (self._draft.replace if overwrite else self._draft.add)(self._final)

    def _write_pending(self) -> None:
        if self._pending:
            write_all(self.fd, self._pending)
            self._pending.clear()

    def _remove(self) -> None:
        self.fd = -1
        if self._draft is not None:
            self._draft.discard()


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
