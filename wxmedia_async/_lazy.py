"""Names of a package that are loaded when they are first asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module


def lazily(
    package: str, homes: Mapping[str, Iterable[str]], folders: Iterable[str] = ()
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """
    Return a ``__getattr__`` and a ``__dir__`` for a package (PEP 562).

    Whoever imports the package, or a folder in it, pays for what is used and
    no more: a run of pytest for the plugin, the command line for its help.

    Args:
        package: The ``__name__`` of the package.

        homes: Module within the package to the names that it has.

        folders: Packages within the package that are public as well.
    """
    home_of = {name: home for home, names in homes.items() for name in names}
    home_of |= {folder: folder for folder in folders}

    def load(name: str) -> object:
        this = sys.modules[package]
        if name not in home_of:
            text = f"module {package!r} has no attribute {name!r}"
            raise AttributeError(text, name=name, obj=this)
        home = import_module(f".{home_of[name]}", package)
        value = home if home_of[name] == name else getattr(home, name)
        # From now on it is found without coming here.
        setattr(this, name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *home_of})

    return load, names
