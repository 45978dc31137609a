from __future__ import annotations

import ast
import re

import pytest

from .pages import DOCS, page

PAGES = [
    "index.md",
    "start.md",
    *sorted(f"guide/{path.name}" for path in (DOCS / "guide").glob("*.md")),
]
CHINESE = re.compile(r"[\u4e00-\u9fff]")

# Names, which are the same in every language.
NAMES = {"wxmedia_async", "Tokens"}


def catalogue(name: str) -> dict[str, str]:
    """Return what each text of a page is in Chinese."""
    path = DOCS / "locale/zh_CN/LC_MESSAGES" / name.replace(".md", ".po")
    entries = re.findall(
        r'^msgid ((?:".*"\n)+)msgstr ((?:".*"\n?)+)',
        path.read_text("utf-8"),
        re.MULTILINE,
    )
    return {unquoted(original): unquoted(text) for original, text in entries}


def unquoted(lines: str) -> str:
    return "".join(ast.literal_eval(line) for line in lines.splitlines())


@pytest.mark.parametrize("name", PAGES)
def test_every_heading_is_translated(name: str) -> None:
    """A heading that was added or changed is missed in Chinese."""
    texts = catalogue(name)
    prose = re.sub(r"^```.*?^```", "", page(name), flags=re.DOTALL | re.MULTILINE)

    for heading in re.findall(r"^#+ (.+)$", prose, re.MULTILINE):
        assert heading in texts
        assert heading in NAMES or CHINESE.search(texts[heading])


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_left_empty(name: str) -> None:
    """No text of a catalogue lacks its translation."""
    assert [original for original, text in catalogue(name).items() if not text] == []


@pytest.mark.parametrize("name", PAGES)
def test_programs_are_not_translated(name: str) -> None:
    """Blocks of code are in no catalogue, so a page shows the same ones in Chinese."""
    programs = re.findall(
        r"^```[^\n]*\n(.*?)^```", page(name), re.DOTALL | re.MULTILINE
    )

    assert set(catalogue(name)) & set(programs) == set()
