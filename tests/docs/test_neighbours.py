from __future__ import annotations

import re

from .pages import DOCS

PAGES = [*DOCS.glob("*.md"), *DOCS.glob("neighbours/*.md")]

# What the examples have in common.
SHARED = {"pretended"}


def test_every_example_is_shown() -> None:
    """Each example is the whole of a page, or has a link from one."""
    text = "".join(page.read_text("utf-8") for page in PAGES)
    shown = set(re.findall(r"(?:literalinclude\} \.\./|\()examples/(\w+)\.py", text))

    assert shown == {path.stem for path in (DOCS / "examples").glob("*.py")} - SHARED
