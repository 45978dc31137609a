from __future__ import annotations

import os
import signal
import socket
import sys

import attrs
import pytest

from wxmedia_async import OFFICIAL_ACCOUNT
from wxmedia_async.cli import main
from wxmedia_async.cli._screen import PlainScreen
from wxmedia_async.cli._simulate import simulator_from, with_limit

Captured = pytest.CaptureFixture[str]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_served_until_terminated(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The base URL is the only line, and it can be ended as soon as that is there."""
    say = PlainScreen.say

    def say_and_end(screen: PlainScreen, line: str) -> None:
        say(screen, line)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(PlainScreen, "say", say_and_end)

    code = main(["simulate", "--platform", "wecom", "--max-bytes", "1000"])

    out, err = capsys.readouterr()
    assert (code, err) == (0, "")
    assert out.startswith("http://127.0.0.1:")
    assert out.count("\n") == 1


def test_port_is_taken(capsys: Captured) -> None:
    """A port that is taken is told in one line; exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code = main(["simulate", "--port", str(taken.getsockname()[1])])

    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert "in use" in err
    assert err.count("\n") == 1


def test_one_limit_for_all_types() -> None:
    """One limit can take the place of all, with everything else as it was."""
    raised = with_limit(OFFICIAL_ACCOUNT, 1 << 30)

    assert raised.max_bytes == 1 << 30
    assert {
        name: attrs.evolve(limit, max_bytes=OFFICIAL_ACCOUNT.limits[name].max_bytes)
        for name, limit in raised.limits.items()
    } == OFFICIAL_ACCOUNT.limits


def test_platform_is_kept() -> None:
    """The simulator behaves like the platform that was asked for."""
    simulator = simulator_from({}, OFFICIAL_ACCOUNT)

    assert simulator.platform == OFFICIAL_ACCOUNT
