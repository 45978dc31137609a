"""A live display of a batch on a terminal."""

from __future__ import annotations

from datetime import timedelta

from rich.console import Group, RenderableType
from rich.filesize import decimal
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .. import Progress
from ._lines import named, printable
from ._tally import Tally

# More of them would cost more time than the transfers.
_MOST_ROWS = 15
_NAME_WIDTH = 32
_BAR_WIDTH = 24


def drawn(tally: Tally) -> RenderableType:
    """Draw the transfers on their way, not too many of them, and the total."""
    rows = Table.grid(padding=(0, 1))
    for progress in tally.moving()[:_MOST_ROWS]:
        rows.add_row(*_row(progress))
    return Group(rows, Text(totals(tally), style="bold"))


def totals(tally: Tally) -> str:
    """Return files, failures, bytes, rate and time left in one line."""
    expected = "" if tally.files is None else f"/{tally.files}"
    left = tally.time_left()
    parts = [
        f"{tally.settled}{expected} files",
        f"{tally.failed} failed",
        decimal(tally.moved),
        f"{decimal(int(tally.speed()))}/s",
        "" if left is None else f"{timedelta(seconds=round(left))} left",
    ]
    return " · ".join(filter(None, parts))


def _row(progress: Progress) -> tuple[RenderableType, ...]:
    total = progress.total
    of = "" if total is None else f" of {decimal(total)}"
    return (
        Text(_short(printable(named(progress.item)))),
        ProgressBar(total, progress.done, width=_BAR_WIDTH, pulse=total is None),
        Text(decimal(progress.done) + of),
    )


def _short(name: str) -> str:
    """Keep the end of a long name: paths differ there."""
    return name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"
