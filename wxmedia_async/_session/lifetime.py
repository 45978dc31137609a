"""How long a client may be used, and where."""

from __future__ import annotations

import asyncio
import os

import anyio
import attrs
from anyio.lowlevel import current_token

from .._errors import ClientClosed
from .limits import Ending, Limits


@attrs.define(eq=False, repr=False)
class Lifetime:
    """
    From a client's first call to its end, in one event loop of one process.

    Shared by a client and all that `with_options` made of it.
    """

    closed: bool = attrs.field(default=False, init=False)
    _home: tuple[int, object] | None = attrs.field(default=None, init=False)
    _running: set[Ending] = attrs.field(factory=set[Ending], init=False)
    _idle: anyio.Event | None = attrs.field(default=None, init=False)
    limits: Limits = attrs.field(factory=Limits, init=False)

    def check(self) -> None:
        """
        Make sure that a call may begin here and now.

        Raises:
            ClientClosed: After `close()`.

            RuntimeError: In another event loop or process than the first call.
        """
        if self.closed:
            raise ClientClosed("this client is closed")
        here = (os.getpid(), _loop())
        if self._home is None:
            self._home = here
        elif self._home != here:
            raise RuntimeError(
                "this client belongs to another event loop or process;"
                " make one client for each"
            )

    def enter(self, scope: Ending) -> None:
        """Have *scope* cancelled by `close()`, until it leaves."""
        self._running.add(scope)

    def leave(self, scope: Ending) -> None:
        """Take note that *scope* has ended."""
        self._running.remove(scope)
        if self._idle is not None and not self._running:
            self._idle.set()

    async def close(self) -> None:
        """Let no call begin any more, and cancel those that run; wait for them."""
        self.closed = True
        self.limits.close()
        for scope in self._running:
            scope.cancel()
        if self._running:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()


def _loop() -> object:
    """Return what is one and the same for all that runs in an event loop."""
    try:
        # This is asked for each transfer, and anyio takes ten times as long.
        return asyncio.get_running_loop()
    except RuntimeError:
        return current_token()
