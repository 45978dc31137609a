"""A file while it is written: without a name, or with one that nobody asks for."""

from __future__ import annotations

import os
import re
import stat
import time
from contextlib import suppress
from typing import Protocol, TypeAlias

import attrs

from . import publish

_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)

# Of the 255 bytes of a name that most filesystems take, and the 143 of some.
_LONGEST_HINT = 100

_PART = re.compile(r"\..*\.[0-9a-f]{16}\.part", re.DOTALL)
_DAY = 86400.0

# Folders of a million files have their price, and old parts can wait.
_PATIENCE = 0.25

_COPIED = 1024 * 1024


Identity: TypeAlias = tuple[int, int, int]
"""A file's device, inode, and time of its last change in nanoseconds."""


def identity_of(status: os.stat_result) -> Identity:
    """Return what tells a file from others that had its name, or have it."""
    return status.st_dev, status.st_ino, status.st_mtime_ns


def is_same(one: Identity, other: Identity) -> bool:
    """
    Tell whether two files of one length are the same one, or one the copy of it.

    Some disks give a file another inode when they are mounted again, and where a
    file can have no name it is published by a copy that is as old.
    """
    return one[:2] == other[:2] or one[2] == other[2]


class Draft(Protocol):
    """
    A file that is not published yet.

    Attributes:
        fd: The descriptor that it is written to; -1 when closed.
    """

    fd: int

    def add(self, final: str) -> None:
        """Let it appear where there is nothing yet, the last thing done to it."""
        ...

    def replace(self, final: str) -> None:
        """Let it take the place of what is there, the last thing done to it."""
        ...

    def discard(self) -> None:
        """Close it, and leave no trace of it unless it was published."""
        ...


def open_draft(final: str) -> Draft:
    """
    Open a file for *final*'s content, in the same folder.

    Raises:
        OSError: It cannot be made.
    """
    unnamed = getattr(os, "O_TMPFILE", None)
    if unnamed is not None and hasattr(os, "link"):
        # What stands in the way of the other kind as well, that one tells.
        with suppress(OSError):
            folder = os.path.dirname(final) or os.curdir
            return _Unnamed(os.open(folder, unnamed | os.O_RDWR, 0o666))
    return _named(final)


def remove_old_parts(folder: str) -> None:
    """Remove what killed processes left there, a day ago or earlier."""
    enough = time.monotonic() + _PATIENCE
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name):
                _remove_if_old(entry)
            if time.monotonic() > enough:
                return


def _remove_if_old(entry: os.DirEntry[str]) -> None:
    with suppress(OSError):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and time.time() - status.st_mtime > _DAY:
            os.unlink(entry.path)


@attrs.define(eq=False)
class _Unnamed:
    """It ends with the process that writes it, however that ends."""

    fd: int

    def add(self, final: str) -> None:
        self._flush()
        if publish.link(self._entry(), final, fd=self.fd):
            self.discard()
        else:
            _hand_on(_copied(self, final), final, overwrite=False)

    def replace(self, final: str) -> None:
        self._flush()
        # Nearly always there is nothing to be replaced.
        with suppress(FileExistsError):
            if publish.link(self._entry(), final, fd=self.fd):
                self.discard()
                return
        publish.keep_mode(self.fd, final)
        _hand_on(self._with_name(final), final, overwrite=True)

    def discard(self) -> None:
        # Whatever stands in the way, why the file is discarded matters more.
        fd, self.fd = self.fd, -1
        if fd >= 0:
            with suppress(OSError):
                os.close(fd)

    def _flush(self) -> None:
        """Network disks report a full disk only when a file is closed."""
        os.close(os.dup(self.fd))

    def _entry(self) -> str:
        return f"/proc/self/fd/{self.fd}"

    def _with_name(self, final: str) -> _Named:
        """A link replaces nothing: it takes a name to be renamed."""
        path = _part_path(final)
        if not publish.link(self._entry(), path, fd=self.fd):
            return _copied(self, final)
        self.discard()
        return _Named(path, -1)


@attrs.define(eq=False)
class _Named:
    path: str
    fd: int
    _is_there: bool = attrs.field(default=True, init=False)

    def add(self, final: str) -> None:
        self._close()
        publish.add(self.path, final)
        self._is_there = False

    def replace(self, final: str) -> None:
        if self.fd >= 0:
            publish.keep_mode(self.fd, final)
        self._close()
        publish.replace(self.path, final)
        self._is_there = False

    def discard(self) -> None:
        # Whatever stands in the way, why the file is discarded matters more.
        with suppress(OSError):
            self._close()
        if self._is_there:
            with suppress(OSError):
                os.unlink(self.path)

    def _close(self) -> None:
        """Network disks report a full disk only then."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def _named(final: str) -> _Named:
    path = _part_path(final)
    return _Named(path, os.open(path, _NEW, 0o666))


def _part_path(final: str) -> str:
    """Say in the name what it was to become, for people who find it."""
    folder, name = os.path.split(final)
    hint = os.fsencode(name)[:_LONGEST_HINT].decode(errors="ignore")
    return os.path.join(folder, f".{hint}.{os.urandom(8).hex()}.part")


def _copied(draft: Draft, final: str) -> _Named:
    """Give a file that can have no name its content's copy with one."""
    copy = _named(final)
    try:
        os.lseek(draft.fd, 0, os.SEEK_SET)
        while chunk := os.read(draft.fd, _COPIED):
            write_all(copy.fd, chunk)
        status = os.fstat(draft.fd)
        os.fchmod(copy.fd, status.st_mode & 0o777)
        os.utime(copy.fd, ns=(status.st_atime_ns, status.st_mtime_ns))
    except BaseException:
        copy.discard()
        raise
    draft.discard()
    return copy


def _hand_on(draft: Draft, final: str, *, overwrite: bool) -> None:
    try:
        (draft.replace if overwrite else draft.add)(final)
    finally:
        draft.discard()


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """A disk that is nearly full takes a part, and refuses the next."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])
