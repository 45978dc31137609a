"""A rename that replaces nothing, where the system has one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import cast

# <linux/fs.h>, <fcntl.h>
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100

_UNKNOWN = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


def rename_exclusively(
    source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> bool:
    """
    Rename in one step; False where the system or the disk cannot.

    Raises:
        FileExistsError: There is something at *target*.

        OSError: The rename failed otherwise.
    """
    try:
        import ctypes

        library = ctypes.CDLL(None, use_errno=True)
        rename = cast("Callable[..., int]", library.renameat2)
    except (ImportError, OSError, TypeError, AttributeError):
        return False
    names = os.fsencode(source), os.fsencode(target)
    if rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in _UNKNOWN:
        return False
    raise OSError(code, os.strerror(code), os.fspath(source), None, os.fspath(target))
