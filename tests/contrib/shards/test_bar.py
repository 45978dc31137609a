"""How far a batch is, on standard error."""

from __future__ import annotations

import io
import sys
from collections import Counter

import pytest

from wxmedia_async.contrib import _bar
from wxmedia_async.contrib.taskiq import progress_bar


class Terminal(io.StringIO):
    """Standard error, as a terminal."""

    def isatty(self) -> bool:
        return True


def test_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first counts are a line, then one now and then, and the last."""
    monkeypatch.setattr(_bar, "_PATIENCE", 1e9)

    with progress_bar(4) as progress:
        for done in range(4):
            progress(Counter(done=done, failed=1))

    assert capsys.readouterr().err == (
        "1 of 4 items, 1 failed\n4 of 4 items, 1 failed\n"
    )


def test_a_list_of_unknown_length(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a total there is only how many came to an end."""
    monkeypatch.setattr(_bar, "_PATIENCE", 0.0)

    with progress_bar() as progress:
        progress(Counter())
        progress(Counter(done=2, skipped=1))

    assert capsys.readouterr().err == "0 items, 0 failed\n3 items, 0 failed\n"


@pytest.mark.parametrize("rich", [True, False])
def test_a_bar_on_a_terminal(rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal rich draws a bar; without rich there are lines."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    if not rich:
        monkeypatch.setattr(_bar, "find_spec", lambda name: None)

    with progress_bar(3) as progress:
        progress(Counter(done=2, failed=1))

    assert "3 items, 1 failed" in terminal.getvalue() or not rich
    assert ("100%" in terminal.getvalue()) is rich
    assert (terminal.getvalue() == "3 of 3 items, 1 failed\n") is not rich
