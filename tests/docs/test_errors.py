from __future__ import annotations

import inspect
import re

import wxmedia_async
from wxmedia_async import MediaError

from .pages import page

PAGE = page("guide/errors.md")


def test_tree_of_errors() -> None:
    """The tree names every error there is, under its own base."""
    drawn = dict(branches(PAGE))

    assert drawn == {
        cls.__name__: cls.__base__.__name__ for cls in errors().values() if cls.__base__
    }


def test_what_to_do() -> None:
    """Each error that has no further kinds has its line of advice."""
    advised = set(re.findall(r"`(\w+)`", "".join(advice())))

    assert advised == {
        name for name, cls in errors().items() if name not in ("MediaError", "APIError")
    } - {"Truncated"}


def errors() -> dict[str, type[MediaError]]:
    return {
        name: cls
        for name in wxmedia_async.__all__
        if inspect.isclass(cls := getattr(wxmedia_async, name))
        and issubclass(cls, MediaError)
    }


def advice() -> list[str]:
    """Return the first cell of each row of advice."""
    table = PAGE.split("## What to do about each")[1].split("##")[0]
    return re.findall(r"^\| (`.+?) \|", table, re.MULTILINE)


def branches(text: str) -> list[tuple[str, str]]:
    """Return each error of the tree, with the one that it hangs from."""
    path = ["Exception", "MediaError"]
    found = [("MediaError", "Exception")]
    for indent, name in re.findall(r"^([│ ]*)[├└]── (\w+)", text, re.MULTILINE):
        depth = len(indent) // 4 + 2
        path[depth:] = [name]
        found.append((name, path[depth - 1]))
    return found
