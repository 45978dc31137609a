"""What a batch has done so far, and how fast."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

import attrs

from .. import Progress

_WINDOW = 5.0


class Settled(Protocol):
    """What of an `Outcome` is counted."""

    @property
    def item(self) -> object: ...
    @property
    def ok(self) -> bool: ...
    @property
    def skipped(self) -> bool: ...
    @property
    def attempts(self) -> int: ...


@attrs.define(eq=False)
class Tally:
    """
    Counts of a batch while it runs.

    It is written by the batch and read by whatever draws it, from another
    thread even, so each reader copies in one step what it then looks at.

    Attributes:
        files: How many there will be; None while that is not known.

        done: Files that have a result, skipped ones too.

        failed: Files that have none.

        skipped: Files that the manifest knew.
    """

    files: int | None
    _clock: Callable[[], float] = time.monotonic
    done: int = attrs.field(default=0, init=False)
    failed: int = attrs.field(default=0, init=False)
    skipped: int = attrs.field(default=0, init=False)
    retries: int = attrs.field(default=0, init=False)
    _finished: int = attrs.field(default=0, init=False)
    _moving: dict[int, Progress] = attrs.field(factory=dict[int, Progress], init=False)
    _began: float = attrs.field(init=False)
    _seen: deque[tuple[float, int]] = attrs.field(
        factory=deque[tuple[float, int]], init=False
    )

    def __attrs_post_init__(self) -> None:
        self._began = self._clock()

    def note(self, progress: Progress) -> None:
        """Take note of how far one transfer is."""
        self._moving[id(progress.item)] = progress

    def count(self, outcome: Settled) -> None:
        """Count one file that is settled."""
        last = self._moving.pop(id(outcome.item), None)
        self.retries += max(0, outcome.attempts - 1)
        self.skipped += outcome.skipped
        if outcome.ok:
            self.done += 1
            self._finished += 0 if last is None else last.done
        else:
            self.failed += 1

    @property
    def settled(self) -> int:
        """Files that have come to an end, a good one or not."""
        return self.done + self.failed

    @property
    def moved(self) -> int:
        """Bytes of the files that are done and of those on their way."""
        return self._finished + sum(progress.done for progress in self.moving())

    @property
    def elapsed(self) -> float:
        """Seconds since the batch began."""
        return self._clock() - self._began

    def moving(self) -> list[Progress]:
        """Return the transfers that are on their way, the oldest first."""
        return list(self._moving.values())

    def speed(self) -> float:
        """Return bytes per second, over the last few seconds in which it is asked."""
        now, moved = self._clock(), self.moved
        self._seen.append((now, moved))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        since, before = self._seen[0]
        return max(0.0, (moved - before) / (now - since)) if now > since else 0.0

    def time_left(self) -> float | None:
        """
        Return seconds until the end, or None while nobody can tell.

        By files, since the sizes of downloads are known only when they begin.
        """
        if self.files is None:
            return None
        parts = sum(_part(progress) for progress in self.moving())
        worked = self.settled - self.skipped + parts
        if worked <= 0:
            return None
        return max(0.0, self.files - self.settled - parts) * self.elapsed / worked


def _part(progress: Progress) -> float:
    return progress.done / progress.total if progress.total else 0.0
