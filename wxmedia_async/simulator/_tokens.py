"""The tokens that the simulator has given out."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable

import attrs

LIFETIME = 7200.0
OVERLAP = 300.0
FORCED_PER_DAY = 20
FORCED_APART = 30.0
_DAY = 86_400.0


@attrs.define(eq=False)
class Tokens:
    """
    What was given out, and until when each is good.

    The old endpoint makes a new token with each call, and the one before stays
    usable for five minutes. The stable one repeats its token while it lives.
    """

    _clock: Callable[[], float] = attrs.field(repr=False)
    _ends: dict[str, float] = attrs.field(factory=dict[str, float], repr=False)
    _current: dict[str, str] = attrs.field(factory=dict[str, str], repr=False)
    _replaced: dict[str, float] = attrs.field(factory=dict[str, float], repr=False)
    _forced: dict[str, list[float]] = attrs.field(factory=dict[str, list[float]])

    def state(self, token: str) -> str:
        """Tell whether *token* is ``good``, ``expired`` or ``unknown``."""
        now = self._clock()
        if token not in self._ends or now >= self._replaced.get(token, math.inf):
            return "unknown"
        return "good" if now < self._ends[token] else "expired"

    def stable(self, family: str) -> tuple[str, int]:
        """Return the current token of *family* and the seconds it has left."""
        token = self._current.get(family, "")
        left = self._ends.get(token, 0.0) - self._clock()
        return (token, max(int(left), 1)) if left > 0 else self._issue(family)

    def fresh(self, family: str, *, keep_old: float) -> tuple[str, int]:
        """Return a new token; the old one is good for *keep_old* more seconds."""
        old = self._current.get(family)
        if old is not None:
            self._replaced[old] = self._clock() + keep_old
        return self._issue(family)

    def may_force(self, family: str) -> bool:
        """Take one out of a day's budget of forced renewals, if it is there."""
        now = self._clock()
        latest = [then for then in self._forced.get(family, []) if now - then < _DAY]
        if len(latest) >= FORCED_PER_DAY or (
            latest and now - latest[-1] < FORCED_APART
        ):
            return False
        self._forced[family] = [*latest, now]
        return True

    def revoke(self) -> None:
        """Let every token be unknown, as if somebody had fetched another."""
        self._ends.clear()
        self._current.clear()
        self._replaced.clear()

    def _issue(self, family: str) -> tuple[str, int]:
        token = f"SIM_{secrets.token_urlsafe(48)}"
        self._current[family] = token
        self._ends[token] = self._clock() + LIFETIME
        return token, int(LIFETIME)
