"""Where in a file each line begins, of a million lines in little memory."""

from __future__ import annotations

from array import array

# Many small tables: to make one of them larger takes a moment, not a second.
_TABLES = 64


class Places:
    """
    Numbers of 64 bits and what place each has, some 30 bytes for each of many.

    A dict takes more than a hundred.
    """

    def __init__(self) -> None:
        self._tables = [_Table() for _ in range(_TABLES)]

    def __setitem__(self, number: int, place: int) -> None:
        self._tables[number % _TABLES].put(number // _TABLES + 1, place)

    def get(self, number: int) -> int | None:
        """Return the place that was set last, or None."""
        return self._tables[number % _TABLES].get(number // _TABLES + 1)


class _Table:
    """Open addressing: a number is at its own slot, or at the next free one."""

    def __init__(self) -> None:
        self._numbers = _empty(8)
        self._places = _empty(8)
        self._count = 0

    def put(self, number: int, place: int) -> None:
        at = self._slot(number)
        if not self._numbers[at]:
            self._count += 1
            self._numbers[at] = number
        self._places[at] = place
        if self._count * 4 > len(self._numbers) * 3:
            self._grow()

    def get(self, number: int) -> int | None:
        at = self._slot(number)
        return self._places[at] if self._numbers[at] else None

    def _slot(self, number: int) -> int:
        numbers = self._numbers
        last = len(numbers) - 1
        at = number & last
        while numbers[at] and numbers[at] != number:
            at = (at + 1) & last
        return at

    def _grow(self) -> None:
        numbers, places = self._numbers, self._places
        self._numbers = _empty(2 * len(numbers))
        self._places = _empty(2 * len(numbers))
        for number, place in zip(numbers, places, strict=True):
            if number:
                at = self._slot(number)
                self._numbers[at], self._places[at] = number, place


def _empty(slots: int) -> array[int]:
    return array("Q", bytes(8 * slots))
