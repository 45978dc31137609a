"""Plain files on the disk, read by descriptor and watched for changes."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import cast

import attrs

from .._errors import SourceChanged
from .._local.disk import FileIO, disk_for
from .chunks import FIRST, READ_SIZE, Label, Rereadable

# A FIFO would hold up its opening until somebody writes to it, and a terminal
# would become the process's own.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)

_Path = str | os.PathLike[str]


async def open_path(path: _Path, file_io: FileIO, stack: AsyncExitStack) -> Rereadable:
    """
    Open the file at *path*, whole.

    Raises:
        ValueError: It is a FIFO, a device or a socket.

        OSError: It cannot be opened, or is a directory.
    """
    label = Label(base_name(path))
    plain = _Plain(lambda: os.open(path, _FLAGS), path)
    return await _located(plain, 0, label, file_io, stack)


async def open_duplicate(
    fd: int, start: int, label: Label, file_io: FileIO, stack: AsyncExitStack
) -> Rereadable:
    """
    Open the file behind *fd* from *start* on.

    By a descriptor of our own: the caller may close theirs, and its number
    would soon belong to another file.
    """
    plain = _Plain(lambda: os.dup(fd))
    return await _located(plain, start, label, file_io, stack)


def plain_descriptor(file: object) -> int | None:
    """
    Return the descriptor of a plain file that *file* does nothing but read.

    Files around other files have one as well: gzip's gives the compressed
    bytes. And those that write may still hold some of theirs back. Without
    pread(), reading would move the caller's own position.
    """
    if not hasattr(os, "pread"):
        return None
    if type(file) is io.BufferedReader:
        file = file.raw
    if type(file) is not io.FileIO or not file.readable():
        return None
    fd = file.fileno()
    return fd if stat.S_ISREG(os.fstat(fd).st_mode) else None


def base_name(name: object) -> str | None:
    """
    Return the last part of a path, or None where it is no path.

    Bytes that are not UTF-8, which names of files may have, are replaced: they
    could not be sent.
    """
    if not isinstance(name, (str, bytes, os.PathLike)):
        return None
    path = os.fsencode(cast("_Path", name)).decode(errors="replace")
    # Python calls files without a name such things as "<stdin>".
    return None if path.startswith("<") else os.path.basename(path) or None


async def _located(
    plain: _Plain, start: int, label: Label, file_io: FileIO, stack: AsyncExitStack
) -> Rereadable:
    disk = disk_for(file_io)
    stack.push_async_callback(disk.finish, plain.close)
    first = await disk.run(plain.begin, start)
    size = max(plain.before.st_size - start, 0)
    step = max(disk.batch, READ_SIZE)

    async def read(done: int) -> bytes:
        wanted = min(step, size - done)
        return await disk.run(pread, plain.fd, wanted, start + done)

    async def confirm() -> None:
        await disk.run(plain.check)

    look, fd = plain.check, plain.fd
    return Rereadable(size, label, first, read, confirm, look, fd, start)


@attrs.define(eq=False)
class _Plain:
    """An open descriptor, and how its file looked at first."""

    _open: Callable[[], int]
    _path: _Path | None = None
    fd: int = attrs.field(default=-1, init=False)
    before: os.stat_result = attrs.field(init=False)

    def begin(self, start: int) -> bytes:
        self.fd = self._open()
        self.before = os.fstat(self.fd)
        if self._path is not None:
            _check_plain(self._path, self.before.st_mode)
        return pread(self.fd, FIRST, start)

    def check(self) -> None:
        """
        Raise SourceChanged if the file was changed or replaced.

        Of the descriptor, because it may have been written to; of the path,
        because another file may have come in its place.
        """
        looks = _look(os.fstat(self.fd))
        if looks != _look(self.before) or self._looks_at_path() != looks:
            raise SourceChanged("the file was changed or replaced while it was sent")

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def _looks_at_path(self) -> tuple[int, ...]:
        if self._path is None:
            return _look(self.before)
        try:
            return _look(os.stat(self._path))
        except FileNotFoundError:
            return ()


def _look(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _check_plain(path: _Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        code = errno.EISDIR
        raise IsADirectoryError(code, os.strerror(code), os.fsdecode(path))
    if not stat.S_ISREG(mode):
        raise ValueError("a path must lead to a plain file")


def _seek_and_read(fd: int, size: int, offset: int) -> bytes:
    os.lseek(fd, offset, os.SEEK_SET)
    return os.read(fd, size)


# Windows has no pread(). There we read at places only what we opened ourselves.
pread: Callable[[int, int, int], bytes] = getattr(os, "pread", _seek_and_read)
