"""Which versions of the contestants took part."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, version

NAMES = ["wxmedia_async", "aiohttp", "httpx", "httpx-aiohttp", "pyreqwest"]
MORE = ["wechatpy", "anyio", "trio", "uvloop"]


@cache
def versions() -> dict[str, str]:
    """By their names; Python is one of them."""
    return dict(_found())


def _found() -> Iterator[tuple[str, str]]:
    yield platform.python_implementation(), platform.python_version()
    for name in [*NAMES, *MORE]:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def spoken() -> str:
    return ", ".join(f"{name} {number}" for name, number in versions().items())
