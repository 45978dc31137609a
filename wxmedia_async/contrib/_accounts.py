"""The accounts that a worker serves, of which only so many are kept at hand."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs
from attrs.validators import ge

Kept = TypeVar("Kept")


@attrs.define(eq=False)
class Latest(Generic[Kept]):
    """
    Makes something for each name, and keeps what was asked for last.

    What is dropped goes on for whoever has it, and is made anew when it is asked for.
    """

    _make: Callable[[str], Kept]
    _most: int = attrs.field(validator=ge(1))
    _kept: OrderedDict[str, Kept] = attrs.field(
        factory=OrderedDict[str, Kept], init=False
    )

    def __call__(self, name: str) -> Kept:
        kept = self._kept.pop(name, None)
        self._kept[name] = kept = self._make(name) if kept is None else kept
        if len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return kept
