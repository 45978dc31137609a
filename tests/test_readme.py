from __future__ import annotations

import ast
import inspect
import re
import runpy
from pathlib import Path

import pytest

import wxmedia_async
from wxmedia_async import MediaError
from wxmedia_async.simulator import Simulator

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)


def test_set_up_comes_first() -> None:
    """The first two commands install and show it, and install and test it."""
    steps = [command.rstrip().split(" && ") for command in COMMANDS[:2]]

    assert steps == [
        ["python3 -m venv .venv", install("cli"), ".venv/bin/wxmedia demo"],
        ["python3 -m venv .venv", install("test"), ".venv/bin/python -m pytest"],
    ]


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs_are_python(program: str) -> None:
    """Each program is valid, and each name that it imports from us exists."""
    tree = compile(
        program,
        "README.md",
        "exec",
        flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )

    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "wxmedia_async"
        for alias in node.names
    }
    assert imported <= set(wxmedia_async.__all__)


def test_tree_of_errors() -> None:
    """The tree names every error there is, under its own base."""
    drawn = dict(branches(README))

    assert drawn == {
        cls.__name__: cls.__base__.__name__
        for cls in vars(wxmedia_async).values()
        if inspect.isclass(cls) and issubclass(cls, MediaError) and cls.__base__
    }


async def test_example_of_a_test(tmp_path: Path) -> None:
    """The test that is shown passes."""
    [program] = [program for program in PROGRAMS if "wxmedia_simulator" in program]
    (tmp_path / "shown.py").write_text(program)
    shown = runpy.run_path(str(tmp_path / "shown.py"))["test_greeting"]
    simulator = Simulator()

    await shown(simulator)

    assert [request.path for request in simulator.requests][-1] == "/cgi-bin/media/get"
    simulator.close()


def install(extra: str) -> str:
    return f'.venv/bin/pip install -e ".[{extra}]"'


def branches(text: str) -> list[tuple[str, str]]:
    """Each error of the tree, with the one that it hangs from."""
    path = ["Exception", "MediaError"]
    found = [("MediaError", "Exception")]
    for indent, name in re.findall(r"^([│ ]*)[├└]── (\w+)", text, re.MULTILINE):
        depth = len(indent) // 4 + 2
        path[depth:] = [name]
        found.append((name, path[depth - 1]))
    return found
