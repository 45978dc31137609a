"""
Looks at the built site: python docs/check.py

Every link inside it leads somewhere, nothing is loaded from elsewhere, and what is
translated is translated whole.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from babel.messages.pofile import read_po

HERE = Path(__file__).parent
BUILT = HERE / "_build"
SITE = BUILT / "html"
LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("source", "src")}
TRANSLATED = ["index", "start", "guide/*"]

# What is called the same in both.
NAMES = {"wxmedia_async", "access_token"}


class Page(HTMLParser):
    """
    What a page refers to, and what can be referred to in it.

    Attributes:
        links: What it leads to or loads.

        anchors: The places in it.

        foreign: What it loads from other sites.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.foreign: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif name in ("href", "src") and value:
                self._refer(tag, name, value, dict(attrs))

    def _refer(
        self, tag: str, name: str, value: str, attrs: dict[str, str | None]
    ) -> None:
        away = bool(urlsplit(value).scheme or urlsplit(value).netloc)
        if not away:
            self.links.add(value)
        elif (tag, name) in LOADED and attrs.get("rel") not in ("canonical",):
            self.foreign.add(value)


class Headings(HTMLParser):
    """
    The headings of a page, and its programs.

    Attributes:
        headings: The text of each.

        programs: The text of each.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.headings: list[str] = []
        self.programs: list[str] = []
        self._within: list[str] | None = None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        kinds = {"h1": self.headings, "h2": self.headings, "pre": self.programs}
        if tag in kinds:
            self._within = kinds[tag]
            self._within.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("h1", "h2", "pre"):
            self._within = None

    def handle_data(self, data: str) -> None:
        if self._within:
            self._within[-1] += data


@cache
def page(path: Path) -> Page:
    return Page(path)


def pages() -> list[Path]:
    return sorted(SITE.rglob("*.html"))


def broken() -> Iterator[str]:
    """Yield the links that lead nowhere, and what is loaded from elsewhere."""
    for path in pages():
        for link in page(path).links:
            if not leads_somewhere(path, link):
                yield f"{path.relative_to(SITE)}: {link} leads nowhere"
        for link in page(path).foreign:
            yield f"{path.relative_to(SITE)}: {link} is loaded from elsewhere"


def leads_somewhere(path: Path, link: str) -> bool:
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if not target.is_file():
        return False
    anchor = unquote(parts.fragment)
    if not anchor or target.suffix != ".html":
        return True
    return anchor in page(target).anchors


def untranslated() -> Iterator[str]:
    """Yield what a translated page lacks, and what no longer stands in the original."""
    templates = BUILT / "gettext"
    for pattern in TRANSLATED:
        for template in sorted(templates.glob(f"{pattern}.pot")):
            name = template.relative_to(templates).with_suffix("")
            catalogue = HERE / "locale/zh_CN/LC_MESSAGES" / f"{name}.po"
            for message in lacking(template, catalogue):
                yield f"{name} in Chinese lacks: {message!r}"


def unlike() -> Iterator[str]:
    """Yield where a translated page, as it is shown, is not like its original."""
    for pattern in TRANSLATED:
        for path in sorted(SITE.glob(f"{pattern}.html")):
            name = path.relative_to(SITE)
            original, shown = Headings(path), Headings(SITE / "zh_CN" / name)
            if original.programs != shown.programs:
                yield f"{name} has other programs in Chinese"
            if len(original.headings) != len(shown.headings):
                yield f"{name} has another number of headings in Chinese"
            for heading in shown.headings:
                title = heading.rstrip("¶#")
                if title.isascii() and title not in NAMES:
                    yield f"{name} shows in English: {title}"


def lacking(template: Path, catalogue: Path) -> Iterator[str]:
    with template.open("rb") as there, catalogue.open("rb") as here:
        wanted, given = read_po(there), read_po(here)
    for message in wanted:
        found = given.get(message.id)
        if message.id and (found is None or found.fuzzy or not found.string):
            yield str(message.id)


def main() -> int:
    """Complain of what is wrong, or say what there is."""
    complaints = [*broken(), *untranslated(), *unlike()]
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    links = sum(len(page(path).links) for path in pages())
    english = [path for path in pages() if "zh_CN" not in path.parts]
    [tests] = re.findall(r"(\d+) tests?$", programs(), re.MULTILINE)
    print(
        f"{len(english)} pages, {len(pages()) - len(english)} with Chinese,"
        f" {links} links inside, {tests} programs run"
    )
    return 1 if complaints else 0


def programs() -> str:
    """Return what running the programs of the pages has printed."""
    return (BUILT / "doctest" / "output.txt").read_text("utf-8")


if __name__ == "__main__":
    sys.exit(main())
