"""Faults on demand."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import attrs

Fault: TypeAlias = int | Literal["reset", "truncate", "stall", "slow"]
"""An errcode, an HTTP status, or what happens to the connection."""

Call: TypeAlias = Literal["upload", "download", "token"]

_CONNECTION = ("reset", "truncate", "stall", "slow")


@attrs.define(eq=False)
class Faults:
    """What to do to the next calls, in the order it was asked for."""

    _queues: dict[Call, list[Fault]] = attrs.field(factory=dict[Call, list[Fault]])

    def add(self, count: int, fault: Fault, on: Call) -> None:
        """Let the next *count* calls of that kind fail."""
        if count < 0:
            raise ValueError("a number of calls is not negative")
        if not _is_fault(fault):
            raise ValueError(f"a fault is an errcode, a status, or of {_CONNECTION}")
        if on not in ("upload", "download", "token"):
            raise ValueError("on is 'upload', 'download' or 'token'")
        self._queues.setdefault(on, []).extend(fault for _ in range(count))

    def take(self, on: Call) -> Fault | None:
        """Return what to do to this call."""
        queue = self._queues.get(on)
        return queue.pop(0) if queue else None


def _is_fault(fault: Fault) -> bool:
    if isinstance(fault, str):
        return fault in _CONNECTION
    # An errcode of 0 is a success, and WeChat has none from 1 to 999.
    return is_status(fault) or fault < 0 or fault >= 1000


def is_status(fault: Fault) -> bool:
    """Tell an HTTP status from an errcode: errcodes are negative or above 1000."""
    return isinstance(fault, int) and 100 <= fault <= 599


@attrs.define
class InFlight:
    """How many media calls run, and how many ran at most."""

    now: int = 0
    peak: int = 0

    @contextmanager
    def one(self) -> Generator[int]:
        """Count a call, headers and body; gives how many there are with it."""
        self.now += 1
        self.peak = max(self.peak, self.now)
        try:
            yield self.now
        finally:
            self.now -= 1
