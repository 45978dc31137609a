"""
Transfers inside of transfers: code of the user's that uses the client that runs it.

A destination may upload what it is given, a source may read another media. While they
do, the transfer that they are a part of keeps its slot. When all slots are kept by
such transfers and each of their parts waits for one more, no slot will ever come free;
whoever would complete the circle is refused, so that the others can go on.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import TracebackType

import attrs

from .transfer import Transfer

_current: ContextVar[Transfer | None] = ContextVar("wxmedia_transfer", default=None)


def enclosing() -> Transfer | None:
    """Return the transfer whose code of the user's is running, if any."""
    return _current.get()


@attrs.define(eq=False)
class Nested:
    """The transfers of one client that run code of the user's now."""

    _outer: set[Transfer] = attrs.field(factory=set[Transfer], init=False)

    def inside(self, transfer: Transfer) -> Inside:
        """Return the block in which such code runs."""
        return Inside(self._outer, transfer)

    @contextmanager
    def kept_open(self, transfer: Transfer) -> Generator[None]:
        """Surround the time in which *transfer* keeps its slot for a reader."""
        if transfer.outer is not None:
            self._outer.add(transfer)
        try:
            yield
        finally:
            self._outer.discard(transfer)

    @contextmanager
    def waiting(self, transfer: Transfer, used: int) -> Generator[None]:
        """
        Surround the wait of *transfer* for a slot, *used* of them being taken.

        Raises:
            RuntimeError: It would never end.
        """
        transfer.waits = True
        outer = _outer_ones(transfer)
        for one in outer:
            one.inner_waits += 1
        try:
            if self._outer and self._stuck() >= used:
                raise RuntimeError(
                    "no slot can come free: each is held by a transfer whose"
                    " destination or source waits for this client; give it a client"
                    " of its own, or a higher max_concurrency"
                )
            yield
        finally:
            transfer.waits = False
            for one in outer:
                one.inner_waits -= 1

    def _stuck(self) -> int:
        return sum(one.holds_slot and _is_stuck(one) for one in self._outer)


def _is_stuck(transfer: Transfer) -> bool:
    """Whether it needs a slot before it can give its own back."""
    if transfer.inner_waits:
        return True
    # What reads on only when its reader does, and that one waits for a slot.
    return transfer.is_stream and any(one.waits for one in _outer_ones(transfer))


def _outer_ones(transfer: Transfer) -> list[Transfer]:
    found: list[Transfer] = []
    while (outer := transfer.outer) is not None:
        found.append(outer)
        transfer = outer
    return found


class Inside:
    """The block in which code of the user's runs as a part of a transfer."""

    def __init__(self, outer: set[Transfer], transfer: Transfer) -> None:
        self._outer = outer
        self._transfer = transfer

    def __enter__(self) -> None:
        self._outer.add(self._transfer)
        self._token = _current.set(self._transfer)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.reset(self._token)
        self._outer.discard(self._transfer)
