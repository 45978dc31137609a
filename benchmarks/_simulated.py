"""A simulated service in a process of its own, so that it costs the others nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LARGEST = 1 << 40


@contextmanager
def service(*options: str) -> Iterator[str]:
    """Run ``wxmedia simulate`` and give its base URL."""
    command = [sys.executable, "-m", "wxmedia_async.cli", "simulate", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()
