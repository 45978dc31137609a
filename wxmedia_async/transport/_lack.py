"""What this machine lacks, which is no fault of anybody on the network."""

from __future__ import annotations

import errno
import ssl
from collections.abc import Iterator
from typing import cast

_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def is_lack(error: BaseException) -> bool:
    """Whether *error* says that descriptors, buffers or memory have run out."""
    # ssl's errors have numbers of their own.
    if not isinstance(error, OSError) or isinstance(error, ssl.SSLError):
        return False
    return error.errno in _LACKS


def lack_behind(error: BaseException) -> OSError | None:
    """Return the first of *error* and its causes that is such a lack, if one is."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and is_lack(cause):
            return cause
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        if isinstance(error, BaseExceptionGroup):
            for one in cast("BaseExceptionGroup[BaseException]", error).exceptions:
                yield from _causes(one)
        error = error.__cause__ or error.__context__
