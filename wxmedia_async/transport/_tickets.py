"""Waiting until another task calls: by a future, where the event loop has them."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import Any, Protocol

import anyio


class Ticket(Protocol):
    """Awaited by one task, until another one sets the result. A future is one."""

    def done(self) -> bool:
        """Whether it was called, or who waited was cancelled."""
        ...

    def set_result(self, result: None, /) -> None:
        """Call who waits; not twice."""
        ...

    def __await__(self) -> Generator[Any, Any, None]: ...


def new_ticket() -> Ticket:
    """Return a ticket for the event loop that runs."""
    try:
        # An event of anyio's takes five times as long.
        return asyncio.get_running_loop().create_future()
    except RuntimeError:
        return _EventTicket()


class _EventTicket:
    """On trio."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def done(self) -> bool:
        return self._event.is_set()

    def set_result(self, _: None, /) -> None:
        self._event.set()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._event.wait().__await__()
