"""
What does a service cost that closes the connection after each reply, as WeChat does?

Small downloads over TLS, a handshake each. A session that is resumed makes the
handshake cheaper; the server tells how many were, which is why it is ours.

    python benchmarks/closing.py
"""

from __future__ import annotations

import _options
from _clients import CONTESTANTS
from _contest import contest, entries
from _service import service
from _table import BUSY, OURS_TO_IT, RATE, RATIO, RESUMED, show

SIZE = 10_000
MOST = 20_000  # files for one turn


def main() -> None:
    parser = _options.parser(__doc__, seconds=1.0, rounds=5)
    parser.add_argument("--tls", nargs="+", default=["TLSv1_2", "TLSv1_3"])
    args = _options.parse(parser)
    for tls in args.tls:
        with service(tls=tls, close=True, counted=True) as running:
            job = running.job("down", SIZE, count=MOST, seconds=args.seconds)
            names = _options.names(args, CONTESTANTS)
            results = contest(entries(names, job), args.rounds, args.output)
        title = f"{_options.spoken(SIZE)} down, closed after each, {tls}"
        show(title, results, RATE, RATIO, OURS_TO_IT, RESUMED, BUSY)


if __name__ == "__main__":
    main()
