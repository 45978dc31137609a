"""
Does the rate hold, however many downloads are queued?

100, 1 000 and 100 000 small downloads at once, 16 of them in flight; others than us
are asked for 1 000 at most. Rates are compared with the same client's at 100.

    python benchmarks/queued.py
"""

from __future__ import annotations

from collections.abc import Mapping

import _options
from _clients import BASELINE, OURS
from _contest import Entry, Score, contest
from _service import Service, service
from _table import BUSY, MISSING, RATE, Column, ratio, show

SIZE = 1_000
FEW = 100
AT_LEAST = 2_000  # files for one turn, or there would be little to measure
COUNTS = {
    OURS: [FEW, 1_000, 100_000],
    "ours, uvloop": [FEW, 1_000, 100_000],
    BASELINE: [FEW, 1_000],
    "httpx, well written": [FEW, 1_000],
    "httpx, naive": [FEW, 1_000],
}


def entries(running: Service, names: list[str], most: int) -> dict[str, Entry]:
    made: dict[str, Entry] = {}
    for name in names:
        for count in COUNTS.get(name, [FEW, 1_000]):
            job = running.job("down", SIZE, count=count, batches=batches(name, count))
            if count <= most:
                made[f"{name}: {count:,}"] = Entry(name, job)
    return made


def batches(name: str, count: int) -> int:
    return 1 if name.startswith("httpx") else max(1, AT_LEAST // count)


def to_few(score: Score, scores: Mapping[str, Score]) -> str:
    for other in scores.values():
        same = other.entry.contestant == score.entry.contestant
        if same and other.entry.job.count == FEW:
            return ratio(score.rate, other.rate)
    return MISSING


def main() -> None:
    parser = _options.parser(__doc__, seconds=0, rounds=5)
    parser.add_argument("--most", type=int, default=100_000, help="files at once")
    args = _options.parse(parser)
    with service() as running:
        taking_part = entries(running, _options.names(args, COUNTS), args.most)
        results = contest(taking_part, args.rounds, args.output)
    column = Column(f"to {FEW}", to_few)
    show(f"{_options.spoken(SIZE)} down, queued at once", results, RATE, column, BUSY)


if __name__ == "__main__":
    main()
