"""What is loaded by whom: no module before its first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# What some need, none when it starts.
RARE = frozenset(
    {
        "aiohttp",
        "h11",
        "h2",
        "httpcore",
        "httpx2",
        "obstore",
        "opentelemetry",
        "redis",
        "socksio",
        "sqlite3",
        "starlette",
        "taskiq",
        "trio",
        "uvicorn",
        "uvloop",
    }
)

IMPORT = "import wxmedia_async"
USE = "from wxmedia_async import MediaClient"
CONSTRUCT = """
from wxmedia_async import MINI_PROGRAM, MediaClient
for url in ("http://127.0.0.1:9", "https://127.0.0.1:9"):
    MediaClient("TOKEN", base_url=url)
"""
TRANSFER = """
import asyncio, sys, tempfile
from tests.fakes import JPEG
from tests.sockets.server import UPLOADED, Server, always, whole
from wxmedia_async import MediaClient
before = set(sys.modules)

async def main(folder):
    with Server(always(UPLOADED)) as taking, Server(always(whole())) as giving:
        async with MediaClient("TOKEN", base_url=taking.url) as client:
            await client.upload(JPEG)
        async with MediaClient("TOKEN", base_url=giving.url) as client:
            assert client.transport == "sockets"
            async with client.download_many(["a", "b"], folder) as outcomes:
                assert [outcome.ok async for outcome in outcomes] == [True, True]

with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(folder))
"""
REPORT = "\nimport sys; print(*sys.modules)"


def loaded(program: str) -> set[str]:
    """The modules that a process has loaded at its end."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program + REPORT],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("program", [IMPORT, USE, CONSTRUCT])
def test_what_few_need_is_not_loaded(program: str) -> None:
    """To make a client loads neither httpx's stack, nor databases, nor event loops."""
    assert not RARE & loaded(program)


def test_import_alone_loads_nothing() -> None:
    """The package loads a module when a name of it is asked for, httpx not before."""
    ours = {name for name in loaded(IMPORT) if name.startswith("wxmedia_async")}

    assert ours == {"wxmedia_async", "wxmedia_async._lazy"}
    assert not {"httpx", "anyio", "attrs", "ssl"} & loaded(IMPORT)


@pytest.mark.skipif(sys.platform == "win32", reason="goes over httpx's stack")
def test_transfers_need_no_stack_of_httpx() -> None:
    """Transfers over our sockets go without httpcore, and without another event loop."""
    assert not {"httpcore", "trio", "h11", "sqlite3"} & loaded(TRANSFER)


def test_stack_of_httpx_is_loaded_at_its_first_use() -> None:
    """Once it is needed, httpx's own transport is there."""
    needed = TRANSFER.replace('== "sockets"', '== "httpx"')
    program = "import select; del select.poll\n" + needed

    assert "httpcore" in loaded(program)


def test_help_needs_no_client() -> None:
    """The command line's help loads neither httpx nor the simulator."""
    program = "from wxmedia_async.cli import main; main(['--help'])"

    assert not {"httpx", "anyio", "uvicorn", "asyncio"} & loaded(program)
