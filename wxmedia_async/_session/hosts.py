from __future__ import annotations

import attrs


@attrs.define(eq=False)
class Hosts:
    """
    The base URLs of a service, of which one is in use.

    The first that works is kept: going back to one that could not be reached
    would make every transfer pay for it again.
    """

    urls: tuple[str, ...]
    _index: int = attrs.field(default=0, init=False)

    @property
    def current(self) -> str:
        return self.urls[self._index]

    def leave(self, unreachable: str) -> None:
        """Use the next one, unless somebody has left *unreachable* already."""
        if self.current == unreachable:
            self._index = (self._index + 1) % len(self.urls)
