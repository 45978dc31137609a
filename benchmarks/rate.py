"""
How many files per second, and at what cost?

Small and large files, downloaded and uploaded, with TLS and without, 16 at a time.

    python benchmarks/rate.py --output results.jsonl
    python benchmarks/rate.py --quick --only "ours; aiohttp, plain" --sizes 10KB
"""

from __future__ import annotations

import argparse

import _options
from _clients import CONTESTANTS
from _contest import contest, entries
from _job import Direction
from _service import Service, service
from _table import BUSY, CPU, CPU_EACH, MEGABYTES, OURS_TO_IT, RATE, RATIO, show

SIZES = [10_000, 300_000, 2_000_000, 20_000_000]
COLUMNS = [RATE, MEGABYTES, RATIO, OURS_TO_IT, CPU, CPU_EACH, BUSY]
DISK = 2_000_000_000  # bytes of files that one turn may write


def ask(
    args: argparse.Namespace, running: Service, direction: Direction, size: int
) -> None:
    job = running.job(direction, size, count=DISK // size, seconds=args.seconds)
    names = _options.names(args, CONTESTANTS)
    results = contest(entries(names, job), args.rounds, args.output)
    title = f"{_options.spoken(size)} {direction}, {job.service}"
    show(title, results, *COLUMNS)


def main() -> None:
    parser = _options.parser(__doc__, seconds=1.0, rounds=3)
    parser.add_argument("--sizes", nargs="+", type=_options.size, default=SIZES)
    parser.add_argument("--directions", nargs="+", default=["down", "up"])
    parser.add_argument("--tls", nargs="+", default=_options.TLS)
    args = _options.parse(parser)
    for tls in args.tls:
        with service(tls=_options.version(tls)) as running:
            for direction in args.directions:
                for size in args.sizes:
                    ask(args, running, direction, size)


if __name__ == "__main__":
    main()
