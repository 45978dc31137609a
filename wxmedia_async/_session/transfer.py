"""One transfer: what is sent, and what is known of it while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import anyio
import attrs
import httpx

from .._errors import MediaError


@attrs.frozen(kw_only=True)
class Exchange:
    """
    One call of the API, ready to be sent as often as it takes.

    Attributes:
        body: Can be iterated more than once, or `run()` is told that it can't.

        json: Sent instead of a body.

        repeatable: Whether WeChat may get it twice without harm.
    """

    method: str
    path: str
    params: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: httpx.AsyncByteStream | None = attrs.field(default=None, repr=False)
    json: object = attrs.field(default=None, repr=False)
    repeatable: bool = True


Obstacle = Callable[[MediaError], str | None]
"""Says why a failed transfer must not be sent again; None: it may be."""


def always_repeatable(_: MediaError) -> None:
    """Nothing stands against sending it again."""


@attrs.define(eq=False, repr=False)
class Transfer:
    """What is known of one transfer while it runs, over all its tries."""

    scope: anyio.CancelScope
    obstacle: Obstacle
    attempts: int = attrs.field(default=0, init=False)
    failures: int = attrs.field(default=0, init=False)
    renewed: bool = attrs.field(default=False, init=False)
    hopeless: bool = attrs.field(default=False, init=False)
    resent: bool = attrs.field(default=False, init=False)
    token: str | None = attrs.field(default=None, init=False)
    host: str = attrs.field(default="", init=False)
    began: float = attrs.field(default=-math.inf, init=False)

    def time_left(self) -> float:
        """Seconds until the deadline."""
        return self.scope.deadline - anyio.current_time()

    def may_resend(self) -> bool:
        """Allow the one free try on a connection that had gone stale."""
        allowed, self.resent = not self.resent, True
        return allowed
