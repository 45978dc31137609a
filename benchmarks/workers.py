"""
What do several processes do for a list of many small files?

``wxmedia download`` and ``wxmedia upload`` with one worker and with more: 20 000 files
of 10 KB, from the start of the command to its end. Where one worker and the server fill
the machine already, more of them cannot be faster.

    python benchmarks/workers.py
    python benchmarks/workers.py --quick --workers 1 2 4
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _options
from _contest import environment
from _job import SMALL, TOKEN, Direction, Job
from _service import service
from _versions import spoken, versions
from rich.console import Console
from rich.table import Table

FILES = 20_000


def sources(folder: Path, files: int) -> list[str]:
    """Files of contents of their own, as they would be in reality."""
    paths = [folder / f"{number}.jpg" for number in range(files)]
    for number, path in enumerate(paths):
        path.write_bytes(b"\xff\xd8\xff\xe0" + number.to_bytes(4) + bytes(SMALL - 8))
    return [str(path) for path in paths]


def command(job: Job, workers: int, folder: str) -> list[str]:
    verb = {"down": ["download", "-", "--to", folder], "up": ["upload", "-"]}
    options = ["--base-url", job.url, "--workers", str(workers), "--quiet"]
    program = [sys.executable, "-m", "wxmedia_async"]
    return [*program, *verb[job.direction], *options]


def run(job: Job, workers: int, listed: str) -> dict[str, float]:
    """Run the command once; wall and processor, in seconds."""
    with tempfile.TemporaryDirectory(dir=job.folder) as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            command(job, workers, folder),
            input=listed,
            env=dict(environment(job)) | {"WXMEDIA_TOKEN": TOKEN},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        told = done.stdout.count("\n")
        if job.direction == "down" and len(os.listdir(folder)) != told:
            raise SystemExit("not all files are there")
    if told != job.count:
        raise SystemExit(f"{told} files of {job.count}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu": cpu}


def ask(args: argparse.Namespace, job: Job, listed: str) -> None:
    turns: dict[int, list[dict[str, float]]] = {count: [] for count in args.workers}
    for _ in range(args.rounds):
        for workers in args.workers:
            turn = run(job, workers, listed)
            turns[workers].append(turn)
            record(args.output, job, workers, turn)
    show(f"{job.count:,} files of 10 KB {job.direction}, {job.service}", job, turns)


def record(output: str | None, job: Job, workers: int, turn: dict[str, float]) -> None:
    if output is None:
        return
    about = {"workers": workers, "direction": job.direction, "count": job.count}
    line = {**about, "service": job.service, "versions": versions(), **turn}
    with Path(output).open("a") as file:
        print(json.dumps(line), file=file)


def show(title: str, job: Job, turns: dict[int, list[dict[str, float]]]) -> None:
    table = Table("workers", title=title, title_justify="left", title_style="bold")
    table.caption, table.caption_justify = spoken(), "left"
    for column in ("seconds", "files/s", "to the first", "CPU µs/file"):
        table.add_column(column, justify="right")
    first = None
    for workers, found in turns.items():
        seconds = statistics.median(turn["seconds"] for turn in found)
        cpu = statistics.median(turn["cpu"] for turn in found)
        first = first or seconds
        table.add_row(
            str(workers),
            f"{seconds:.2f}",
            f"{job.count / seconds:,.0f}",
            f"{first / seconds:.2f}",
            f"{cpu / job.count * 1e6:,.0f}",
        )
    Console(width=max(100, Console().width)).print(table)


def main() -> None:
    parser = _options.parser(__doc__, seconds=0, rounds=3)
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--tls", nargs="+", default=["none"])
    args = _options.parse(parser)
    files = FILES // 40 if args.quick else FILES
    directions: list[Direction] = ["down", "up"]
    for tls in args.tls:
        with service(tls=_options.version(tls)) as running:
            folder = running.folder / "sources"
            folder.mkdir()
            names = sources(folder, files)
            for direction in directions:
                job = running.job(direction, SMALL, count=files)
                ids = [job.media_id(number) for number in range(files)]
                ask(args, job, "\n".join(ids if direction == "down" else names))


if __name__ == "__main__":
    main()
