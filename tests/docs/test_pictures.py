from __future__ import annotations

import re

from tests.test_layers import arrows

from .pages import DOCS, page

DRAWN = re.findall(r"(\w+) -> (\w+)", page("pictures/house.dot"))
ALIASES = {"__init__": "_client", "_assembly": "_client"}
PUBLIC = {"cli", "contrib", "stores", "transport", "simulator"}

# Its method `client()` alone does, when it is called.
LATER = {("simulator", "_client")}


def drawn() -> set[tuple[str, str]]:
    return {(part(above), part(below)) for above, below in DRAWN}


def part(name: str) -> str:
    return name if name in PUBLIC else f"_{name}"


def below(name: str, edges: set[tuple[str, str]]) -> set[str]:
    """Return what can be reached from a part."""
    found, left = set[str](), [name]
    while left:
        last = left.pop()
        further = {other for above, other in edges if above == last} - found
        found |= further
        left += further
    return found


def test_the_house_shows_all_arrows() -> None:
    """Whatever a part imports is below it in the drawing."""
    edges = drawn()
    # What is pure is for all, and drawn once.
    parts = {name for edge in edges for name in edge} - {"_wire"}
    for above, other in arrows():
        above, other = ALIASES.get(above, above), ALIASES.get(other, other)
        if {above, other} <= parts and above != other and (above, other) not in LATER:
            assert other in below(above, edges)


def test_pictures_load_nothing() -> None:
    """A drawing has no typeface or image from elsewhere."""
    for path in (DOCS / "pictures").glob("*.svg"):
        assert not re.search(r"url\(['\"]?http|href=['\"]http", path.read_text("utf-8"))
