"""How a finished file appears under its name: all at once, and over nothing."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TypeAlias

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
    try:
        os.link(part, final)
    except FileExistsError:
        # Of the two names in its text, nobody has heard of the first.
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), final) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _claim_and_replace(part, final)
    else:
        # The file is there; a second name that cannot be removed is no failure.
        with suppress(OSError):
            os.unlink(part)


def _claim_and_replace(part: StrPath, final: StrPath) -> None:
    """
    Publish without links: claim the name with an empty file, and replace that.

    Nobody who asks first can claim it too. Between the two steps others see an
    empty file, which a kill would leave; and a file that takes the place of the
    empty one in that moment, which only somebody who overwrites can do, is lost.
    """
    claim = _claim(final)
    try:
        os.replace(part, final)
    except BaseException:
        _give_up(final, claim)
        raise


def _claim(final: StrPath) -> os.stat_result:
    fd = os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _give_up(final: StrPath, claim: os.stat_result) -> None:
    with suppress(OSError):
        if os.path.samestat(os.lstat(final), claim):
            os.unlink(final)
