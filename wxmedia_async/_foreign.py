"""
Code that is not ours: all that users plug in runs in one envelope.

Sources, destinations, token providers, stores, caches, limiters and items may
raise anything: a MediaError of another client, httpx's errors, a cancellation of
something of their own. None of it says anything about our transfer. So it is
sealed where it comes out of their code, no clause of ours reads it on its way, and
it is unsealed where it reaches the caller, as it was raised.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, TypeVar

import anyio
import attrs

News = TypeVar("News")

logger = logging.getLogger("wxmedia_async")

# What ends a program, or a coroutine, is nobody's failure.
_ENDS = (KeyboardInterrupt, SystemExit, GeneratorExit)


class Raised(Exception):
    """
    What code of a user's raised, sealed.

    Attributes:
        error: As it was raised, with the frames of that code alone: those above
            are ours, and hold tokens.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"{type(error).__name__} in code that is not ours")
        self.error = error


class _Sealed:
    """Around a call of their code, awaited or not; what *passing* are is read by us."""

    def __init__(self, *passing: type[BaseException]) -> None:
        self._passing = (Raised, *_ENDS, *passing)

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, self._passing) or _is_ours(error):
            return
        error.__traceback__ = traceback and traceback.tb_next
        raise Raised(error) from None


class _Unsealed:
    """Around all that ends at the caller."""

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, Raised):
            _raise_as_it_was(error.error)


sealed = _Sealed()
"""
``with sealed:`` around each call of their code; it raises `Raised`.

An end of iteration would be sealed as well: give `next()` and `anext()` a default.
"""

sealed_but = _Sealed
"""``sealed_but(X)``: the same, where an X is no failure of their code."""

unsealed = _Unsealed()
"""``with unsealed:`` in each public call; it raises what `Raised` holds."""


def tell(callback: Callable[[News], object], news: News, name: str) -> None:
    """Call a callback that only watches: its failure is logged, and harms nothing."""
    try:
        with sealed:
            callback(news)
    except Raised as raised:
        logger.error("%s failed; the transfer goes on", name, exc_info=raised.error)


@attrs.define(eq=False)
class Complaints:
    """Of helpers that failed: each kind is logged once for a client."""

    _told: set[str] = attrs.field(factory=set[str], init=False)

    def note(self, helper: str, failure: BaseException) -> None:
        """Log that *helper* failed and is passed over; its words may hold secrets."""
        if helper not in self._told:
            self._told.add(helper)
            logger.warning("%s failed and is passed over: %s", helper, _said(failure))


def _said(failure: BaseException) -> str:
    error = failure.error if isinstance(failure, Raised) else failure
    name = type(error).__name__
    return f"{name}, {error.strerror}" if isinstance(error, OSError) else name


def _raise_as_it_was(error: BaseException) -> NoReturn:
    context = error.__context__
    try:
        raise error
    finally:
        # Python would hang the envelope on it, and with that all of our frames.
        error.__context__ = context


def _is_ours(error: BaseException) -> bool:
    """Whether it is this task that is cancelled, and not something of theirs."""
    if isinstance(error, Exception):
        return False
    if not isinstance(error, anyio.get_cancelled_exc_class()):
        return False
    return anyio.current_effective_deadline() == -math.inf or _is_cancelled_natively()


def _is_cancelled_natively() -> bool:
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0
