"""Killed in the middle, and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

ITEMS = 60
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")

PROGRAM = """
import sys
import anyio
from wxmedia_async import MediaClient

async def main(url, to, manifest):
    async with MediaClient(None, base_url=url, max_concurrency=4) as client:
        ids = (line.strip() for line in sys.stdin)
        async with client.download_many(ids, to, manifest=manifest) as outcomes:
            async for outcome in outcomes:
                print(outcome.unwrap().path, outcome.skipped, flush=True)

anyio.run(main, *sys.argv[1:])
"""


def start(url: str, to: Path, ids: list[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url, str(to), str(to) + ".jsonl"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("\n".join(ids))
    process.stdin.close()
    return process


def kill_after(process: subprocess.Popen[str], lines: int) -> None:
    assert process.stdout is not None
    with process, process.stdout:
        for _ in range(lines):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # the killed process is the same, whoever watches it


async def test_fault_30_killed_runs_finish_each_item_exactly_once(
    tmp_path: Path,
) -> None:
    """Fault 30: after kill -9, again and again, a last run finishes the rest."""
    simulator = Simulator()
    simulator.open_access, simulator.latency = True, 0.002
    contents = {
        simulator.put(content): content
        for content in (b"\xff\xd8\xff" + os.urandom(50_000) for _ in range(ITEMS))
    }
    to = tmp_path / "in"

    async with serve(simulator) as url:
        for outcomes in (1, 7, 20, 33):
            kill_after(start(url, to, list(contents)), outcomes)
        with start(url, to, list(contents)) as last:
            told = last.stdout.read() if last.stdout else ""

    assert last.returncode == 0
    assert told.count("\n") == ITEMS
    assert told.count("True") >= 33
    whole = [path for path in to.iterdir() if path.suffix != ".part"]
    assert Counter(path.stem for path in whole) == Counter(contents.keys())
    assert all(path.read_bytes() == contents[path.stem] for path in whole)
    lines = [json.loads(x) for x in (tmp_path / "in.jsonl").read_bytes().splitlines()]
    saved = Counter(line["key"] for line in lines if line["kind"] == "saved")
    assert max(saved.values()) == 1
