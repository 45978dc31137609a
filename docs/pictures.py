"""
Draws the pictures of the documentation: python docs/pictures.py

Needs the extra ``cli``, and Graphviz for the house. What it writes is committed, so that
the documentation can be built without either.
"""

from __future__ import annotations

import io
import re
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import anyio
from rich.console import Console, RenderableType
from rich.text import Text

from wxmedia_async import MINI_PROGRAM, Outcome, Progress, ServerBusy
from wxmedia_async.cli._demo import run_demo
from wxmedia_async.cli._display import drawn
from wxmedia_async.cli._tally import Tally

PICTURES = Path(__file__).parent / "pictures"


def main() -> None:
    """Draw all of them."""
    save("demo", "wxmedia demo", Text(demo()), width=44)
    save("batch", "wxmedia upload photos/*.jpg", drawn(batch()), width=64)
    house()


def demo() -> str:
    """Run the demo, and return what it prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        anyio.run(lambda: run_demo(MINI_PROGRAM, 16, json=False))
    return printed.getvalue().rstrip()


def batch() -> Tally:
    """Return a batch in the middle of its work."""
    now = 0.0
    tally = Tally(1_000, clock=lambda: now)
    for number in range(434):
        size = 90_000 + 37_000 * (number * 7 % 11)
        done = size if number < 420 else size * (3 + number * 5 % 13) // 16
        item, now = f"photos/{number:04}.jpg", now + 0.02
        tally.note(Progress(item=item, done=done, total=size))
        if number < 420:
            error = ServerBusy(code=-1) if number in (97, 311) else None
            tally.count(Outcome(item, None, number, error=error, attempts=1))
        tally.speed()
    return tally


def save(name: str, title: str, content: RenderableType, *, width: int) -> None:
    """Write *content* as a terminal shows it, without any font from elsewhere."""
    console = Console(record=True, file=io.StringIO(), width=width, force_terminal=True)
    console.print(content)
    drawing = console.export_svg(title=title, unique_id=name)
    drawing = re.sub(r"@font-face \{.*?\}", "", drawing, flags=re.DOTALL)
    drawing = drawing.replace("Fira Code", "DejaVu Sans Mono")
    drawing = "\n".join(line.rstrip() for line in drawing.splitlines() if line.strip())
    (PICTURES / f"{name}.svg").write_text(drawing + "\n", "utf-8")


def house() -> None:
    """Draw the house from its text."""
    command = ["dot", "-Tsvg", str(PICTURES / "house.dot")]
    drawing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (PICTURES / "house.svg").write_text(drawing, "utf-8")


if __name__ == "__main__":
    main()
