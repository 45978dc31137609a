"""What a batch is to do: the items, and how to understand each."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import Generic, Literal, TypeVar

import attrs

from .._download.save import Publishing
from .._local.disk import FileIO
from .._progress import ProgressCallback, Reporter
from .order import Order

Result = TypeVar("Result")

OnError = Literal["collect", "raise"]


@attrs.frozen
class Job(Generic[Result]):
    """
    One item, understood.

    Attributes:
        key: The caller's own, handed back in the outcome.

        known_by: How a manifest knows the item. A function, since it may fail,
            and costs a look at the file.

        run: Does the transfer.
    """

    key: object
    known_by: Callable[[], Order]
    run: Callable[[Reporter, Publishing], Awaitable[Result]]


@attrs.frozen(kw_only=True)
class Batch(Generic[Result]):
    """
    What to do with the items, and how.

    Attributes:
        folder: Where all of them go that say nothing else, if it is a folder.

        check: Raises where no batch may begin.
    """

    items: Iterable[object] | AsyncIterable[object]
    understand: Callable[[object], Job[Result]]
    width: int
    on_error: OnError
    progress: ProgressCallback | None
    manifest: str | os.PathLike[str] | None
    folder: str | None
    file_io: FileIO
    check: Callable[[], None]

    def __attrs_post_init__(self) -> None:
        if self.on_error not in ("collect", "raise"):
            raise ValueError("on_error must be 'collect' or 'raise'")
        if self.manifest is not None:
            os.fspath(self.manifest)  # open() would take a number for a descriptor
        if isinstance(self.items, (str, bytes, bytearray, memoryview)):
            raise TypeError("a batch takes an iterable of items, not a single one")
        if not isinstance(self.items, (Iterable, AsyncIterable)):
            raise TypeError("a batch takes an iterable or async iterable of items")
