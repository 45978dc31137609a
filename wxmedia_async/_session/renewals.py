"""What is known of tokens that were refused, by all transfers of a client together."""

from __future__ import annotations

from collections import OrderedDict

import attrs

MOST_IN_A_ROW = 3
"""
Tokens that may be refused one after the other before that is told.

Somebody else may replace a token at any time, and a transfer may meet two dead ones in
a row. Three that were fetched and of which none was ever accepted are no bad luck.
"""

_REMEMBERED = 64


@attrs.define(eq=False, repr=False)
class Renewals:
    """
    Which token took the place of which, and how many were refused in a row.

    One transfer's bad luck says nothing about the others: what counts is whether any
    transfer of the client was accepted in between.
    """

    _in_a_row: int = attrs.field(default=0, init=False)
    _last_refused: str | None = attrs.field(default=None, init=False)
    _successors: OrderedDict[str, str] = attrs.field(
        factory=OrderedDict[str, str], init=False
    )

    @property
    def exhausted(self) -> bool:
        """Whether another renewal is not worth its call."""
        return self._in_a_row >= MOST_IN_A_ROW

    def newest(self, token: str) -> str:
        """Return what has taken the place of *token* by now; itself, if nothing has."""
        while token in self._successors:
            token = self._successors[token]
        return token

    def is_dead(self, token: str) -> bool:
        """Whether *token* was refused, and nothing has taken its place."""
        return token == self._last_refused

    def refused(self, token: str) -> None:
        """Take note of a refusal; many transfers tell of the same one."""
        if token != self._last_refused and token not in self._successors:
            self._in_a_row += 1
            self._last_refused = token

    def replaced(self, token: str, successor: str) -> None:
        """Take note of what a renewal gave."""
        if successor == token:
            return
        # A provider may come back to an older one; that is its business.
        self._successors.pop(successor, None)
        self._successors[token] = successor
        if len(self._successors) > _REMEMBERED:
            self._successors.popitem(last=False)

    def accepted(self) -> None:
        """Take note that WeChat took a token, whichever: the others were bad luck."""
        self._in_a_row = 0
