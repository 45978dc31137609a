"""The directive ``house``: every module of the package, with what its docstring says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

sys.path.insert(0, str(Path(__file__).parents[1]))
import listing


class House(SphinxDirective):
    """Shows the package as it is when the documentation is built."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes("\n".join(rows()))


def rows() -> Iterator[str]:
    parts = sorted(
        filter(listing.is_part, listing.PACKAGE.iterdir()), key=listing.place
    )
    yield from ("| | |", "|---|---|")
    for part in parts:
        slash = "/" if part.is_dir() else ""
        yield f"| **`{part.stem}{slash}`** | **{cell(listing.module(part))}** |"
        if part.is_dir():
            for path in sorted(part.rglob("*.py")):
                if path.stem != "__init__":
                    name = path.relative_to(part).with_suffix("").as_posix()
                    yield f"| `{name}` | {cell(path)} |"


def cell(path: Path) -> str:
    return listing.sentence(path).replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, object]:
    app.add_directive("house", House)
    return {"parallel_read_safe": True}
