"""
What does our transport do for an httpx client that somebody has already?

The same code, an httpx client used with care, on httpx's own transport and on ours:
``httpx.AsyncClient(transport=SocketTransport())``. Beside it what our client makes of
that transport, and aiohttp.

    python benchmarks/transport.py
    python benchmarks/transport.py --quick --sizes 10KB --tls none
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import _options
from _clients import BASELINE, OURS, TRANSPORT, WELL
from _contest import Score, contest, entries
from _job import Direction
from _service import Service, service
from _table import CPU_EACH, RATE, RATIO, Column, rate, ratio, show

CONTESTANTS = [WELL, TRANSPORT, OURS, BASELINE]
WORK: list[tuple[Direction, int]] = [
    ("down", 10_000),
    ("up", 10_000),
    ("down", 20_000_000),
    ("up", 2_000_000),
]
DISK = 2_000_000_000  # bytes of files that one turn may write


def to_stock(one: Score, scores: Mapping[str, Score]) -> str:
    return ratio(one.rate, rate(scores, WELL))


TO_STOCK = Column("to httpx's own", to_stock)


def ask(
    args: argparse.Namespace, running: Service, direction: Direction, size: int
) -> None:
    job = running.job(direction, size, count=DISK // size, seconds=args.seconds)
    names = _options.names(args, CONTESTANTS)
    results = contest(entries(names, job), args.rounds, args.output)
    title = f"{_options.spoken(size)} {direction}, {job.service}"
    show(title, results, RATE, TO_STOCK, RATIO, CPU_EACH)


def main() -> None:
    parser = _options.parser(__doc__, seconds=1.0, rounds=3)
    parser.add_argument("--tls", nargs="+", default=_options.TLS)
    parser.add_argument("--sizes", nargs="+", type=_options.size)
    args = _options.parse(parser)
    for tls in args.tls:
        with service(tls=_options.version(tls)) as running:
            for direction, size in WORK:
                if args.sizes is None or size in args.sizes:
                    ask(args, running, direction, size)


if __name__ == "__main__":
    main()
