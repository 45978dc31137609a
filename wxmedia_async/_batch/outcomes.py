"""Many transfers at once, in order of completion."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Generic, NoReturn, TypeVar

import anyio
import anyio.to_thread

from .._download.save import Publishing, unnoted
from .._files.draft import remove_old_parts
from .._files.target import check_folder
from .._models import Outcome
from .._progress import Reporter
from .batch import Batch, Job
from .endings import PROGRAM_ENDS, anew, doom_in, failure_of, raise_plainly, told_apart
from .items import items_of
from .manifest import FileManifest, open_manifest
from .once import Done, Once
from .own_task import OwnTask
from .under_way import UnderWay

Result = TypeVar("Result")


@asynccontextmanager
async def open_batch(batch: Batch[Result]) -> AsyncGenerator[Outcomes[Result]]:
    """
    Run *batch* for as long as the block lasts; leaving it cancels the rest.

    The block may be left in another task than it was entered in.
    """
    batch.check()
    if batch.folder is not None:
        await anyio.to_thread.run_sync(_prepare, batch.folder)
    async with _notes(batch) as manifest:
        outcomes = Outcomes(batch, manifest)
        running = OwnTask(outcomes.work)
        running.start()
        try:
            yield outcomes
        finally:
            outcomes.leave()
            await running.stop()
        outcomes.check()


def _notes(
    batch: Batch[Result],
) -> AbstractAsyncContextManager[FileManifest | None]:
    if batch.manifest is None:
        return nullcontext()
    return open_manifest(batch.manifest, batch.file_io)


def _prepare(folder: str) -> None:
    check_folder(folder)
    remove_old_parts(folder)


class Outcomes(AsyncIterator[Outcome[object, Result]], Generic[Result]):
    """
    The outcomes of a batch, in order of completion, for any number of readers.

    Each worker holds a place from taking an item until its outcome is read, so
    no more items are begun than the readers keep up with.
    """

    def __init__(self, batch: Batch[Result], manifest: FileManifest | None) -> None:
        self._batch = batch
        self._once = None if manifest is None else Once[Result](manifest, self._end_by)
        self._items = items_of(batch.items)
        self._places = anyio.Semaphore(batch.width, fast_acquire=True)
        self._ready: deque[Outcome[object, Result]] = deque()
        self._news: anyio.Event | None = None
        self._told = 0
        self._under_way = UnderWay()
        self._cut = False
        self._over = False
        self._doom: Exception | None = None
        self._failure: BaseException | None = None
        self._workers: anyio.abc.TaskGroup | None = None

    async def __anext__(self) -> Outcome[object, Result]:
        while not self._ready:
            if self._over:
                self._end()
            # One for all who wait: each looks again.
            self._news = self._news or anyio.Event()
            await self._news.wait()
        outcome = self._ready.popleft()
        self._places.release()
        if self._stops(outcome):
            self._finish()
            raise_plainly(outcome.error)
        return outcome

    def leave(self) -> None:
        """Give no outcome any more: the block is left."""
        self._cut = True
        self._items.error = None  # of items that nobody wants any more
        self._finish()

    def check(self) -> None:
        """Raise what nobody was told; what ran has come to its end."""
        self._ready.clear()
        failure = self._failure or self._items.error
        if failure is not None:
            raise_plainly(failure)

    async def work(self) -> None:
        """Do all items, in a task of its own."""
        try:
            async with anyio.create_task_group() as self._workers:
                self._workers.start_soon(self._items.serve)
                await self._places.acquire()
                await self._worker()
        except BaseException as error:
            self._failure = self._explained(error)
            if isinstance(error, anyio.get_cancelled_exc_class()):
                raise
        else:
            self._failure = self._explained(None)
        finally:
            self._over = True
            self._wake()

    async def _worker(self) -> None:
        """Take items until there are none; a place is held on entry."""
        while (taken := await self._items.take()) is not None:
            self._hire()
            outcome = await self._outcome(*taken)
            self._told += 1
            if not self._over:
                self._ready.append(outcome)
                self._wake()
            if self._stops(outcome):
                self._cut = True
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

    def _stops(self, outcome: Outcome[object, Result]) -> bool:
        """Whether it ends the batch; what was known before has ended none."""
        if outcome.error is None or outcome.skipped:
            return False
        return self._batch.on_error == "raise"

    def _finish(self) -> None:
        self._over = True
        self._ready.clear()
        self._wake()

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None

    def _end(self) -> NoReturn:
        failure = self._failure or self._items.error
        self._failure = self._items.error = None
        if failure is None:
            raise StopAsyncIteration
        raise_plainly(failure)

    def _explained(self, error: BaseException | None) -> BaseException | None:
        """Tell why the work has ended, unless it was done or was to end."""
        error = error and told_apart(error)
        if isinstance(error, PROGRAM_ENDS):
            return error
        whole = self._items.over and self._items.taken == self._told
        if self._cut or (whole and error is None):
            return None
        lost = RuntimeError("the batch has lost an item: not each has its outcome")
        lost.__cause__ = error
        return lost

    async def _outcome(self, index: int, item: object) -> Outcome[object, Result]:
        started = time.monotonic()
        reporter = Reporter(self._batch.progress, item)
        key: object = None
        done: Done[Result]
        try:
            job = self._batch.understand(item)
            key = job.key
            if self._once is None:
                done = Done(await self._run(job, reporter, unnoted))
            else:
                run = partial(self._run, job, reporter)
                done = await self._once.do(job.known_by(), run)
        # Sources, destinations and providers are the user's and may raise
        # anything; each item is promised an outcome of its own.
        except BaseException as error:  # noqa: BLE001
            done = Done[Result](error=failure_of(error))
        return Outcome(
            item,
            key,
            index,
            done.result,
            done.error,
            reporter.attempts,
            time.monotonic() - started,
            done.skipped or (done.error is None and reporter.attempts == 0),
        )

    async def _run(
        self, job: Job[Result], reporter: Reporter, publishing: Publishing
    ) -> Result:
        if self._doom is not None:
            if self._batch.on_error == "raise":
                await self._under_way.end()
            raise anew(self._doom)
        try:
            with self._under_way:
                return await job.run(reporter, publishing)
        except Exception as error:
            if (doom := doom_in(error)) is not None:
                self._end_by(doom)
            raise

    def _end_by(self, doom: Exception) -> None:
        """Let no further item begin: each would fail in the same way."""
        self._doom = self._doom or doom
