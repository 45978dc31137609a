"""The folder is the architecture: imports go down, and nowhere else."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wxmedia_async

PACKAGE = Path(wxmedia_async.__file__).parent

LEAVES = {
    *("_errors", "_models", "_platforms", "_progress", "_foreign", "_events", "_lazy"),
}

# What each part may import of the others; `_wire` and what is pure is for all.
BELOW = {
    "_client": {"_assembly", "_batch", "_upload", "_download", "_call", "_session"}
    | {"_tokens", "_files"},
    "_assembly": {"_batch", "_upload", "_session", "_tokens", "transport"},
    "_batch": {"_upload", "_download", "_files", "_local", "_session"},
    "_upload": {"_sources", "_session", "_tokens", "_local"},
    "_download": {"_files", "_session", "_local"},
    "_call": {"_session"},
    "_session": {"_tokens"},
    "_tokens": {"stores"},
    "stores": {"_local"},
    "_sources": {"_local"},
    "_files": {"_local"},
    "_local": set[str](),
    "_wire": set[str](),
    "transport": set[str](),
    "simulator": {"__init__"},
    "cli": {"__init__", "simulator", "stores"},
    "contrib": {"__init__", "simulator"},
    "__init__": {
        *("_client", "_upload", "_download", "_tokens", "stores", "_session"),
    },
    "__main__": {"cli"},
}
# The transport knows nothing of WeChat, and the simulator nothing of the client.
WITHOUT_LEAVES = {"transport", "_local"}


def part_of(module: tuple[str, ...]) -> str:
    """Return the part of the house that a module is in."""
    if not module:
        return "__init__"
    return module[0]


def imports(path: Path) -> Iterator[str]:
    """Yield the parts that a module imports, when it is loaded or later."""
    inside = path.relative_to(PACKAGE).with_suffix("").parts
    package = inside[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = package[: len(package) - node.level + 1]
            base = above + tuple((node.module or "").split(".")) * bool(node.module)
            for name in node.names if not base else ():
                is_part = (PACKAGE / f"{name.name}.py").exists()
                is_part |= (PACKAGE / name.name).is_dir()
                yield name.name if is_part else "__init__"
            if base:
                yield part_of(base)


def arrows() -> set[tuple[str, str]]:
    """Return who imports whom."""
    found: set[tuple[str, str]] = set()
    for path in PACKAGE.rglob("*.py"):
        part = part_of(path.relative_to(PACKAGE).with_suffix("").parts)
        found |= {(part, other) for other in imports(path) if other != part}
    return found


def test_imports_go_down() -> None:
    """No part imports another than those below it."""
    allowed = {(part, other) for part, others in BELOW.items() for other in others}
    allowed |= {
        (part, leaf)
        for part in BELOW.keys() - WITHOUT_LEAVES
        for leaf in {*LEAVES, "_wire"}
    }
    allowed |= {(leaf, other) for leaf in LEAVES for other in LEAVES}

    assert arrows() - allowed == set()


def test_every_part_has_its_place() -> None:
    """A new part is given its place here before it is imported."""
    parts = {
        part_of(path.relative_to(PACKAGE).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
    }

    assert parts - BELOW.keys() - LEAVES == set()


@pytest.mark.parametrize(
    "folder", sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
)
def test_every_folder_says_what_it_is_for(folder: Path) -> None:
    """The docstring of a folder is its sign."""
    tree = ast.parse((folder / "__init__.py").read_text())

    assert ast.get_docstring(tree)


def test_uploads_and_downloads_are_strangers() -> None:
    """Neither imports the other."""
    assert not {("_upload", "_download"), ("_download", "_upload")} & arrows()


def test_one_name_one_class() -> None:
    """No public name of a module stands for two classes."""
    seen: dict[str, Path] = {}
    twice: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                if node.name in seen:
                    twice.append(f"{node.name}: {seen[node.name]} and {path}")
                seen[node.name] = path

    assert twice == []
