"""
How much memory do transfers in flight take?

First each client with 64 large files in flight, then ours with more and more of them.
What grows is the process, from the end of one small transfer to the peak, so that
connections count. curl is missing, as it is another process.

    python benchmarks/growth.py
"""

from __future__ import annotations

import argparse

import _options
from _clients import CONTESTANTS, OURS
from _contest import Entry, Score, contest, entries
from _job import Direction
from _service import Service, service
from _table import GROWTH, MEGABYTES, MISSING, Column, show

LARGE = 20_000_000
MEDIUM = 4_000_000  # what grows does not depend on it, and the disk is memory
IN_FLIGHT = 64
DIRECTIONS: list[Direction] = ["down", "up"]


def per_transfer(score: Score) -> str:
    if score.growth is None:
        return MISSING
    return f"{score.growth / score.entry.job.at_a_time:,.0f}"


PER_TRANSFER = Column("KiB per transfer", lambda score, _: per_transfer(score))


def all_clients(args: argparse.Namespace, running: Service) -> None:
    names = _options.names(args, [name for name in CONTESTANTS if name != "curl -Z"])
    for direction in DIRECTIONS:
        job = running.job(
            direction, args.size, count=IN_FLIGHT, at_a_time=IN_FLIGHT, rehearsed=1
        )
        results = contest(entries(names, job), args.rounds, args.output)
        size = _options.spoken(args.size)
        title = f"{IN_FLIGHT} times {size} {direction}, {job.service}"
        show(title, results, GROWTH, PER_TRANSFER, MEGABYTES)


def ours_with_more(args: argparse.Namespace, running: Service) -> None:
    for direction in DIRECTIONS:
        taking_part = {
            f"{OURS}, {at_a_time} at a time": Entry(
                OURS,
                running.job(
                    direction,
                    MEDIUM,
                    count=2 * at_a_time,
                    at_a_time=at_a_time,
                    rehearsed=1,
                ),
            )
            for at_a_time in args.at_a_time
        }
        results = contest(taking_part, args.rounds, args.output)
        title = f"{_options.spoken(MEDIUM)} {direction}, {running.kind}"
        show(title, results, GROWTH, PER_TRANSFER)


def main() -> None:
    parser = _options.parser(__doc__, seconds=0, rounds=2)
    parser.add_argument("--size", type=_options.size, default=LARGE)
    parser.add_argument("--at-a-time", nargs="+", type=int, default=[16, 64, 256])
    parser.add_argument("--tls", nargs="+", default=_options.TLS)
    args = _options.parse(parser)
    for tls in args.tls:
        with service(tls=_options.version(tls)) as running:
            all_clients(args, running)
            ours_with_more(args, running)


if __name__ == "__main__":
    main()
