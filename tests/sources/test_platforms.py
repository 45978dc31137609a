"""What a platform lacks breaks neither the import nor an upload by path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys

lacking = "pread preadv sendfile link O_NONBLOCK O_NOCTTY get_blocking set_blocking"
for name in lacking.split():
    vars(os).pop(name, None)
sys.modules["fcntl"] = None

import anyio
from wxmedia_async import FileUploadCache
from tests.sourcing import read_from

async def main(path):
    by_path = await read_from(path)
    with open(path, "rb") as file:
        by_file = await read_from(file)
    await FileUploadCache(path + ".sqlite").forget("m")
    assert by_path == by_file == b"cat"

anyio.run(main, sys.argv[1])
"""


def test_nothing_is_needed_that_a_platform_may_lack(tmp_path: Path) -> None:
    """Sources and the cache's file do without what POSIX alone has."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"cat")

    subprocess.run([sys.executable, "-c", PROGRAM, str(path)], timeout=60, check=True)
