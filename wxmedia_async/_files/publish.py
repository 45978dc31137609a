"""How a finished file appears under its name: all at once, and over nothing."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TypeAlias

from .exclusive import rename_exclusively

StrPath: TypeAlias = "str | os.PathLike[str]"

# What filesystems without hard links, or with no more of them, answer.
_NO_LINKS = frozenset(
    {
        errno.EACCES,
        errno.EINVAL,
        errno.EMLINK,
        errno.ENOSYS,
        errno.ENOTSUP,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EXDEV,
    }
)

# Looks at a folder's lock, a thousandth of a second apart.
_LOOKS = 100


def keep_mode(fd: int, final: StrPath) -> None:
    """Make the file that will take *final*'s place as private as that is."""
    # Not on every disk have files modes.
    with suppress(OSError):
        status = os.lstat(final)
        if stat.S_ISREG(status.st_mode) and hasattr(os, "fchmod"):
            os.fchmod(fd, status.st_mode & 0o777)


def replace(part: StrPath, final: StrPath) -> None:
    """Let *part* take the place of whatever file *final* is, a link included."""
    os.replace(part, final)


def add(part: StrPath, final: StrPath) -> None:
    """
    Let *part* appear as *final* where there is nothing yet.

    A link never replaces, so of any number of writers one wins.

    Raises:
        FileExistsError: There is something; *part* stays.
    """
    if not link(part, final):
        _rename(part, final)
        return
    # The file is there; a second name that cannot be removed is no failure.
    with suppress(OSError):
        os.unlink(part)


def link(part: StrPath, final: StrPath, *, fd: int | None = None) -> bool:
    """
    Give a file one more name; False where files have but one, or none.

    Args:
        part: A name that it has, or its entry in ``/proc/self/fd``.

        fd: Its descriptor, where *part* is that entry, which is followed.

    Raises:
        FileExistsError: There is something at *final*.
    """
    if not hasattr(os, "link"):  # as in Termux
        return False
    try:
        if fd is None:
            os.link(part, final)
        else:
            # Only with a descriptor of a folder, which an absolute name does
            # not need, does Python follow it.
            os.link(part, final, src_dir_fd=fd, follow_symlinks=True)
    except FileExistsError:
        # Of the two names in its text, nobody has heard of the first.
        raise _taken(final) from None
    except OSError as error:
        if error.errno in _NO_LINKS or (fd is not None and error.errno == errno.ENOENT):
            return False
        raise
    return True


def _rename(part: StrPath, final: StrPath) -> None:
    """
    Publish without links, in one step: a kill leaves the part, or the file.

    Where no rename leaves alone what is there, we look first, and keep all of
    our own writers out meanwhile. What another program puts there in that moment
    would be lost; to claim the name with an empty file would lose nothing, but
    a kill would leave that.
    """
    try:
        if rename_exclusively(part, final):
            return
    except FileExistsError:
        raise _taken(final) from None
    with _locked_folder(os.path.dirname(final)):
        if os.path.lexists(final):
            raise _taken(final)
        os.rename(part, final)  # on Windows it leaves alone what is there


@contextmanager
def _locked_folder(path: str) -> Generator[None]:
    """Keep other writers of this library out, where folders can be locked."""
    try:
        import fcntl

        fd = os.open(path or os.curdir, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        _lock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, operation: int) -> None:
    """Go on without after a while: another program may lock it for ever."""
    import fcntl

    for _ in range(_LOOKS):
        try:
            fcntl.flock(fd, operation)
        except BlockingIOError:
            time.sleep(0.001)
        except OSError:
            return
        else:
            return


def _taken(final: StrPath) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final)
