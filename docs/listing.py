"""
Writes the house's listing into the pages that show it: python docs/listing.py

What it says of a folder or a module is the first sentence of its docstring.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "wxmedia_async"
PAGES = [ROOT / name for name in ("README.md", "README.zh-CN.md")]
WIDTH = 88
COLUMN = 14

# From what users hold down to what knows nothing of the rest.
ORDER = [
    *(
        "_client",
        "_assembly",
        "_batch",
        "_upload",
        "_download",
        "_call",
        "_session",
        "_tokens",
    ),
    *("_sources", "_files", "_local", "_wire", "stores", "transport", "simulator"),
    *("contrib", "cli"),
]

BLOCK = re.compile(r"(?<=```text\n)wxmedia_async/\n.*?(?=```)", re.DOTALL)


def main() -> None:
    """Write it into all pages."""
    for page in PAGES:
        text = page.read_text("utf-8")
        page.write_text(BLOCK.sub(lambda _: listing(), text, count=1), "utf-8")


def listing() -> str:
    """Return the package's folders and modules, each with what it is."""
    parts = sorted(filter(is_part, PACKAGE.iterdir()), key=place)
    lines = (line for part in parts for line in described(part))
    return "\n".join(["wxmedia_async/", *lines, ""])


def is_part(path: Path) -> bool:
    """Return whether it is a folder or a module of the package."""
    return (
        module(path).suffix == ".py"
        and module(path).exists()
        and path.stem != "__init__"
    )


def place(path: Path) -> tuple[int, str]:
    """Return where a part stands in the listing; one that is new comes last."""
    known = ORDER.index(path.stem) if path.stem in ORDER else len(ORDER)
    return known, path.stem


def module(path: Path) -> Path:
    """Return where a part says what it is."""
    return path / "__init__.py" if path.is_dir() else path


def described(path: Path) -> Iterator[str]:
    """Yield what a part is, and the modules in it."""
    name = f"{path.name}/" if path.is_dir() else path.stem
    yield f"    {name:{COLUMN}} {sentence(module(path))}"
    if path.is_dir():
        within = " ".join(sorted(modules(path)))
        space = " " * (COLUMN + 5)
        yield from textwrap.wrap(
            within, WIDTH, initial_indent=space, subsequent_indent=space
        )


def modules(folder: Path) -> Iterator[str]:
    """Yield the modules in a folder and those below it."""
    for path in folder.rglob("*.py"):
        if path.stem != "__init__":
            yield ".".join(path.relative_to(folder).with_suffix("").parts).strip("_")


def sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    first = " ".join(text.split("\n\n")[0].split())
    return re.split(r"\.(?: |$)", first)[0].rstrip(":").replace("``", "")


if __name__ == "__main__":
    main()
