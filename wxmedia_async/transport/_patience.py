"""How long to wait, where several waits share one timeout."""

from __future__ import annotations

import math
import time


def ends_after(timeout: float | None) -> float:
    """Return when *timeout* seconds from now have passed; None: never."""
    return math.inf if timeout is None else time.monotonic() + timeout


def left_until(ends: float) -> float | None:
    """Return the seconds that are left until then, or None for never."""
    return None if ends == math.inf else max(0.0, ends - time.monotonic())
