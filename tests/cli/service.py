"""The simulated service as the command line sees it, and what comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import attrs

from wxmedia_async.cli import main
from wxmedia_async.simulator import Simulator

APPID = "wx-of-the-tests"
SECRET = "SECRET-that-must-never-be-seen"


@attrs.frozen
class Service:
    """A simulator, and where it is served."""

    simulator: Simulator
    url: str

    def run(self, *arguments: object) -> int:
        """Run a command on it, in this process, and return the exit code."""
        return main([*map(str, arguments), "--base-url", self.url])

    def contents(self) -> dict[str, bytes]:
        """All that is stored, by media_id."""
        return {
            media_id: b"".join(media.pieces(0, media.size))
            for media_id, media in self.simulator.media.items()
        }

    def calls(self, path: str) -> int:
        """How many requests there were of this kind."""
        return sum(request.path.endswith(path) for request in self.simulator.requests)


def json_lines(text: str) -> list[dict[str, Any]]:
    """Read what --json wrote."""
    return [json.loads(line) for line in text.splitlines()]


def started(
    *arguments: object, environment: Mapping[str, str] | None = None, **streams: Any
) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    # Neither credentials of the developer's own, nor PYTHONUNBUFFERED.
    known = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WXMEDIA_", "PYTHONUN"))
    }
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Not -X dev: asyncio would tell how long it took, on a machine that is busy.
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "wxmedia_async", *map(str, arguments)],
        env=known | dict(environment or {}),
        text=True,
        **(pipes | streams),
    )


def shown_on(terminal: int) -> Iterator[bytes]:
    """Return what is shown on a terminal, until nobody has it open any more."""
    # Linux says that by an error.
    with suppress(OSError):
        while chunk := os.read(terminal, 65_536):
            yield chunk


CREDENTIALS = {"WXMEDIA_APPID": APPID, "WXMEDIA_SECRET": SECRET}
