"""One transfer: what is sent, and what is known of it while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from json import dumps

import anyio
import attrs
import httpx

from .._errors import MediaError
from .._events import Story
from .limits import Ending


@attrs.frozen(kw_only=True)
class Exchange:
    """
    One call of the API, ready to be sent as often as it takes.

    Attributes:
        body: Can be iterated more than once, or `tried()` is told that it can't.

        repeatable: Whether WeChat may get it twice without harm.
    """

    method: str
    path: str
    params: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str])
    body: httpx.AsyncByteStream | bytes | None = attrs.field(default=None, repr=False)
    repeatable: bool = True


def json_exchange(
    method: str, path: str, params: Mapping[str, str], json: object
) -> Exchange:
    """
    Make a call with a JSON body; None: without one.

    Raises:
        TypeError: *json* holds what JSON has no word for.

        ValueError: It holds NaN, an infinity, a circle or half a character.
    """
    if json is None:
        return Exchange(method=method, path=path, params=params)
    body = dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    content = body.encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    return Exchange(
        method=method, path=path, params=params, headers=headers, body=content
    )


Obstacle = Callable[[MediaError], str | None]
"""Says why a failed transfer must not be sent again; None: it may be."""


def always_repeatable(_: MediaError) -> None:
    """Nothing stands against sending it again."""


@attrs.define(eq=False, repr=False)
class Transfer:
    """
    What is known of one transfer while it runs, over all its tries.

    Attributes:
        scope: Its deadline is that of the transfer.

        outer: The transfer whose code of the user's has begun this one, or None.

        story: Tells those who watch, if anybody does.

        attempts: The tries so far.

        failures: Those that count against the policy.

        hopeless: Whether a failure now is not worth another try.

        asked: Whether it waits for the service at this moment, and not for something
            of ours or of the user's.

        renewed: What took the place of a token that was refused; used next.

        began: When its last exchange began, by `time.monotonic`.

        waits, inner_waits, holds_slot, is_stream: See `nesting`.
    """

    scope: Ending
    outer: Transfer | None = None
    story: Story | None = None
    attempts: int = attrs.field(default=0, init=False)
    failures: int = attrs.field(default=0, init=False)
    hopeless: bool = attrs.field(default=False, init=False)
    asked: bool = attrs.field(default=False, init=False)
    resent: bool = attrs.field(default=False, init=False)
    token: str | None = attrs.field(default=None, init=False)
    host: str = attrs.field(default="", init=False)
    began: float = attrs.field(default=-math.inf, init=False)
    waits: bool = attrs.field(default=False, init=False)
    inner_waits: int = attrs.field(default=0, init=False)
    holds_slot: bool = attrs.field(default=False, init=False)
    is_stream: bool = attrs.field(default=False, init=False)
    _left: float | None = attrs.field(default=None, init=False)

    def begin_try(self) -> None:
        """Count a try."""
        self.attempts += 1
        if self.story is not None:
            self.story.start()

    def moved(self, size: int) -> None:
        """Take note of how many bytes of the media have moved."""
        if self.story is not None:
            self.story.bytes = size

    def time_left(self) -> float:
        """Seconds until the deadline."""
        if self._left is not None:
            return self._left
        return self.scope.deadline - anyio.current_time()

    def stand_still(self) -> None:
        """Stop the clock of the deadline."""
        if self._left is None:
            self._left = self.time_left()
            self.scope.deadline = math.inf

    def run_on(self) -> None:
        """Let it run again."""
        if self._left is not None:
            left, self._left = self._left, None
            self.scope.deadline = anyio.current_time() + left

    def may_resend(self) -> bool:
        """Allow the one free try on a connection that had gone stale."""
        allowed, self.resent = not self.resent, True
        return allowed
