"""
What does the first file cost, in a process that has just begun?

For each client: its import, making one, the first 16 small downloads, and 16 more when
all is warm; and what the processor did from the start of the process to the end of the
first files. Below it imports alone: of this package, and of what it stands upon; and
of the command line's help, and of what that stands upon.

    python benchmarks/start.py
    python benchmarks/start.py --quick --tls none
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import _options
import attrs
from _clients import BASELINE, OURS, TRANSPORT, WELL
from _contest import environment, reason
from _job import SMALL, Job
from _service import service
from _versions import spoken, versions
from rich.console import Console
from rich.table import Table

START = Path(__file__).with_name("_start.py")
CONTESTANTS = [
    OURS,
    "ours, trio",
    "ours, httpx's stack",
    TRANSPORT,
    WELL,
    "httpx over aiohttp",
    "pyreqwest",
    BASELINE,
    "aiohttp, tuned",
]
STEPS = {
    "import": "import",
    "construct": "construct",
    "first": "first 16",
    "warm": "warm 16",
    "cpu": "CPU, to the first 16",
}
HELP = "from wxmedia_async.cli import main; main(['--help'])"
PROGRAMS = {
    "nothing": "",
    "import httpx, anyio, attrs, httptools": "import httpx, anyio, attrs, httptools",
    "the same, and asyncio": "import httpx, anyio, attrs, httptools, asyncio",
    "import wxmedia_async": "import wxmedia_async",
    "from wxmedia_async import MediaClient": "from wxmedia_async import MediaClient",
    "import aiohttp": "import aiohttp",
    "import cyclopts, rich": "import cyclopts, rich",
    "wxmedia --help": HELP,
}

Facts = Mapping[str, float]


def started(name: str, job: Job) -> Facts | str:
    """The facts of a start, or why there was none."""
    done = subprocess.run(
        [sys.executable, str(START), name, json.dumps(attrs.asdict(job))],
        env=dict(environment(job)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        return reason(done.returncode, done.stderr)
    facts: Facts = json.loads(done.stdout)
    return facts


def cpu(program: str) -> float:
    """Milliseconds of the processor that a process of its own takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", program]
    env = {**os.environ}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # as in `environment`
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return 1000 * spent


def clients(args: argparse.Namespace, tls: str | None) -> None:
    names = _options.names(args, CONTESTANTS)
    turns: dict[str, list[Facts]] = {name: [] for name in names}
    failures: dict[str, str] = {}
    with service(tls=tls) as running:
        job = running.job("down", SMALL, count=16)
        for name in names:  # so that all modules are compiled
            started(name, job)
        for _ in range(args.rounds):
            for name in names:
                facts = started(name, job)
                if isinstance(facts, str):
                    failures[name] = facts
                    continue
                turns[name].append(facts)
                record(args.output, {"contestant": name, "service": job.service}, facts)
    rows = {name: medians(turns[name]) for name in names if turns[name]}
    title = f"The start, in ms; {_options.spoken(SMALL)} down, {job.service}"
    show(title, rows, STEPS)
    for name, why in failures.items():
        print(f"  {name}: {why}")


def imports(args: argparse.Namespace) -> None:
    turns: dict[str, list[Facts]] = {name: [] for name in PROGRAMS}
    for program in PROGRAMS.values():
        cpu(program)
    for _ in range(args.rounds):
        for name, program in PROGRAMS.items():
            facts = {"cpu": cpu(program)}
            turns[name].append(facts)
            record(args.output, {"program": name}, facts)
    rows = {name: medians(found) for name, found in turns.items()}
    show("CPU of a process, in ms", rows, {"cpu": "CPU"})


def medians(turns: list[Facts]) -> Facts:
    return {step: statistics.median(turn[step] for turn in turns) for step in turns[0]}


def record(output: str | None, what: Mapping[str, str], facts: Facts) -> None:
    if output is None:
        return
    with Path(output).open("a") as file:
        print(json.dumps({**what, "versions": versions(), **facts}), file=file)


def show(title: str, rows: Mapping[str, Facts], steps: Mapping[str, str]) -> None:
    table = Table("", title=title, title_justify="left", title_style="bold")
    table.caption, table.caption_justify = spoken(), "left"
    for step in steps.values():
        table.add_column(step, justify="right")
    for name, facts in rows.items():
        cells = [f"{facts[step]:,.1f}" for step in steps]
        table.add_row(name, *cells, style="bold" if name == OURS else None)
    console = Console(width=max(100, Console().width))
    console.print(table)


def main() -> None:
    parser = _options.parser(__doc__, seconds=0, rounds=9)
    parser.add_argument("--tls", nargs="+", default=_options.TLS)
    args = _options.parse(parser)
    for tls in args.tls:
        clients(args, _options.version(tls))
    imports(args)


if __name__ == "__main__":
    main()
