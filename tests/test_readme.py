from __future__ import annotations

import ast
import re
import runpy
import tomllib
from pathlib import Path

import pytest

import wxmedia_async

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
README = PAGES[0].read_text("utf-8")
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]
PLACE = f"{URLS['Source']}/blob/main/"
RAW = PLACE.replace("github.com", "raw.githubusercontent.com").replace("blob/", "")
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


def test_images_are_addresses() -> None:
    """An index page shows the images too, and each of them is in the repository."""
    images = images_of(README)

    assert images
    for image in images:
        assert image.startswith(RAW)
        assert (ROOT / image.removeprefix(RAW)).is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_architecture_is_the_listing(page: Path) -> None:
    """The listing names each module there is; python docs/listing.py writes it."""
    listing = runpy.run_path(str(ROOT / "docs/listing.py"))["listing"]()

    assert f"```text\n{listing}```" in page.read_text("utf-8")


def test_first_lines_link_to_each_other() -> None:
    """Whoever reads one language finds the other in the first line."""
    english, chinese = (page.read_text("utf-8").splitlines()[0] for page in PAGES)

    assert f"({PLACE}README.zh-CN.md)" in english
    assert f"({PLACE}README.md)" in chinese


def test_chinese_has_all_of_it() -> None:
    """Each heading has its counterpart, and programs, commands and images are the same."""
    original, translation = (page.read_text("utf-8") for page in PAGES)

    assert levels(translation) == levels(original)
    assert blocks(translation) == blocks(original)
    assert images_of(translation) == images_of(original)
    assert all(re.search(r"[\u4e00-\u9fff]", title) for title in titles(translation))


def levels(text: str) -> list[int]:
    return [len(marks) for marks, _ in headings(text)]


def titles(text: str) -> list[str]:
    """Return the headings but the first, which is the name."""
    return [title for _, title in headings(text)][1:]


def headings(text: str) -> list[tuple[str, str]]:
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    return re.findall(r"^(#+) (.+)$", prose, re.MULTILINE)


def blocks(text: str) -> list[str]:
    return re.findall(r"```.*?```", text, re.DOTALL)


def images_of(text: str) -> list[str]:
    return re.findall(r"!\[[^]]+\]\((\S+)\)", text)


def install(extra: str) -> str:
    return f'.venv/bin/pip install -e ".[{extra}]"'
