"""
What does a worker that is killed in the middle cost?

Two workers of taskiq take shards of a simulated service with 50 ms for each call; one
is killed, with SIGKILL, when a third is done. Prints how many media are noted, whole,
fetched twice and lost, and the seconds until all were noted.

    python benchmarks/shards_killed.py --items 2000 --rounds 3
"""

from __future__ import annotations

import argparse
import json

import anyio
from _farm import Farm, farm, kill


async def measure(items: int, shard: int, idle: float) -> dict[str, object]:
    async with farm(workers=2, items=items, idle=idle) as running:
        with anyio.fail_after(120):
            async with anyio.create_task_group() as group:
                group.start_soon(kill_one, running, items // 3)
                counts, seconds = await running.run(shard)
        noted = await running.record.counts()
        whole = running.whole()
        return {
            "items": items,
            "noted": noted.total(),
            "whole": whole,
            "fetched twice": running.fetched() - items,
            "lost": items - whole,
            "counts": dict(counts),
            "token fetches": running.simulator.token_fetches,
            "seconds": round(seconds, 1),
        }


async def kill_one(running: Farm, after: int) -> None:
    while running.fetched() < after:  # noqa: ASYNC110  # it tells nobody
        await anyio.sleep(0.01)
    kill(running.workers[0])


async def run(args: argparse.Namespace) -> None:
    for _ in range(args.rounds):
        found = await measure(args.items, args.shard, args.idle)
        print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=100, help="ids of each")
    parser.add_argument("--idle", type=float, default=5.0, help="idle_timeout, seconds")
    parser.add_argument("--rounds", type=int, default=1)
    anyio.run(run, parser.parse_args())


if __name__ == "__main__":
    main()
