"""
How does the rate change with the number of transfers in flight?

Small files, downloaded and uploaded, 1 to 256 at a time.

    python benchmarks/concurrency.py --plot docs/rate.svg
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import _options
import _plot
from _clients import BASELINE, OURS
from _contest import Result, Score, contest, entries
from _job import Direction
from _service import Service, service
from _table import BUSY, OURS_TO_IT, RATE, RATIO, show

CONTESTANTS = [
    OURS,
    "ours, uvloop",
    BASELINE,
    "aiohttp, tuned",
    "httpx, well written",
    "pyreqwest",
]
SIZES = [10_000, 300_000]
AT_A_TIME = [1, 16, 64, 256]
DISK = 2_000_000_000  # bytes of files that one turn may write

Found = Mapping[int, Mapping[str, Result]]


def ask(
    args: argparse.Namespace, running: Service, direction: Direction, size: int
) -> dict[int, dict[str, Result]]:
    found: dict[int, dict[str, Result]] = {}
    for at_a_time in args.at_a_time:
        job = running.job(
            direction,
            size,
            count=DISK // size,
            at_a_time=at_a_time,
            seconds=args.seconds,
        )
        names = _options.names(args, CONTESTANTS)
        results = contest(entries(names, job), args.rounds, args.output)
        title = (
            f"{_options.spoken(size)} {direction}, {at_a_time} at a time, {job.service}"
        )
        show(title, results, RATE, RATIO, OURS_TO_IT, BUSY)
        found[at_a_time] = results
    return found


def lines(found: Found) -> dict[str, Sequence[tuple[int, float]]]:
    """Of each contestant, how many at a time and how many per second."""
    made: dict[str, list[tuple[int, float]]] = {}
    for at_a_time, results in found.items():
        for name, result in results.items():
            if isinstance(result, Score):
                label = name.replace(OURS, "wxmedia_async")
                made.setdefault(label, []).append((at_a_time, result.rate))
    return dict(made)


def main() -> None:
    parser = _options.parser(__doc__, seconds=1.0, rounds=3)
    parser.add_argument("--sizes", nargs="+", type=_options.size, default=SIZES)
    parser.add_argument("--at-a-time", nargs="+", type=int, default=AT_A_TIME)
    parser.add_argument("--plot", metavar="FILE", help="draw it, as SVG")
    args = _options.parse(parser)
    panels = {}
    with service() as running:
        for size in args.sizes:
            for direction, verb in (("down", "downloads"), ("up", "uploads")):
                title = f"{_options.spoken(size)} {verb}"
                panels[title] = lines(ask(args, running, direction, size))
    if args.plot:
        _plot.draw(args.plot, panels)


if __name__ == "__main__":
    main()
