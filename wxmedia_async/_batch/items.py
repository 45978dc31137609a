"""The items of a batch, one at a time, however they come."""

from __future__ import annotations

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Iterable,
    Iterator,
)
from typing import Protocol

import anyio

from .._foreign import Raised, sealed
from .last_words import LastWords

_END = object()


class Items(Protocol):
    """
    The items, and what the caller's iterable raised.

    Attributes:
        taken: How many there were so far.

        over: Whether there are no more.

        error: What ended them before their end, or stood against closing them.
    """

    taken: int
    over: bool
    error: BaseException | None

    async def take(self) -> tuple[int, object] | None:
        """Return the next item with its index; None after the last."""
        ...

    async def serve(self) -> None:
        """Read them, for as long as they are taken."""
        ...


def items_of(items: Iterable[object] | AsyncIterable[object]) -> Items:
    """Return the items of either kind of iterable."""
    if isinstance(items, AsyncIterable):
        return _AsyncItems(items)
    return _PlainItems(items)


class _PlainItems:
    """Of an iterable, which gives its next item before anybody else can ask."""

    def __init__(self, items: Iterable[object]) -> None:
        self.taken = 0
        self.over = False
        self.error: BaseException | None = None
        self._items = items
        self._iterator: Iterator[object] = iter(())

    async def take(self) -> tuple[int, object] | None:
        if self.over:
            return None
        try:
            with sealed:
                if self.taken == 0:
                    self._iterator = iter(self._items)
                item = next(self._iterator, _END)
        # It is the caller's own iterable; they get whatever it raised, once
        # the outcomes of all items before it are delivered.
        except Raised as raised:
            self.error = raised.error
            item = _END
        if item is _END:
            self.over = True
            return None
        self.taken += 1
        return self.taken - 1, item

    async def serve(self) -> None:
        return


class _AsyncItems:
    """
    Of an async iterable, which is read and closed in one task.

    It may hold scopes and task groups of its own open from one item to the
    next, and these belong to a task.
    """

    def __init__(self, items: AsyncIterable[object]) -> None:
        self.taken = 0
        self.over = False
        self.error: BaseException | None = None
        self._items = items
        self._asked = anyio.Event()
        self._turns: deque[_Turn] = deque()

    async def take(self) -> tuple[int, object] | None:
        if self.over:
            return None
        turn = _Turn()
        self._turns.append(turn)
        self._asked.set()
        await turn.come.wait()
        return turn.item

    async def serve(self) -> None:
        # Entered before any scope of the iterable's, so that it may be left
        # after them.
        with anyio.CancelScope() as guard:
            try:
                await self._read(guard)
            except Raised as raised:
                self.error = self.error or raised.error
            finally:
                self._end()

    async def _read(self, guard: anyio.CancelScope) -> None:
        with sealed:
            iterator = aiter(self._items)
        try:
            await self._give_all(iterator, guard)
        except Raised as raised:
            self.error = raised.error
        finally:
            # Nobody who waits for an item has to wait for the closing as well.
            self._end()
            guard.shield = True
            await _close(iterator)

    async def _give_all(
        self, iterator: AsyncIterator[object], guard: anyio.CancelScope
    ) -> None:
        while not guard.shield:
            if not self._turns:
                self._asked = anyio.Event()
                await self._asked.wait()
            with sealed:
                item = await LastWords(_next(iterator), guard)
            if item is _END:
                return
            self._turns.popleft().give((self.taken, item))
            self.taken += 1

    def _end(self) -> None:
        self.over = True
        while self._turns:
            self._turns.popleft().give(None)


class _Turn:
    """A worker that waits for an item."""

    def __init__(self) -> None:
        self.come = anyio.Event()
        self.item: tuple[int, object] | None = None

    def give(self, item: tuple[int, object] | None) -> None:
        self.item = item
        self.come.set()


async def _next(iterator: AsyncIterator[object]) -> object:
    return await anext(iterator, _END)


async def _close(iterator: AsyncIterator[object]) -> None:
    """Close a generator, which nobody else could; the rest is the caller's."""
    if isinstance(iterator, AsyncGenerator):
        with sealed:
            await iterator.aclose()
