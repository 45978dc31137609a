"""
Does adaptive concurrency find what a service copes with?

A simulated service takes 50 ms for each call, and refuses calls above eight at
once. Downloads the same files with few slots, with many, and with a number that
adapts, in turns, and prints files per second, refusals, and the number of slots
at the end.

    python benchmarks/adaptive.py --files 600 --rounds 3
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time

import anyio

from wxmedia_async import Adaptive, MediaClient, RetryPolicy
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

CAPACITY = 8
LATENCY = 0.05  # seconds
PATIENT = RetryPolicy(attempts=50)
SETTINGS: dict[str, int | Adaptive] = {
    "fixed 4": 4,
    "fixed 64": 64,
    "Adaptive(1, 64)": Adaptive(1, 64),
}


async def measure(slots: int | Adaptive, files: int) -> tuple[float, int, float]:
    simulator = Simulator()
    simulator.capacity, simulator.latency = CAPACITY, LATENCY
    simulator.open_access = True
    media_ids = [simulator.put(b"\xff\xd8\xff" + bytes(10_000)) for _ in range(files)]
    with tempfile.TemporaryDirectory() as folder:
        async with (
            serve(simulator) as url,
            MediaClient(
                None, base_url=url, max_concurrency=slots, retry=PATIENT
            ) as client,
        ):
            started = time.perf_counter()
            async with client.download_many(media_ids, folder) as outcomes:
                tries = sum([outcome.attempts async for outcome in outcomes])
            seconds = time.perf_counter() - started
            last = client._session.slots._bound.limiter.total_tokens
    return files / seconds, tries - files, last


async def run(files: int, rounds: int) -> None:
    found: dict[str, list[tuple[float, int, float]]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, slots in SETTINGS.items():
            found[name].append(await measure(slots, files))
    for name, measured in found.items():
        rates, refusals, last = zip(*measured, strict=True)
        print(
            f"{name:<16} {statistics.median(rates):6.1f} files/s"
            f"  {statistics.median(refusals):6.0f} refusals  slots at the end {last}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    anyio.run(run, args.files, args.rounds)


if __name__ == "__main__":
    main()
