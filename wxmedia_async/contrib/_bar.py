"""How far a batch is, on standard error."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TypeAlias

Show: TypeAlias = Callable[[Counter[str]], None]

# Between two lines, in seconds.
_PATIENCE = 2.0


@contextmanager
def progress_bar(total: int | None = None) -> Generator[Show]:
    """
    Give the `progress` of `submit`: a bar on a terminal, with rich, else lines.

    Args:
        total: How many items there are, where that is known.
    """
    if not sys.stderr.isatty() or find_spec("rich") is None:
        yield _lines(total)
        return
    import rich.progress
    from rich.console import Console

    columns = rich.progress.Progress.get_default_columns()
    told = rich.progress.TextColumn("{task.completed:.0f} items, {task.fields[failed]}")
    with rich.progress.Progress(*columns, told, console=Console(stderr=True)) as bar:
        row = bar.add_task("archive", total=total, failed=_failed(Counter()))

        def show(counts: Counter[str]) -> None:
            bar.update(row, completed=counts.total(), failed=_failed(counts))

        yield show


def _lines(total: int | None) -> Show:
    last = -_PATIENCE
    of = "" if total is None else f" of {total}"

    def show(counts: Counter[str]) -> None:
        nonlocal last
        if counts.total() != total and time.monotonic() - last < _PATIENCE:
            return
        last = time.monotonic()
        sys.stderr.write(f"{counts.total()}{of} items, {_failed(counts)}\n")

    return show


def _failed(counts: Counter[str]) -> str:
    return f"{counts['failed']} failed"
