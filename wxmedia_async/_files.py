"""A file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, TypeVar

import anyio
import anyio.to_thread
import attrs

T = TypeVar("T")

FileIO: TypeAlias = Literal["inline", "thread"]
"""Where disk calls run: on the event loop, or in threads for slow disks."""

# A thread costs more than writing less than this.
_BATCH = 1024 * 1024

# What a filesystem without hard links answers.
_NO_LINKS = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)


@attrs.frozen
class Target:
    """Where a download goes: into a folder or to a path, never both."""

    folder: Path | None
    path: Path | None


def resolve_target(to: str | os.PathLike[str], *, overwrite: bool) -> Target:
    """
    Tell a folder from a file, and refuse what cannot work before any request.

    Raises:
        FileExistsError: There is a file, and no *overwrite*.

        FileNotFoundError: The file's folder does not exist.
    """
    path = Path(to)
    if path.is_dir() or _names_folder(to):
        return Target(folder=path, path=None)
    if not path.parent.is_dir():
        raise _os_error(errno.ENOENT, path.parent)
    if not overwrite and os.path.lexists(path):
        raise _os_error(errno.EEXIST, path)
    return Target(folder=None, path=path)


def _names_folder(to: str | os.PathLike[str]) -> bool:
    separators = tuple(filter(None, (os.sep, os.altsep)))
    return isinstance(to, str) and to.endswith(separators)


def make_folder(path: Path) -> None:
    """Make the folder that downloads go into, and those above it."""
    path.mkdir(parents=True, exist_ok=True)


def child(folder: Path, name: str) -> Path:
    """Return the path of *name* in *folder*; never one outside of it."""
    if name in ("", ".", "..") or set(name) & {"/", "\\", "\0"}:
        raise ValueError(f"not the plain name of a file: {name!r}")
    return folder / name


class _Disk(Protocol):
    """Runs a disk call where the user wants it."""

    batch: int

    async def run(self, function: Callable[..., T], *args: object) -> T: ...


class _Inline:
    batch = 0

    async def run(self, function: Callable[..., T], *args: object) -> T:
        return function(*args)


class _Thread:
    batch = _BATCH

    async def run(self, function: Callable[..., T], *args: object) -> T:
        # Not abandoned when cancelled: the descriptor is closed next.
        return await anyio.to_thread.run_sync(function, *args)


_DISKS: dict[FileIO, _Disk] = {"inline": _Inline(), "thread": _Thread()}


@asynccontextmanager
async def open_part(final: Path, *, file_io: FileIO) -> AsyncGenerator[Part]:
    """
    Open a temporary file beside *final*, removed unless it is published.

    Nothing is synced to the disk: safe against a crash of the process, not of
    the power.
    """
    disk = _DISKS[file_io]
    path = final.with_name(f".{secrets.token_hex(8)}.part")
    part = Part(path, final, disk)
    try:
        await part.open()
        yield part
    finally:
        with anyio.CancelScope(shield=True):
            await disk.run(part.discard)


@attrs.define(eq=False)
class Part:
    """A file that is not yet there for others."""

    path: Path
    _final: Path
    _disk: _Disk
    fd: int = attrs.field(default=-1, init=False)
    _pending: bytearray = attrs.field(factory=bytearray, init=False)

    async def open(self) -> None:
        """Make the file; nobody else has its name."""
        await self._disk.run(self._open)

    async def write(self, chunk: bytes) -> None:
        """Append *chunk*."""
        if not self._disk.batch:
            _write_all(self.fd, chunk)
            return
        self._pending += chunk
        if len(self._pending) >= self._disk.batch:
            await self._flush()

    async def write_at(self, offset: int, chunk: bytes) -> None:
        """Write *chunk* at its place; not to be mixed with `write()`."""
        await self._disk.run(_write_all_at, self.fd, chunk, offset)

    async def publish(self, *, overwrite: bool) -> None:
        """
        Let the file appear under its final name.

        Raises:
            FileExistsError: There is one by now, and no *overwrite*.
        """
        await self._flush()
        await self._disk.run(self._close)
        await self._disk.run(_replace if overwrite else _link, self.path, self._final)

    def discard(self) -> None:
        """Remove what was not published."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(self.path)

    def _open(self) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
        self.fd = os.open(self.path, flags, 0o666)

    async def _flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        if pending:
            await self._disk.run(_write_all, self.fd, pending)

    def _close(self) -> None:
        # Network disks report a full disk only here.
        fd, self.fd = self.fd, -1
        os.close(fd)


def _write_all(fd: int, data: bytes | bytearray) -> None:
    """A disk that is nearly full takes a part, and refuses the next."""
    written = os.write(fd, data)
    while written < len(data):
        written += os.write(fd, memoryview(data)[written:])


def _write_all_at(fd: int, data: bytes, offset: int) -> None:
    written = 0
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)


def _replace(part: Path, final: Path) -> None:
    os.replace(part, final)


def _link(part: Path, final: Path) -> None:
    """A link never replaces, so of two writers one gets FileExistsError."""
    try:
        os.link(part, final)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _claim_and_replace(part, final)


def _claim_and_replace(part: Path, final: Path) -> None:
    """
    Publish without links: claim the name with an empty file, and replace that.

    A kill between the two steps leaves the empty file; no step replaces a file
    of somebody else's.
    """
    os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    try:
        os.replace(part, final)
    except BaseException:
        os.unlink(final)
        raise


def _os_error(code: int, path: Path) -> OSError:
    """OSError gives the right subclass for the code."""
    return OSError(code, os.strerror(code), str(path))
