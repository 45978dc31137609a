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


# No account of WeChat's has as many in a day; the oldest are forgotten.
_MOST = 50_000


@attrs.define(eq=False)
class _Issued:
    family: str
    ends: float
    replaced: float = math.inf


@attrs.define(eq=False)
class Tokens:
    """
    What was given out, and until when each is good.

    The old endpoint makes a new token with each call, and the one before stays
    usable for five minutes. The stable one repeats its token while it lives.
    """

    _clock: Callable[[], float] = attrs.field(repr=False)
    _issued: dict[str, _Issued] = attrs.field(factory=dict[str, _Issued], repr=False)
    _current: dict[str, str] = attrs.field(factory=dict[str, str], repr=False)
    _forced: dict[str, list[float]] = attrs.field(
        factory=dict[str, list[float]], repr=False
    )

    def state(self, token: str) -> str:
        """Tell whether *token* is ``good``, ``expired`` or ``unknown``."""
        now, issued = self._clock(), self._issued.get(token)
        if issued is None or now >= issued.replaced:
            return "unknown"
        return "good" if now < issued.ends else "expired"

    def stable(self, family: str) -> tuple[str, int]:
        """Return the current token of *family* and the seconds it has left."""
        token = self._current.get(family)
        if token is None:
            return self._issue(family)
        left = self._issued[token].ends - self._clock()
        return (token, max(int(left), 1)) if left > 0 else self._issue(family)

    def fresh(self, family: str, *, keep_old: float) -> tuple[str, int]:
        """Return a new token; the old one is good for *keep_old* more seconds."""
        old = self._current.get(family)
        if old is not None:
            self._issued[old].replaced = self._clock() + keep_old
        return self._issue(family)

    def may_force(self, family: str) -> bool:
        """Take one out of a day's budget of forced renewals, if it is there."""
        now = self._clock()
        latest = [then for then in self._forced.get(family, []) if now - then < _DAY]
        if len(latest) >= FORCED_PER_DAY or (
            latest and now - latest[-1] < FORCED_APART
        ):
            return False
        self._forced.pop(family, None)
        self._forced[family] = [*latest, now]
        if len(self._forced) > _MOST:
            del self._forced[next(iter(self._forced))]
        return True

    def revoke(self) -> None:
        """Let every token be unknown, as if somebody had fetched another."""
        self._issued.clear()
        self._current.clear()

    def _issue(self, family: str) -> tuple[str, int]:
        token = f"SIM_{secrets.token_urlsafe(48)}"
        self._issued[token] = _Issued(family, self._clock() + LIFETIME)
        self._current[family] = token
        self._forget_old()
        return token, int(LIFETIME)

    def _forget_old(self) -> None:
        # Not as soon as they end: for a while they are known as expired.
        longest = self._clock() - LIFETIME
        while True:
            token, oldest = next(iter(self._issued.items()))
            if len(self._issued) <= _MOST and oldest.ends > longest:
                return
            del self._issued[token]
            if self._current[oldest.family] == token:
                del self._current[oldest.family]
