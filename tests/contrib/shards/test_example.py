"""The example of the documentation, as it is run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "archive.py"


def test_the_example_runs_without_a_server(tmp_path: Path) -> None:
    """One command archives 300 media of three accounts, and says so."""
    done = subprocess.run(
        [sys.executable, EXAMPLE],
        capture_output=True,
        text=True,
        check=True,
        env={"ARCHIVE": str(tmp_path), "PATH": ""},
    )

    assert done.stdout == (
        f"simulated: {{'done': 300, 'skipped': 0, 'failed': 0}} in {tmp_path}\n"
    )
    assert done.stderr.endswith("300 of 300 items, 0 failed\n")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "wx-a",
        "wx-b",
        "wx-c",
    ]
    assert len(list(tmp_path.glob("wx-*/*"))) == 300
