"""Rates over the number of transfers in flight, as a small SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Lines = Mapping[str, Sequence[tuple[int, float]]]

GREY = "#808080"  # is read on white and on black
COLOURS = ["#e8590c", "#f59f00", "#1c7ed6", "#22b8cf", "#868e96", "#37b24d"]


def draw(file: str, panels: Mapping[str, Lines]) -> None:
    # Here, so that those who want no plot need no matplotlib.
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(
        {
            # Text stays text: small, and in the reader's own typeface.
            "svg.fonttype": "none",
            "svg.hashsalt": "rate",
            "font.family": ["sans-serif"],
            "font.sans-serif": ["DejaVu Sans"],
            "font.size": 9,
            "text.color": GREY,
            "axes.labelcolor": GREY,
            "axes.edgecolor": GREY,
            "xtick.color": GREY,
            "ytick.color": GREY,
        }
    ):
        figure = Figure(figsize=(8, 2.6 * -(-len(panels) // 2) + 0.5))
        figure.patch.set_alpha(0)
        grid = figure.subplots(-(-len(panels) // 2), 2, squeeze=False)
        for axes, (title, lines) in zip(grid.flat, panels.items(), strict=False):
            panel(axes, title, lines)
        for axes in grid.flat[len(panels) :]:
            axes.set_axis_off()
        handles, names = grid.flat[0].get_legend_handles_labels()
        # In two rows: a reader's typeface may be wider than the one it is laid
        # out for.
        ncols = -(-len(names) // 2)
        figure.legend(handles, names, loc="lower center", ncols=ncols, frameon=False)
        figure.tight_layout(rect=(0, 0.1, 1, 1))
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})


def panel(axes: Axes, title: str, lines: Lines) -> None:
    axes.patch.set_alpha(0)
    for (name, points), colour in zip(lines.items(), COLOURS * 2, strict=False):
        axes.plot(*zip(*points, strict=True), label=name, color=colour)
    ticks = sorted({x for points in lines.values() for x, _ in points})
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.locator_params(axis="y", nbins=4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_title(f"{title} per second", fontsize=9)
    axes.set_xlabel("at a time")
    axes.spines[["top", "right"]].set_visible(False)
