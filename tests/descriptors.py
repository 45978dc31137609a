"""How many files this process has open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def none_left_open() -> Iterator[None]:
    """Fail if the block leaves more or fewer descriptors open than it found."""
    before = _count()
    try:
        yield
    finally:
        assert _count() == before


def _count() -> int:
    # macOS has /dev/fd; both list the descriptor that they are read by.
    folder = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"
    return len(os.listdir(folder))
