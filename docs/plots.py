"""
Draws plots from the lines that benchmarks write.

    python benchmarks/growth.py --tls none --output growth.jsonl
    python benchmarks/concurrency.py --output concurrency.jsonl
    python docs/plots.py memory growth.jsonl docs/pictures/memory.svg
    python docs/plots.py rate concurrency.jsonl docs/rate.svg

Needs the extra ``benchmark``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import _options
import _plot

OURS = "ours"
AT_A_TIME = 64

Line = Mapping[str, Any]


def memory(lines: Iterable[Line], file: str) -> None:
    """Draw how much memory grows with many large downloads in flight."""
    grown = medians(
        (line["contestant"], line["growth"] / 1024)
        for line in lines
        if line["direction"] == "down" and line["at_a_time"] == AT_A_TIME
    )
    names = sorted(grown, key=lambda name: grown[name])
    style = {
        "svg.fonttype": "none",
        "svg.hashsalt": "memory",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 9,
        "text.color": _plot.GREY,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(8, 0.4 + 0.32 * len(names)))
        axes = figure.subplots()
        colours = [_plot.COLOURS[0 if name == OURS else 2] for name in names]
        labels = [called(name) for name in names]
        bars = axes.barh(labels, [grown[name] for name in names], color=colours)
        axes.bar_label(bars, [f" {grown[name]:,.1f} MB" for name in names])
        axes.set_xscale("log")
        axes.invert_yaxis()
        axes.tick_params(colors=_plot.GREY, left=False)
        axes.xaxis.set_visible(False)
        axes.spines[:].set_visible(False)
        axes.margins(x=0.2)
        figure.tight_layout()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})


def rate(lines: Iterable[Line], file: str) -> None:
    """Draw files per second over the number of transfers in flight."""
    rates = medians(
        (
            (of_job(line), line["contestant"], line["at_a_time"]),
            line["count"] / line["seconds"],
        )
        for line in lines
    )
    panels: dict[str, dict[str, list[tuple[int, float]]]] = {}
    for (title, name, at_a_time), files in sorted(rates.items()):
        panel = panels.setdefault(title, {})
        panel.setdefault(called(name), []).append((at_a_time, files))
    _plot.draw(file, panels)


def medians(values: Iterable[tuple[Any, float]]) -> dict[Any, float]:
    """Return the median over the rounds."""
    found: dict[Any, list[float]] = defaultdict(list)
    for case, value in values:
        found[case].append(value)
    return {case: median(rounds) for case, rounds in found.items()}


def of_job(line: Line) -> str:
    return f"{_options.spoken(line['size'])} {line['direction']}"


def called(name: str) -> str:
    return name.replace(OURS, "wxmedia_async")


def main() -> None:
    """Read the lines, and draw what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plot", choices=["memory", "rate"])
    parser.add_argument("lines", type=Path)
    parser.add_argument("file")
    asked = parser.parse_args()
    lines = [json.loads(line) for line in asked.lines.read_text().splitlines()]
    {"memory": memory, "rate": rate}[asked.plot](lines, asked.file)


if __name__ == "__main__":
    main()
