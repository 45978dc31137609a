"""A cancellation that is delivered once, and lets the cancelled clean up."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

import anyio

T = TypeVar("T")


class LastWords(Generic[T]):
    """
    Awaits *work*; from its cancellation on, *guard* holds off any further one.

    Cancelled code of a user's, which may know nothing of scopes, would else be
    cancelled again at each await of its ``finally``. *guard* is a scope around it
    all that is not shielded yet; it is, afterwards, if there was a cancellation.
    """

    def __init__(self, work: Awaitable[T], guard: anyio.CancelScope) -> None:
        self._work = work
        self._guard = guard

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._work.__await__()
        resume: Callable[[Any], Any] = steps.send
        value: Any = None
        while True:
            try:
                trap = resume(value)
            except StopIteration as end:
                result: T = end.value
                return result
            try:
                value = yield trap
                resume = steps.send
                thrown = getattr(value, "error", None)  # trio hands it in
            except BaseException as error:  # noqa: BLE001 it is thrown in again
                value = thrown = error
                resume = steps.throw
            self._look(thrown)

    def _look(self, thrown: object) -> None:
        if not isinstance(thrown, anyio.get_cancelled_exc_class()):
            return
        if anyio.current_effective_deadline() == -math.inf:
            self._guard.shield = True
