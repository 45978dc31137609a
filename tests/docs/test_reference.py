from __future__ import annotations

import re
from importlib import import_module
from typing import TypeVar

import pytest

import wxmedia_async
from wxmedia_async import simulator

from .pages import DOCS

CONTRIB = [
    "aiohttp",
    "obstore",
    "opentelemetry",
    "shards",
    "starlette",
    "taskiq",
    "web",
]


def documented() -> dict[str, set[str]]:
    """Return the names that the reference describes, of each module."""
    found: dict[str, set[str]] = {}
    for path in (DOCS / "api").glob("*.md"):
        module = ""
        for word, name in re.findall(
            r"^\.\. (\w+):: ([\w.]+)", path.read_text(), re.MULTILINE
        ):
            if word == "currentmodule":
                module = name
            elif word.startswith("auto"):
                found.setdefault(module, set()).add(name)
    return found


def test_every_public_name() -> None:
    """The reference has each name of the package, and no other."""
    assert documented()["wxmedia_async"] == set(wxmedia_async.__all__)


def test_transport() -> None:
    """It has each name of the transport."""
    transport = import_module("wxmedia_async.transport")

    assert documented()["wxmedia_async.transport"] == set(transport.__all__)


def test_simulator() -> None:
    """It has each name of the simulator."""
    assert documented()["wxmedia_async.simulator"] == set(simulator.__all__)


@pytest.mark.parametrize("name", CONTRIB)
def test_contrib(name: str) -> None:
    """It has each public name that a neighbour's module makes, and no other."""
    module = import_module(f"wxmedia_async.contrib.{name}")

    made = {
        word
        for word, value in vars(module).items()
        if not word.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
        and not isinstance(value, TypeVar)
    }
    assert documented()[module.__name__] == set(getattr(module, "__all__", made))
