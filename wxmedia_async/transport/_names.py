"""The addresses of host names, remembered for a moment."""

from __future__ import annotations

import time

import attrs

from ._connect import Address, resolve

LIFETIME = 10.0
"""Seconds. Long enough for a batch of transfers to one host, which may need a
connection for each, and shorter than any record of a name that moves."""

MAX_NAMES = 256
"""Names that are remembered at a time."""


@attrs.define(eq=False)
class Names:
    """Looks names up, each one at most once in a while."""

    _known: dict[tuple[str, int], tuple[float, list[Address]]] = attrs.field(
        factory=dict[tuple[str, int], tuple[float, list[Address]]], init=False
    )

    async def addresses(self, host: str, port: int) -> list[Address]:
        """
        Return the addresses of *host*.

        Raises:
            OSError: It has none, or nobody knows.
        """
        expires, known = self._known.get((host, port), (0.0, []))
        if time.monotonic() < expires:
            return known
        found = await resolve(host, port)
        if len(self._known) >= MAX_NAMES:
            self._known.clear()
        self._known[host, port] = time.monotonic() + LIFETIME, found
        return found

    def forget(self, host: str, port: int) -> None:
        """Look a name up anew, as nobody answers where it led."""
        self._known.pop((host, port), None)
