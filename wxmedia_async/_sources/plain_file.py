"""Plain files on the disk, read by descriptor and watched for changes."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Callable
from typing import cast

import attrs

from .._errors import SourceChanged
from .._local.disk import Disk, FileIO, disk_for
from .chunks import FIRST, READ_SIZE, Label, Rereadable, check_promised

# A FIFO would hold up its opening until somebody writes to it, and a terminal
# would become the process's own.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOCTTY", 0)
)

_Path = str | os.PathLike[str]


def open_path(path: _Path, size: int | None, file_io: FileIO) -> PlainFile:
    """
    Open the file at *path*, whole.

    Args:
        size: What its caller has promised.

    Entering raises:
        ValueError: It is a FIFO, a device or a socket.

        OSError: It cannot be opened, or is a directory.

        SourceChanged: It contradicts *size*.
    """
    label = Label(base_name(path))
    return PlainFile(-1, path, 0, size, label, disk_for(file_io))


def open_duplicate(fd: int, start: int, label: Label, file_io: FileIO) -> PlainFile:
    """
    Open the file behind *fd* from *start* on.

    By a descriptor of our own: the caller may close theirs, and its number
    would soon belong to another file.
    """
    return PlainFile(fd, None, start, None, label, disk_for(file_io))


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


@attrs.define(eq=False)
class PlainFile:
    """
    A file, open for as long as the block lasts, and how it looked at first.

    Small files are sent by the thousand: it takes no exit stack and no closures, as
    what they are made of is what the garbage collector goes through.
    """

    _theirs: int
    _path: _Path | None
    _start: int
    _promised: int | None
    _label: Label
    _disk: Disk
    _fd: int = attrs.field(default=-1, init=False)
    _before: os.stat_result = attrs.field(init=False)
    _size: int = attrs.field(default=0, init=False)

    async def __aenter__(self) -> Rereadable:
        try:
            first = await self._disk.run(self._open)
        except BaseException:
            await self._disk.finish(self._close)
            raise
        return Rereadable(
            self._size,
            self._label,
            first,
            self._read,
            self._confirm,
            self._check,
            self._fd,
            self._start,
        )

    async def __aexit__(self, *_: object) -> None:
        await self._disk.finish(self._close)

    async def _read(self, done: int) -> bytes:
        wanted = min(max(self._disk.batch, READ_SIZE), self._size - done)
        return await self._disk.run(pread, self._fd, wanted, self._start + done)

    async def _confirm(self) -> None:
        await self._disk.run(self._check)

    def _open(self) -> bytes:
        path = self._path
        self._fd = os.dup(self._theirs) if path is None else os.open(path, _FLAGS)
        self._before = os.fstat(self._fd)
        if path is not None:
            _check_plain(path, self._before.st_mode)
        self._size = max(self._before.st_size - self._start, 0)
        check_promised(self._promised, self._size)
        return pread(self._fd, FIRST, self._start)

    def _check(self) -> None:
        """
        Raise SourceChanged if the file was changed or replaced.

        Of the descriptor, because it may have been written to; of the path,
        because another file may have come in its place.
        """
        looks = _look(os.fstat(self._fd))
        if looks != _look(self._before) or self._looks_at_path() != looks:
            raise SourceChanged("the file was changed or replaced while it was sent")

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _looks_at_path(self) -> tuple[int, ...]:
        if self._path is None:
            return _look(self._before)
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
