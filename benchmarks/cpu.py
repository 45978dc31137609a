"""
How much of the processor does a GB take?

Large downloads and uploads, with TLS and without, 16 at a time. The threads that a
client has are counted as well.

    python benchmarks/cpu.py
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import _options
from _clients import BASELINE, CONTESTANTS, OURS
from _contest import Score, contest, entries
from _job import Direction
from _service import Service, service
from _table import CPU, MEGABYTES, Column, ratio, show

WORK: list[tuple[Direction, int]] = [("down", 20_000_000), ("up", 2_000_000)]
DISK = 2_000_000_000  # bytes of files that one turn may write


def cpu(scores: Mapping[str, Score], name: str) -> float | None:
    return scores[name].cpu if name in scores else None


RATIO = Column(f"to {BASELINE}", lambda one, all_: ratio(one.cpu, cpu(all_, BASELINE)))
OURS_TO_IT = Column("ours / it", lambda one, all_: ratio(cpu(all_, OURS), one.cpu))


def ask(args: argparse.Namespace, running: Service) -> None:
    names = _options.names(args, CONTESTANTS)
    for direction, size in WORK:
        job = running.job(direction, size, count=DISK // size, seconds=args.seconds)
        results = contest(entries(names, job), args.rounds, args.output)
        title = f"{_options.spoken(size)} {direction}, {job.service}"
        show(title, results, CPU, RATIO, OURS_TO_IT, MEGABYTES)


def main() -> None:
    parser = _options.parser(__doc__, seconds=0.8, rounds=3)
    parser.add_argument("--tls", nargs="+", default=_options.TLS)
    args = _options.parse(parser)
    for tls in args.tls:
        with service(tls=_options.version(tls)) as running:
            ask(args, running)


if __name__ == "__main__":
    main()
