"""Many transfers at once, in order of completion."""

from __future__ import annotations

import copy
import errno
import itertools
import os
import time
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from contextlib import asynccontextmanager, closing
from typing import Generic, Literal, Protocol, TypeVar, cast

import anyio
import attrs

from .._errors import (
    CredentialsError,
    MediaError,
    PermissionDenied,
    QuotaExceeded,
    TokenRejected,
)
from .._foreign import Raised
from .._models import Outcome
from .._progress import ProgressCallback, Reporter
from .._session.session import Session
from .manifest import Entry, FileManifest, Key, Manifest, NoManifest

Result = TypeVar("Result")

OnError = Literal["collect", "raise"]

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})


@attrs.frozen
class Job(Generic[Result]):
    """
    One item, understood.

    Attributes:
        key: The caller's own, handed back in the outcome.

        known_by: How the manifest knows the item. A function, since it may
            fail, and costs a look at the file.

        run: Does the transfer.
    """

    key: object
    known_by: Callable[[], Key]
    run: Callable[[Reporter, Callable[[Result], None]], Awaitable[Result]]


@attrs.frozen(kw_only=True)
class Batch(Generic[Result]):
    """What to do with the items, and how."""

    items: Iterable[object] | AsyncIterable[object]
    understand: Callable[[object], Job[Result]]
    width: int
    on_error: OnError
    progress: ProgressCallback | None

    def __attrs_post_init__(self) -> None:
        if self.on_error not in ("collect", "raise"):
            raise ValueError("on_error is either 'collect' or 'raise'")
        if isinstance(self.items, (str, bytes, bytearray, memoryview)):
            raise TypeError("a batch takes an iterable of items, not a single one")
        if not isinstance(self.items, (Iterable, AsyncIterable)):
            raise TypeError("a batch takes an iterable or async iterable of items")


@asynccontextmanager
async def open_batch(
    session: Session, batch: Batch[Result], manifest: str | os.PathLike[str] | None
) -> AsyncGenerator[Outcomes[Result]]:
    """Run *batch* for as long as the block lasts; leaving it cancels the rest."""
    session.lifetime.check()
    failure: BaseException | None = None
    with closing(await _opened(manifest)) as notes:
        async with anyio.create_task_group() as running:
            outcomes = Outcomes(batch, notes)
            running.start_soon(outcomes.work)
            try:
                yield outcomes
            except anyio.get_cancelled_exc_class():
                raise
            # A task group would wrap what the caller's own block raises.
            except BaseException as error:  # noqa: BLE001
                failure = error
            finally:
                running.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def _opened(manifest: str | os.PathLike[str] | None) -> Manifest:
    if manifest is None:
        return NoManifest()
    # It may have a million lines.
    return await anyio.to_thread.run_sync(FileManifest, manifest)


class Outcomes(AsyncIterator[Outcome[object, Result]], Generic[Result]):
    """
    The outcomes of a batch, in order of completion.

    Each worker holds a place from taking an item until its outcome is read, so
    no more items are begun than the reader keeps up with.
    """

    def __init__(self, batch: Batch[Result], manifest: Manifest) -> None:
        self._batch = batch
        self._manifest = manifest
        self._items = _items(batch.items)
        self._places = anyio.Semaphore(batch.width, fast_acquire=True)
        self._ready: deque[Outcome[object, Result]] = deque()
        self._changed = anyio.Event()
        self._over = False
        self._doom: Exception | None = None
        self._workers: anyio.abc.TaskGroup | None = None

    async def __anext__(self) -> Outcome[object, Result]:
        while not self._ready:
            if self._over:
                self._end()
            self._changed = anyio.Event()
            await self._changed.wait()
        outcome = self._ready.popleft()
        self._places.release()
        if outcome.error is not None and self._batch.on_error == "raise":
            self._ready.clear()
            self._over = True
            raise outcome.error
        return outcome

    async def work(self) -> None:
        """Run all items. A task group of its own: the reader is not cancelled."""
        async with anyio.create_task_group() as self._workers:
            await self._places.acquire()
            await self._worker()
        self._over = True
        self._changed.set()

    async def _worker(self) -> None:
        """Take items until there are none; a place is held on entry."""
        while (taken := await self._items.take()) is not None:
            self._hire()
            outcome = await self._outcome(*taken)
            self._ready.append(outcome)
            self._changed.set()
            if outcome.error is not None and self._batch.on_error == "raise":
                self._cancel()
                return
            await self._places.acquire()
        self._places.release()

    def _hire(self) -> None:
        """Have one more worker for each item that comes while there is a place."""
        assert self._workers is not None
        if self._places.value:
            self._places.acquire_nowait()
            self._workers.start_soon(self._worker)

    def _cancel(self) -> None:
        assert self._workers is not None
        self._workers.cancel_scope.cancel()

    def _end(self) -> None:
        error, self._items.error = self._items.error, None
        raise StopAsyncIteration if error is None else error

    async def _outcome(self, index: int, item: object) -> Outcome[object, Result]:
        started = time.monotonic()
        reporter = Reporter(self._batch.progress, item)
        result: Result | None = None
        failure: Exception | None = None
        skipped, key = False, None
        try:
            job = self._batch.understand(item)
            key = job.key
            entry = self._manifest.entry(job.known_by)
            skipped = entry.settled
            result = await self._result(job, entry, reporter)
        # Sources, destinations and providers are the user's and may raise
        # anything; each item is promised an outcome of its own.
        except Raised as raised:
            failure = cast("Exception", raised.error)
        except Exception as error:  # noqa: BLE001
            failure = error
        return Outcome(
            item,
            key,
            index,
            result,
            failure,
            reporter.attempts,
            time.monotonic() - started,
            skipped or (failure is None and reporter.attempts == 0),
        )

    async def _result(
        self, job: Job[Result], entry: Entry[Result], reporter: Reporter
    ) -> Result:
        if entry.settled:
            return entry.recall()
        if self._doom is not None:
            raise _anew(self._doom)
        try:
            result = await job.run(reporter, entry.publishing)
        except (MediaError, OSError) as error:
            entry.failed(error)
            if _dooms(error):
                self._doom = error
            raise
        entry.finished(result)
        return result


class _Items(Protocol):
    """The items, one at a time, and the error of the caller's that ended them."""

    error: Exception | None

    async def take(self) -> tuple[int, object] | None:
        """Return the next item with its index; None after the last."""
        ...


class _PlainItems:
    """Of an iterable, which gives its next item before anybody else can ask."""

    def __init__(self, items: Iterable[object]) -> None:
        self.error: Exception | None = None
        self._items = enumerate(items)

    async def take(self) -> tuple[int, object] | None:
        try:
            # Not next(): StopIteration must not pass through a coroutine.
            for item in self._items:
                return item
        # It is the caller's own iterable; they get whatever it raised, once
        # the outcomes of all items before it are delivered.
        except Exception as error:  # noqa: BLE001
            self.error = error
        self._items = enumerate(())
        return None


class _AsyncItems:
    """Of an async iterable, which is asked by one worker at a time."""

    def __init__(self, items: AsyncIterable[object]) -> None:
        self.error: Exception | None = None
        self._items = aiter(items)
        self._count = itertools.count()
        self._lock = anyio.Lock(fast_acquire=True)
        self._ended = False

    async def take(self) -> tuple[int, object] | None:
        async with self._lock:
            if self._ended:
                return None
            try:
                return next(self._count), await anext(self._items)
            except StopAsyncIteration:
                pass
            except Exception as error:  # noqa: BLE001
                self.error = error
            self._ended = True
            return None


def _items(items: Iterable[object] | AsyncIterable[object]) -> _Items:
    if isinstance(items, AsyncIterable):
        return _AsyncItems(items)
    return _PlainItems(items)


def _dooms(error: MediaError | OSError) -> bool:
    """Whether every further item would fail in the same way."""
    if isinstance(error, OSError):
        return error.errno in _FULL_DISK
    return isinstance(
        error, (CredentialsError, PermissionDenied, QuotaExceeded, TokenRejected)
    )


def _anew(error: Exception) -> Exception:
    """The same failure for an item that was not tried."""
    again = copy.copy(error)
    if isinstance(again, MediaError):
        again.attempts = 0
    return again
