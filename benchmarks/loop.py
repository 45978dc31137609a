"""
How late is the event loop while transfers run?

A service shares its loop with them. A timer of 1 ms beside the transfers tells how much
later than it should it comes, next to the rate, since either alone is half the truth.

    python benchmarks/loop.py
    python benchmarks/loop.py --quick --only "ours; aiohttp, plain" --tls none
"""

from __future__ import annotations

import argparse

import _options
from _clients import BASELINE, OURS
from _contest import contest, entries
from _job import Direction
from _service import Service, service
from _table import LATE_P50, LATE_P99, RATE, RATIO, show

CONTESTANTS = [
    OURS,
    "ours, in threads",
    "ours, uvloop",
    "ours, trio",
    "ours, httpx's stack",
    BASELINE,
    "httpx, well written",
]
QUESTIONS: list[tuple[Direction, int, int]] = [
    ("down", 20_000_000, 32),
    ("up", 2_000_000, 32),
    ("down", 10_000, 64),
    ("up", 10_000, 64),
]
DISK = 4_000_000_000  # bytes of files that one turn may write


def ask(
    args: argparse.Namespace,
    running: Service,
    direction: Direction,
    size: int,
    at_a_time: int,
) -> None:
    job = running.job(
        direction,
        size,
        count=DISK // size,
        at_a_time=at_a_time,
        seconds=args.seconds,
        watched=True,
    )
    names = _options.names(args, CONTESTANTS)
    results = contest(entries(names, job), args.rounds, args.output)
    title = f"{_options.spoken(size)} {direction}, {at_a_time} at a time, {job.service}"
    show(title, results, RATE, RATIO, LATE_P50, LATE_P99)


def main() -> None:
    parser = _options.parser(__doc__, seconds=1.0, rounds=3)
    parser.add_argument("--tls", nargs="+", default=_options.TLS)
    parser.add_argument("--sizes", nargs="+", type=_options.size)
    args = _options.parse(parser)
    for tls in args.tls:
        with service(tls=_options.version(tls)) as running:
            for direction, size, at_a_time in QUESTIONS:
                if args.sizes is None or size in args.sizes:
                    ask(args, running, direction, size, at_a_time)


if __name__ == "__main__":
    main()
