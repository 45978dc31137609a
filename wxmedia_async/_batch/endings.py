"""How transfers end, and what that means for the item and for the batch."""

from __future__ import annotations

import asyncio
import copy
import errno
import math
from collections.abc import Iterator
from typing import NoReturn, cast

import anyio

from .._errors import (
    CredentialsError,
    DestinationUnusable,
    MediaError,
    PermissionDenied,
    QuotaExceeded,
    TokenRejected,
)
from .._foreign import Raised

# What ends a program, or a coroutine, is no failure of an item's.
PROGRAM_ENDS = (KeyboardInterrupt, SystemExit)
_ENDS = (*PROGRAM_ENDS, GeneratorExit)

_DOOMS = (CredentialsError, PermissionDenied, QuotaExceeded, TokenRejected)
_NO_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


def failure_of(error: BaseException) -> BaseException:
    """Return what an item failed with; raise what is no failure of an item's."""
    if isinstance(error, Raised):
        return error.error
    if isinstance(error, Exception):
        return error
    # Nobody cancels a worker but this batch, and that by a scope.
    if isinstance(error, _ENDS) or anyio.current_effective_deadline() == -math.inf:
        raise error
    # All else that users' code lets out is sealed, as far as we know.
    if isinstance(error, asyncio.CancelledError):  # pragma: no branch
        _take_back_cancellation()
    return error


def _take_back_cancellation() -> None:
    """Go on after somebody's Task.cancel() of a task that is not theirs."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def raise_plainly(error: BaseException | None) -> NoReturn:
    assert error is not None
    if isinstance(error, (StopAsyncIteration, StopIteration)):
        # It would be taken for the end of the outcomes.
        failure = RuntimeError(f"an item or its transfer raised {error!r}")
        raise failure from error
    raise error


def told_apart(error: BaseException) -> BaseException:
    """Return what a task group has wrapped, and of several what ends the program."""
    found = list(_leaves(error))
    return next((one for one in found if isinstance(one, PROGRAM_ENDS)), found[0])


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if not isinstance(error, BaseExceptionGroup):
        yield error
        return
    for one in cast("BaseExceptionGroup[BaseException]", error).exceptions:
        yield from _leaves(one)


def doom_in(error: Exception) -> Exception | None:
    """Return what every further item would fail with as well, if so."""
    if isinstance(error, Raised):
        raised = error.error
        return raised if isinstance(raised, DestinationUnusable) else None
    if isinstance(error, OSError):
        return error if error.errno in _NO_DISK else None
    return error if isinstance(error, _DOOMS) else None


def anew(error: Exception) -> Exception:
    """The same failure for an item that was not tried."""
    if not isinstance(error, (MediaError, OSError)):
        return error  # one of theirs, which may be impossible to copy
    again = copy.copy(error)
    if isinstance(again, MediaError):
        again.attempts = 0
    return again
