"""What one of several workers is to do, and how they and who gave it to them speak."""

from __future__ import annotations

import base64
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from .. import Rate
from ._options import Common
from ._transfer import Form
from ._work import Work

END = "end"
"""The line after the last item; without it, whoever gave them is gone."""

Message: TypeAlias = dict[str, Any]
"""
A line from a worker.

``settled``: the number of an item, and what `Settled` and the screen want of it.
``moving``: number, bytes and total of what is on its way. ``warning``: a text.
``refused``: why the batch could not begin.
"""


@attrs.frozen(kw_only=True)
class Share:
    """
    A worker's part of the bounds, and what all have in common.

    Attributes:
        folder: Where the token is shared.

        form: How outcomes are written.

        live: Whether somebody watches how far transfers are.
    """

    work: Work
    common: Common
    folder: Path
    form: Form
    live: bool

    def encoded(self) -> str:
        """Return it as an argument for a process of the same version."""
        return base64.b85encode(pickle.dumps(self)).decode()


def decoded(argument: str) -> Share:
    """Return what `Share.encoded` was called on."""
    share = pickle.loads(base64.b85decode(argument))
    assert isinstance(share, Share)
    return share


def parts_of(common: Common) -> Iterator[Common]:
    """
    Divide the bounds among the workers, of whom there are no more than parts.

    So all together keep to them, whatever each does, and need not speak about it.
    """
    rate = common.rate
    count = min(common.workers, common.concurrency)
    if rate is not None:
        count = min(count, rate.calls)
    for index in range(count):
        part = None
        if rate is not None:
            part = Rate(_part(rate.calls, count, index), rate.per)
        width = _part(common.concurrency, count, index)
        yield attrs.evolve(common, concurrency=width, rate=part)


def _part(whole: int, count: int, index: int) -> int:
    return whole // count + (index < whole % count)
