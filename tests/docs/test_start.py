"""The steps of docs/start.md, taken one after the other as a reader takes them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .pages import page

STEP = re.compile(r"^```(sh|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
STEPS = [
    (match[1], match[2], re.findall(r"`(\w+\.py)`", page("start.md")[: match.start()]))
    for match in STEP.finditer(page("start.md"))
]
# Who has no such shell reads the steps, and takes others.
if shutil.which("bash") is None:  # pragma: no cover
    pytest.skip("bash is missing", allow_module_level=True)

ADDRESS = "http://127.0.0.1:8700"
INSTALLS = re.compile(r"^(python3 -m venv|\. \.venv/|pip install) ?.*$", re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("start")
    (folder / "cat.jpg").write_bytes(b"\xff\xd8\xff a cat")
    return folder


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve a simulated WeChat, as the reader does in another terminal."""
    command = [sys.executable, "-m", "wxmedia_async.cli", "simulate"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        yield serving.stdout.readline().strip()
        serving.terminate()


def environment() -> dict[str, str]:
    """Return that of somebody who has just activated the environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {
        "PATH": path,
        "WXMEDIA_APPID": "wx1",
        "WXMEDIA_SECRET": "anything",
    }


@pytest.mark.parametrize("number", range(len(STEPS)))
def test_step(number: int, folder: Path, address: str) -> None:
    """Each step goes well, after those before it."""
    language, text, files = STEPS[number]
    text = INSTALLS.sub("", text).replace(ADDRESS, address).strip()
    if language == "python":
        (folder / files[-1]).write_text(text)
    elif text and not text.startswith("wxmedia simulate"):
        done = subprocess.run(
            ["bash", "-e", "-c", text],
            check=False,
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_they_left(folder: Path) -> None:
    """The reader has what the page says: a download, a manifest, nothing half."""
    assert len(list((folder / "inbox").iterdir())) == 1
    assert len((folder / "sent.jsonl").read_text().splitlines()) >= 100
