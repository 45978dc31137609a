"""Results as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from _clients import BASELINE, OURS
from _contest import Failure, Result, Score
from _versions import spoken
from rich.console import Console
from rich.table import Table

MISSING = "-"
WIDTH = 100  # where the output is no terminal


@attrs.frozen
class Column:
    """One fact of a score; the scores of all are there to compare it with."""

    title: str
    cell: Callable[[Score, Mapping[str, Score]], str]


def ratio(over: float | None, under: float | None) -> str:
    return MISSING if not over or not under else f"{over / under:.2f}"


def rate(scores: Mapping[str, Score], label: str) -> float | None:
    return scores[label].rate if label in scores else None


def known(form: str, fact: float | None) -> str:
    return MISSING if fact is None else form.format(fact)


RATE = Column("files/s", lambda score, _: f"{score.rate:,.0f}")
MEGABYTES = Column(
    "MB/s", lambda score, _: f"{score.rate * score.entry.job.size / 1e6:,.0f}"
)
RATIO = Column(
    f"to {BASELINE}", lambda one, all_: ratio(one.rate, rate(all_, BASELINE))
)
OURS_TO_IT = Column("ours / it", lambda one, all_: ratio(rate(all_, OURS), one.rate))
CPU = Column("CPU s/GB", lambda score, _: f"{score.cpu:.2f}")
CPU_EACH = Column("CPU µs/file", lambda score, _: f"{score.cpu_each:,.0f}")
BUSY = Column("server busy", lambda score, _: f"{score.busy:.0%}")
RESUMED = Column("resumed", lambda score, _: known("{:.0%}", score.resumed))
LATE_P50 = Column("late p50, ms", lambda score, _: known("{:.1f}", score.late(50)))
LATE_P99 = Column("late p99, ms", lambda score, _: known("{:.1f}", score.late(99)))
GROWTH = Column("growth, KiB", lambda score, _: known("{:,.0f}", score.growth))


def show(title: str, results: Mapping[str, Result], *columns: Column) -> None:
    """Print a table, and below it why some are missing."""
    console = Console(width=max(WIDTH, Console().width))
    table = Table(title=title, title_justify="left", title_style="bold")
    table.caption, table.caption_justify = spoken(), "left"
    table.add_column("", no_wrap=True)
    for column in columns:
        table.add_column(column.title, justify="right")
    scores = {n: score for n, score in results.items() if isinstance(score, Score)}
    for name in results:
        cells = cells_of(scores.get(name), scores, columns)
        table.add_row(name, *cells, style="bold" if name == OURS else None)
    console.print(table)
    for name, failure in results.items():
        if isinstance(failure, Failure):
            console.print(f"  {name}: {failure.reason}", markup=False, highlight=False)


def cells_of(
    score: Score | None, scores: Mapping[str, Score], columns: tuple[Column, ...]
) -> list[str]:
    if score is None:
        return [MISSING for _ in columns]
    return [column.cell(score, scores) for column in columns]
