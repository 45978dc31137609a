"""How long a client may be used, and where."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import attrs
from anyio.lowlevel import EventLoopToken, current_token

from ._errors import ClientClosed


@attrs.define(eq=False, repr=False)
class Lifetime:
    """
    From a client's first call to its end, in one event loop of one process.

    Shared by a client and all that `with_options` made of it.
    """

    closed: bool = attrs.field(default=False, init=False)
    _home: tuple[int, EventLoopToken] | None = attrs.field(default=None, init=False)
    _running: set[anyio.CancelScope] = attrs.field(
        factory=set[anyio.CancelScope], init=False
    )
    _idle: anyio.Event | None = attrs.field(default=None, init=False)

    def check(self) -> None:
        """
        Make sure that a call may begin here and now.

        Raises:
            ClientClosed: After `close()`.

            RuntimeError: In another event loop or process than the first call.
        """
        if self.closed:
            raise ClientClosed("this client is closed")
        here = (os.getpid(), current_token())
        if self._home is None:
            self._home = here
        elif self._home != here:
            raise RuntimeError(
                "this client belongs to another event loop or process;"
                " make one client for each"
            )

    @contextmanager
    def running(self, scope: anyio.CancelScope) -> Generator[None]:
        """Have *scope* cancelled by `close()` for as long as the block runs."""
        self._running.add(scope)
        try:
            yield
        finally:
            self._running.remove(scope)
            if self._idle is not None and not self._running:
                self._idle.set()

    async def close(self) -> None:
        """Let no call begin any more, and cancel those that run; wait for them."""
        self.closed = True
        for scope in self._running:
            scope.cancel()
        if self._running:
            self._idle = self._idle or anyio.Event()
            await self._idle.wait()
