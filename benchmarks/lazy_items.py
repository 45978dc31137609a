"""
Does memory stay flat, however many items a batch has?

Uploads the same few bytes again and again to a service that does nothing, in
this process, from a generator, and prints the peak of memory on the way.

    python benchmarks/lazy_items.py --items 1000000
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import anyio
import httpx

from wxmedia_async import MediaClient

REPLY = b'{"type":"image","media_id":"m","created_at":1}'


class NoService(httpx.AsyncBaseTransport):
    """Takes every body, and answers that all is well."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        async for _ in request.stream:
            pass
        return httpx.Response(200, content=REPLY)


def pictures(count: int) -> Iterator[bytes]:
    for n in range(count):
        yield b"\xff\xd8\xff" + n.to_bytes(8)


def report(done: int, started: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rate = done / (time.perf_counter() - started)
    print(f"{done:>9} items  peak {peak:>7} KiB  {rate:>6.0f} items/s", flush=True)


async def run(count: int) -> None:
    done, mark = 0, 10_000
    async with MediaClient(
        "token", http=httpx.AsyncClient(transport=NoService())
    ) as client:
        started = time.perf_counter()
        async with client.upload_many(pictures(count)) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()
                done += 1
                if done in (mark, count):
                    report(done, started)
                    mark *= 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    anyio.run(run, parser.parse_args().items)


if __name__ == "__main__":
    main()
