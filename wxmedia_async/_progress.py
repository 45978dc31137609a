"""How far a transfer is, told to a callback that may fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from ._foreign import tell
from ._models import Progress

ProgressCallback: TypeAlias = Callable[[Progress], object]


@attrs.define(eq=False)
class Reporter:
    """
    Tells a callback how far a transfer is, and survives its errors.

    Attributes:
        attempts: The tries so far.
    """

    _callback: ProgressCallback | None
    _item: object = attrs.field(repr=False)
    attempts: int = attrs.field(default=0, init=False)
    _last: tuple[int, int | None] | None = attrs.field(default=None, init=False)

    def report(self, done: int, total: int | None) -> None:
        """Tell that *done* of *total* bytes have moved, unless that was told."""
        if self._callback is None or self._is_no_news(done, total):
            return
        self._last = (done, total)
        progress = Progress(self._item, done, total)
        tell(self._callback, progress, "the progress callback")

    def _is_no_news(self, done: int, total: int | None) -> bool:
        # A part that is asked for again does not count twice.
        return self._last is not None and (
            self._last == (done, total) or 0 < done < self._last[0]
        )

    def begin(self, total: int | None) -> None:
        """Count a try, and go back to 0 where an earlier one had moved bytes."""
        self.attempts += 1
        if self._last is not None and self._last[0] > 0:
            self.report(0, total)
