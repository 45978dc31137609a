"""What a batch has finished, on disk, so that a second run does only the rest."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias, TypeVar

import anyio
from anyio.lowlevel import checkpoint

from .._errors import MediaError
from .._local.disk import Disk, FileIO, disk_for
from .._models import SavedMedia, UploadedMedia
from . import lines, records
from .lines import Entry, Facts
from .order import Order
from .places import Places
from .shared_file import SharedFile

Known: TypeAlias = SavedMedia | UploadedMedia | MediaError
"""What an item got, or was refused with."""

T = TypeVar("T")

# Heads of different kinds tell different things of one item: none takes the
# place of another, and each is found by a number of its own.
_RESULT, _REFUSED = 0, 1
_SLOTS = {"saved": _RESULT, "uploaded": _RESULT, "refused": _REFUSED}
_SPREAD = 0x9E3779B97F4A7C15

# Seconds between two looks at a lock, and until it is passed over: a process may
# be stopped in the moment in which it holds it.
_LOOK = 0.005
_PATIENCE = 5.0


@asynccontextmanager
async def open_manifest(
    path: str | os.PathLike[str], file_io: FileIO
) -> AsyncGenerator[FileManifest]:
    """
    Read a manifest, and let it be written for as long as the block lasts.

    Raises:
        ValueError: The file is something else.

        OSError: It cannot be read or made.
    """
    # It may have a million lines.
    threads = disk_for("thread")
    disk = threads if file_io == "thread" else disk_for(file_io)
    manifest = FileManifest(path, disk)
    try:
        await threads.run(manifest.open)
        yield manifest
    finally:
        await threads.finish(manifest.close)


class FileManifest:
    """
    A file of JSON lines, of which only numbers and places are kept in memory.

    Each line is written at once. A kill can tear the last one; its item is then
    done again. A line is also written before a file appears, so that a kill right
    after it is told from a file that was there all along.
    """

    def __init__(self, path: str | os.PathLike[str], disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._file: SharedFile | None = None
        self._places = Places()
        self._publishing: dict[int, int] = {}
        self._is_ours = False
        self._is_other = False

    def open(self) -> None:
        """Read all there is."""
        file = self._file = SharedFile(self._path, self._see)
        while file.read_on():
            pass
        self._see_beginning(file.rest())
        if self._is_other and not self._is_ours:
            raise ValueError(
                "the file given as manifest= holds something else; name another one"
            )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    async def recall(self, order: Order) -> Known | None:
        """Return what an item got, or was refused with, if that still holds."""
        while self._disk.batch == 0 and self._read_on():
            await checkpoint()  # others may have written much
        return await self._disk.run(self._recalled, order)

    async def note(self, order: Order, kind: str, facts: Facts) -> None:
        """
        Write that something happened to an item, whoever is cancelled meanwhile.

        Raises:
            OSError: It cannot be written.
        """
        assert self._file is not None
        line = lines.line_of(order, kind, facts, _process())
        if self._disk.batch == 0 and self._file.append(line):
            return
        with anyio.CancelScope(shield=True):
            await self._append_in_turn(self._file, line)

    async def _append_in_turn(self, file: SharedFile, line: bytes) -> None:
        enough = time.monotonic() + _PATIENCE
        while not await self._disk.run(file.append, line):
            if time.monotonic() > enough:
                await self._disk.run(file.append_unlocked, line)
                return
            await anyio.sleep(_LOOK)

    def _read_on(self) -> bool:
        """Read some of what others wrote; False: there is no more."""
        assert self._file is not None
        size = self._file.size()
        if size < self._file.end:  # somebody has shortened it
            self._places, self._publishing = Places(), {}
            self._file.end = 0
        return size != self._file.end and self._file.read_on()

    def _see(self, line: bytes, place: int) -> None:
        found = lines.understood(line, _process())
        if found is None:
            self._see_beginning(line)
            return
        self._is_ours = True
        number = _number(found, _RESULT)
        if found.kind == "publishing":
            self._publishing[number] = place
            return
        slot = _SLOTS.get(found.kind)
        if slot is not None:
            self._places[_number(found, slot)] = place
        if slot == _RESULT or found.kind == "failed":
            self._publishing.pop(number, None)

    def _see_beginning(self, line: bytes) -> None:
        """A kill may have left no more than the beginning of one line."""
        if lines.parse(line) is not None or lines.may_be_torn(line):
            self._is_ours = True
        elif line.strip():
            self._is_other = True

    def _recalled(self, order: Order) -> Known | None:
        while self._read_on():
            pass
        entries = lines.entries(order, _process())
        results = (
            result for entry in entries for result in self._results(entry, order)
        )
        refusals = (self._refusal(entry, order) for entry in entries)
        # No later line takes back a success that is still there.
        return next(results, None) or next(filter(None, refusals), None)

    def _results(
        self, entry: Entry, order: Order
    ) -> Iterator[SavedMedia | UploadedMedia]:
        number = _number(entry, _RESULT)
        for place in (self._places.get(number), self._publishing.get(number)):
            found = self._read(place, order, records.result_of)
            if isinstance(found, (SavedMedia, UploadedMedia)):
                yield found

    def _refusal(self, entry: Entry, order: Order) -> MediaError | None:
        place = self._places.get(_number(entry, _REFUSED))
        return self._read(place, order, records.refusal_of)

    def _read(
        self,
        place: int | None,
        order: Order,
        meaning: Callable[[Facts, Order], T | None],
    ) -> T | None:
        """Return what the line at *place* means, if it is about that item."""
        if place is None:
            return None
        assert self._file is not None
        facts = lines.parse(self._file.line(place))
        # Somebody may have changed it since, in any way.
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            if facts is not None and records.is_about(facts, order):
                return meaning(facts, order)
        return None


def _number(entry: Entry, slot: int) -> int:
    return (entry.id + (slot + 2 * entry.old) * _SPREAD) % 2**64


@functools.cache
def _process() -> str:
    """Return a name that no other process has had, or will have."""
    return os.urandom(8).hex()
