"""Platforms that lack what our sockets need, by taking it away in a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

POLL = "del select.poll"
CALLS = "del os.sendfile, os.preadv, os.pread"
LOCKS = "sys.modules['fcntl'] = None"
WATCHING = """
loop = asyncio.SelectorEventLoop.__mro__[1]
del loop.add_reader, loop.add_writer, loop.remove_reader, loop.remove_writer
"""

PROGRAM = """
import asyncio, os, pathlib, select, sys
{missing}
import anyio
from tests.fakes import JPEG
from tests.sockets.server import UPLOADED, Server, always, answers, client_to, whole

large = b"x" * 3_000_000

async def main(folder):
    path = pathlib.Path(folder, "a.jpg")
    path.write_bytes(JPEG)
    with Server(answers(UPLOADED, UPLOADED, whole(), whole(large))) as server:
        async with client_to(server, max_concurrency=1) as client:
            await client.upload(path)
            await client.upload(JPEG)
            saved = await client.download("ID", folder + "/")
            media = await client.read("ID")
            assert client.transport == "httpx", client.transport
    assert saved.path.read_bytes() == JPEG
    assert media.content == large
    assert server.connections == 1
    print("done", end="")

anyio.run(main, sys.argv[1], backend="{backend}")
"""


@pytest.mark.parametrize(
    ("missing", "backend"),
    [
        pytest.param([POLL], "asyncio", id="gevent"),
        pytest.param([WATCHING], "asyncio", id="no-watching"),
        pytest.param([POLL, CALLS, LOCKS, WATCHING], "asyncio", id="windows"),
        pytest.param([POLL, CALLS, LOCKS], "trio", id="windows-trio"),
    ],
)
def test_platform_without(missing: list[str], backend: str, tmp_path: Path) -> None:
    """Transfers go over httpx's stack, as fast connections and files allow."""
    program = PROGRAM.format(missing="\n".join(missing), backend=backend)

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("done", "")


def test_closing_wakes_who_waits_without_watching() -> None:
    """A reader is woken where another thread watches its socket as well."""
    program = (
        "import asyncio, os, select, sys"
        + WATCHING
        + """
import anyio, httpx
from tests.sockets.server import Server, response, stalls_after
from tests.transport.test_lanes import lane_transport

async def read(reply):
    try:
        await reply.aread()
    except httpx.ReadError:
        print("woken", end="")

async def main():
    with Server(stalls_after(response(b"", "Content-Length: 9"))) as server:
        transport = lane_transport()
        request = httpx.Request("GET", server.url)
        reply = await transport.handle_async_request(request)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, reply)
            await anyio.wait_all_tasks_blocked()
            await transport.aclose()

anyio.run(main)
"""
    )

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.stdout, done.stderr) == ("woken", "")
