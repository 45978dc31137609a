from __future__ import annotations

import attrs

from .._errors import Phase, TransferTimeout

WINDOW = 30.0
"""Seconds over which the speed of a body is judged."""

SLOWEST = 1024
"""Bytes per second below which a body is given up."""


@attrs.define(eq=False)
class Speed:
    """
    Ends a body that drips.

    Each read or write of such a body succeeds in time, so timeouts never end
    it. Only the time that we wait for WeChat counts, not our own work.
    """

    _phase: Phase
    _waited: float = attrs.field(default=0.0, init=False)
    _moved: int = attrs.field(default=0, init=False)

    def moved(self, size: int, waited: float) -> None:
        """
        Take note that *size* bytes moved within *waited* seconds.

        Raises:
            TransferTimeout: When too little moved over the last window.
        """
        self._moved += size
        self._waited += waited
        if self._waited < WINDOW:
            return
        if self._moved < SLOWEST * self._waited:
            raise TransferTimeout(
                f"only {self._moved} bytes moved in {self._waited:.0f} seconds",
                phase=self._phase,
            )
        self._waited, self._moved = 0.0, 0


def within_window(timeout: float | None) -> float:
    """A single read or write that outlasts the window is too slow as well."""
    return WINDOW if timeout is None else min(timeout, WINDOW)
