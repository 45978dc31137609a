from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

from wxmedia_async.cli import _demo, main
from wxmedia_async.simulator import Simulator

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Fewer and smaller images, in a folder of the test."""
    monkeypatch.setattr(_demo, "_FILES", 6)
    monkeypatch.setattr(_demo, "_LARGEST", 40_000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_table(capsys: Captured, tmp_path: Path) -> None:
    """The demo ends with a table of what it saw, and leaves no file behind."""
    code = main(["demo"])

    out, err = capsys.readouterr()
    table = {row[0]: row[1:] for row in map(cells, out.splitlines()) if row}
    assert (code, err) == (0, "")
    assert table["files"] == ["6", "6"]
    assert table["retries"] == ["3", "2"]
    assert table["token fetches"][0] == "1"
    assert table["all equal"][0] == "yes"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("platform", ["mini_program", "official_account", "wecom"])
def test_json(platform: str, capsys: Captured) -> None:
    """The same as one JSON object, on every platform."""
    code = main(["demo", "--json", "--platform", platform, "--concurrency", "3"])

    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert report["all_equal"] is True
    assert report["upload"]["files"] == report["download"]["files"] == 6
    assert report["upload"]["bytes"] == report["download"]["bytes"] > 60_000
    assert 1 <= report["in_flight_peak"] <= 3


class Exhausted(Simulator):
    """Has used up the calls of the day when the first file comes."""

    def fail(self, n: int, fault: Any, on: Any = "download") -> None:
        super().fail(1, 45009, on)


def test_failures(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails is named, the table says so, and the exit code is 1."""
    monkeypatch.setattr(_demo, "Simulator", Exhausted)

    code = main(["demo", "--concurrency", "1"])

    out, err = capsys.readouterr()
    assert code == 1
    assert err.count("QuotaExceeded: errcode 45009") == 6
    assert re.search(r"all equal\W+no", out)


def test_other_bytes(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that come back with other bytes are not equal."""
    read_bytes = Path.read_bytes
    monkeypatch.setattr(
        Path, "read_bytes", lambda path: read_bytes(path) + os.fsencode(path.parent)
    )

    code = main(["demo", "--json"])

    assert code == 1
    assert json.loads(capsys.readouterr().out)["all_equal"] is False


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in re.split("[│┃]", row)[1:-1]]
