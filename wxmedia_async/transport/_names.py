"""The addresses of host names, remembered for a moment."""

from __future__ import annotations

import copy
import time

import anyio
import attrs

from ._connect import Address, resolve
from ._waiting import running_loop

LIFETIME = 10.0
"""Seconds. Long enough for a batch of transfers to one host, which may need a
connection for each, and shorter than any record of a name that moves."""

MAX_NAMES = 256
"""Names that are remembered at a time."""

_Failure = OSError | ValueError


@attrs.define(eq=False)
class _LookUp:
    """One that is under way, for all who want to know."""

    over: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    found: list[Address] | None = attrs.field(default=None, init=False)
    failure: _Failure | None = attrs.field(default=None, init=False)


_Key = tuple[str, int]


@attrs.define(eq=False)
class Names:
    """
    Looks names up, each one at most once in a while, whoever asks.

    The first who asks looks it up; the others wait for that. They share its
    failure too, but if it is cancelled, one of them takes over.
    """

    _known: dict[_Key, tuple[float, list[Address]]] = attrs.field(
        factory=dict[_Key, tuple[float, list[Address]]], init=False
    )
    _asked: dict[tuple[object, _Key], _LookUp] = attrs.field(
        factory=dict[tuple[object, _Key], _LookUp], init=False
    )

    async def addresses(self, host: str, port: int) -> list[Address]:
        """
        Return the addresses of *host*.

        Raises:
            OSError: It has none, or nobody knows; or this machine lacks what it
                takes to ask, see `is_lack`.

            ValueError: It is no name at all.
        """
        key = host, port
        found = self._remembered(key)
        # An event loop that was abandoned leaves nobody waiting in the next one.
        asking = running_loop(), key
        while found is None and asking in self._asked:
            found = await _shared(self._asked[asking])
        return found or await self._look_up(asking)

    def forget(self, host: str, port: int) -> None:
        """Look a name up anew, as nobody answers where it led."""
        self._known.pop((host, port), None)

    def _remembered(self, key: _Key) -> list[Address] | None:
        expires, found = self._known.get(key, (0.0, []))
        return found if time.monotonic() < expires else None

    async def _look_up(self, asking: tuple[object, _Key]) -> list[Address]:
        asked = self._asked[asking] = _LookUp()
        key = asking[1]
        try:
            found = asked.found = await resolve(*key)
        except (OSError, ValueError) as failure:
            asked.failure = failure
            raise
        finally:
            del self._asked[asking]
            asked.over.set()
        if len(self._known) >= MAX_NAMES:
            self._known.clear()
        self._known[key] = time.monotonic() + LIFETIME, found
        return found


async def _shared(asked: _LookUp) -> list[Address] | None:
    """Wait for what somebody else asked; None: nobody does any more."""
    await asked.over.wait()
    if asked.failure is not None:
        # A copy, since the frames of all who raise it would pile up on one.
        raise copy.copy(asked.failure)
    return asked.found
