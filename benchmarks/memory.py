"""
Does memory stay flat, however large a body is?

Uploads one large file to a simulated service and downloads it again, each in a
process of its own, and compares the peak of memory with that of a small file.

    python benchmarks/memory.py --megabytes 200
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
import attrs
from _simulated import LARGEST, service

from wxmedia_async import OFFICIAL_ACCOUNT, AppToken, MediaClient

PLATFORM = attrs.evolve(OFFICIAL_ACCOUNT, limits={}, max_bytes=LARGEST)
MIB = 1024 * 1024


def peak() -> int:
    """The most memory this process has held, in KiB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


async def upload(client: MediaClient, path: str) -> str:
    return (await client.upload(path, "image", filename="x.jpg")).media_id


async def download(client: MediaClient, media_id: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return str((await client.download(media_id, f"{folder}/")).size)


async def measured(work: str, url: str, small: str, large: str) -> None:
    """Do it with a small body, and then with a large one."""
    transfer = {"upload": upload, "download": download}[work]
    token = AppToken("appid", "secret")
    async with MediaClient(token, base_url=url, platform=PLATFORM) as client:
        facts = {"small": await transfer(client, small)}
        before = peak()
        facts["large"] = await transfer(client, large)
    print(json.dumps(facts | {"growth": peak() - before}))


def in_fresh_process(work: str, url: str, small: str, large: str) -> dict[str, str]:
    command = [sys.executable, __file__, "--work", work, url, small, large]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    print(work, "grows by", json.loads(done.stdout)["growth"], "KiB")
    return json.loads(done.stdout)


def run(megabytes: int) -> None:
    options = ("--max-bytes", str(LARGEST))
    with tempfile.TemporaryDirectory() as folder, service(*options) as url:
        small, large = Path(folder, "small"), Path(folder, "large")
        small.write_bytes(bytes(MIB))
        with large.open("wb") as file:
            for _ in range(megabytes):
                file.write(bytes(MIB))
        print(f"from 1 to {megabytes} MiB")
        stored = in_fresh_process("upload", url, str(small), str(large))
        in_fresh_process("download", url, stored["small"], stored["large"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--work", nargs=4, metavar=("WORK", "URL", "SMALL", "LARGE"))
    args = parser.parse_args()
    if args.work:
        anyio.run(measured, *args.work)
    else:
        run(args.megabytes)


if __name__ == "__main__":
    main()
