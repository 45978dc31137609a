"""
How many media do one, two and four workers move, and what does it ask of Redis?

A simulated service takes 50 ms for each call. Workers of taskiq, each a process with
16 slots, take shards from a queue; token, rate and record are in one Redis server.
Each number of workers has a run, and prints media per second, token fetches, commands
of Redis per item (by clients, and within scripts), what they cost the server, its
connections, and its memory per item.

    python benchmarks/shards.py --items 2000
"""

from __future__ import annotations

import argparse
import json

import anyio
from _farm import farm

_OF_SCRIPTS = ("hget", "hset", "hincrby", "pexpire", "time", "llen", "lpop", "rpush")


async def measure(workers: int, items: int, shard: int) -> dict[str, object]:
    async with farm(workers=workers, items=items) as running:
        with anyio.fail_after(120):
            counts, seconds = await running.run(shard)
        stats = await running.redis.info("commandstats")
        calls = {name[8:]: told["calls"] for name, told in stats.items()}
        within = sum(calls.get(name, 0) for name in _OF_SCRIPTS)
        used = sum(
            told["usec"] for name, told in stats.items() if name[8:] not in _OF_SCRIPTS
        )
        clients = await running.redis.info("clients")
        hash_bytes = await running.redis.memory_usage(
            "wxmedia:batch:{benchmark}", samples=0
        )
        return {
            "workers": workers,
            "counts": dict(counts),
            "media/s": round(items / seconds, 1),
            "token fetches": running.simulator.token_fetches,
            "requests": running.fetched(),
            "commands/item": round((sum(calls.values()) - within) / items, 2),
            "evalsha/item": round(calls["evalsha"] / items, 2),
            "within scripts/item": round(within / items, 2),
            "server us/item": round(used / items, 1),
            "us/evalsha": stats["cmdstat_evalsha"]["usec_per_call"],
            "connections": clients["connected_clients"],
            "bytes/item": round(hash_bytes / items, 1),
        }


async def run(args: argparse.Namespace) -> None:
    for workers in args.workers:
        found = await measure(workers, args.items, args.shard)
        print(json.dumps(found), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--items", type=int, default=2000)
    parser.add_argument("--shard", type=int, default=100, help="ids of each")
    anyio.run(run, parser.parse_args())


if __name__ == "__main__":
    main()
