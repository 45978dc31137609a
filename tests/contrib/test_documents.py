"""What the documentation says of the neighbours."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

import wxmedia_async
from wxmedia_async import MediaError
from wxmedia_async.contrib.web import status_of

DOCS = Path(__file__).parents[2] / "docs"
WEB = (DOCS / "web.md").read_text("utf-8")
PROGRAMS = [
    program
    for page in ("web.md", "object-storage.md")
    for program in re.findall(
        r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL
    )
]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs_are_python(program: str) -> None:
    """Each program is valid, and each name that it imports from us exists."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree = compile(f"async def _():\n{indented(program)}", "docs", "exec", flags)

    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("wx"):
            module = importlib.import_module(node.module or "")
            assert all(hasattr(module, alias.name) for alias in node.names)


def indented(program: str) -> str:
    return "".join(f"    {line}\n" for line in program.splitlines())


def test_statuses() -> None:
    """The table of statuses is the one that is kept."""
    rows = re.findall(r"^\| (\w[\w, ]*) \| (\d{3}) \|$", WEB, re.MULTILINE)
    said = {name: int(status) for names, status in rows for name in names.split(", ")}
    rest = said.pop("every other one")

    for name, error in vars(wxmedia_async).items():
        if isinstance(error, type) and issubclass(error, MediaError):
            status, _ = status_of(error.__new__(error))
            assert said.get(name, rest) == status


def test_examples() -> None:
    """The table of examples names all that there are."""
    named = set(re.findall(r"python docs/examples/(\w+)\.py", WEB))
    pretended = {"pretended"}

    assert named == {path.stem for path in (DOCS / "examples").glob("*.py")} - pretended
