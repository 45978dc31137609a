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

DISKS = {
    "": "",
    "no files without a name": "del os.O_TMPFILE",
    "no links": "os.link = refuse",
    "no link()": "del os.link",
    "no renames that only add": "os.link = refuse; publish.rename_exclusively = never",
}

PROGRAM = """
import errno, os, sys
import anyio
from wxmedia_async import MediaClient
from wxmedia_async._files import publish

def refuse(*names, **options):
    raise OSError(errno.EPERM, "no links here")

def never(*names):
    return False

def killed(work, after):
    def kill(*names, **options):
        if after:
            work(*names, **options)
        os._exit(9)
    return kill

async def main(url, to, manifest):
    async with MediaClient(None, base_url=url, max_concurrency=4) as client:
        ids = (line.strip() for line in sys.stdin)
        async with client.download_many(ids, to, manifest=manifest) as outcomes:
            async for outcome in outcomes:
                print(outcome.unwrap().path, outcome.skipped, flush=True)

anyio.run(main, *sys.argv[1:])
"""


def start(
    url: str, to: Path, ids: list[str], disk: str = "", moment: str = ""
) -> subprocess.Popen[str]:
    program = PROGRAM.replace("async def main", f"{disk}\n{moment}\nasync def main")
    process = subprocess.Popen(
        [sys.executable, "-c", program, url, str(to), str(to) + ".jsonl"],
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


@pytest.mark.parametrize("disk", ["", "no renames that only add"])
async def test_fault_30_killed_runs_finish_each_item_exactly_once(
    tmp_path: Path, disk: str
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
            kill_after(start(url, to, list(contents), DISKS[disk]), outcomes)
        with start(url, to, list(contents), DISKS[disk]) as last:
            told = last.stdout.read() if last.stdout else ""

    assert last.returncode == 0
    assert told.count("\n") == ITEMS
    assert told.count("True") >= 33
    whole = [path for path in to.iterdir() if path.suffix != ".part"]
    assert disk or len(whole) == len(list(to.iterdir()))
    assert Counter(path.stem for path in whole) == Counter(contents.keys())
    assert all(path.read_bytes() == contents[path.stem] for path in whole)
    lines = [json.loads(x) for x in (tmp_path / "in.jsonl").read_bytes().splitlines()]
    saved = Counter(line["key"] for line in lines if line["kind"] == "saved")
    assert max(saved.values()) == 1


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    ("disk", "step"),
    [
        ("", "os.link"),
        ("no files without a name", "os.link"),
        ("no files without a name", "os.unlink"),
        ("no links", "publish.rename_exclusively"),
        ("no link()", "publish.rename_exclusively"),
        ("no renames that only add", "os.rename"),
        ("no renames that only add", "os.path.lexists"),
    ],
)
async def test_killed_while_a_file_gets_its_name(
    tmp_path: Path, disk: str, step: str, after: bool
) -> None:
    """Before and after each step: the next run finishes it, and no half file stays."""
    simulator = Simulator()
    simulator.open_access = True
    content = b"\xff\xd8\xff" + bytes(2000)
    media_id = simulator.put(content)
    to = tmp_path / "in"
    kill = f"{step} = killed({step}, {after})"

    async with serve(simulator) as url:
        with start(url, to, [media_id], DISKS[disk], kill) as first:
            pass
        whole = [path.read_bytes() for path in to.glob("[!.]*")]
        with start(url, to, [media_id], DISKS[disk]) as last:
            told = last.stdout.read() if last.stdout else ""

    assert (first.returncode, last.returncode) == (9, 0)
    assert whole in ([], [content])
    assert told == f"{to / media_id}.jpg {whole != []}\n"
    assert [path.read_bytes() for path in to.glob("[!.]*")] == [content]
