"""The transfers of a batch that are under way now."""

from __future__ import annotations

from types import TracebackType

import anyio


class UnderWay:
    """
    Counts transfers, each of them in a block of this object.

    What fails without a try can wait for their end. With ``on_error="raise"`` it
    would cancel them, and what WeChat has taken by then would be lost.
    """

    def __init__(self) -> None:
        self._count = 0
        self._ended = anyio.Event()

    def __enter__(self) -> None:
        self._count += 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._count -= 1
        if self._count == 0:
            self._ended.set()
            self._ended = anyio.Event()

    async def end(self) -> None:
        """Return when there is none."""
        while self._count:
            await self._ended.wait()
