"""Where a download goes: a folder or a file, told apart before any request."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import cast

import attrs


@attrs.frozen
class Target:
    """Where a download goes: into a folder or to a path, never both."""

    folder: str | None
    path: str | None


def resolve_target(to: str | os.PathLike[str], *, overwrite: bool) -> Target:
    """
    Tell a folder from a file, and refuse what cannot work before any request.

    A folder is one that exists, or a str that ends in a separator.

    Raises:
        FileExistsError: There is a file, and no *overwrite*.

        FileNotFoundError: The file's folder does not exist.

        NotADirectoryError: The folder is something else.

        ValueError: It is empty, holds a NUL, or is a device, a FIFO or a
            socket, which cannot be overwritten as a whole.
    """
    if not os.fspath(to) or "\0" in os.fspath(to):
        raise ValueError("the path must name a file or a folder")
    path = Path(to)
    if path.is_dir():
        return Target(folder=str(path), path=None)
    if _names_folder(to):
        _check_can_be_folder(path)
        return Target(folder=str(path), path=None)
    _check_is_folder(path.parent)
    if os.path.lexists(path):
        _check_can_be_replaced(path, overwrite=overwrite)
    return Target(folder=None, path=str(path))


def batch_folder(to: object) -> Target:
    """
    Take a path for a folder, as in a batch.

    Raises:
        TypeError: It is no path.

        ValueError: It is empty, or holds a NUL.
    """
    path = os.fspath(cast("str", to)) if isinstance(to, os.PathLike) else to
    if not isinstance(path, str):
        raise TypeError("the path of a folder is a str, or gives one")
    if not path or "\0" in path:
        raise ValueError("not the path of a folder")
    return Target(folder=str(Path(path)), path=None)


def check_folder(path: str) -> None:
    """
    Make sure that files can be written into a folder, which may have to be made.

    Raises:
        NotADirectoryError: It, or what is to hold it, is something else.

        PermissionError: It, or what is to hold it, may not be written to.

        OSError: It cannot be looked at.
    """
    above = os.path.abspath(path)
    while _is_missing(above):
        above = os.path.dirname(above)
    if not os.path.isdir(above):
        raise _os_error(errno.ENOTDIR, path)
    if not os.access(above, os.W_OK | os.X_OK):
        raise _os_error(errno.EACCES, path)


def child(folder: str, name: str) -> str:
    """
    Return the path of *name* in *folder*; never one outside of it.

    Raises:
        ValueError: *name* is not a single component.
    """
    if name in ("", ".", "..") or set(name) & {"/", "\\", "\0"}:
        raise ValueError(f"not the plain name of a file: {name!r}")
    return os.path.join(folder, name)


def check_free(path: str, *, overwrite: bool) -> None:
    """
    Make sure that nothing is at *path*, where nothing may be overwritten.

    Raises:
        FileExistsError: Publishing would find out as well, but only after all
            the bytes.
    """
    if not overwrite and os.path.lexists(path):
        raise _os_error(errno.EEXIST, path)


def _names_folder(to: str | os.PathLike[str]) -> bool:
    separators = tuple(filter(None, (os.sep, os.altsep)))
    return isinstance(to, str) and to.endswith(separators)


def _is_missing(path: str) -> bool:
    try:
        os.lstat(path)
    except FileNotFoundError:
        return True
    return False


def _check_can_be_folder(path: Path) -> None:
    if os.path.lexists(path):
        raise _os_error(errno.ENOTDIR, path)


def _check_is_folder(path: Path) -> None:
    if not path.is_dir():
        code = errno.ENOTDIR if os.path.lexists(path) else errno.ENOENT
        raise _os_error(code, path)


def _check_can_be_replaced(path: Path, *, overwrite: bool) -> None:
    if not overwrite:
        raise _os_error(errno.EEXIST, path)
    mode = os.lstat(path).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise ValueError("overwrite=True replaces plain files only")


def _os_error(code: int, path: str | Path) -> OSError:
    """OSError gives the right subclass for the code."""
    return OSError(code, os.strerror(code), str(path))
