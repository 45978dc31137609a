"""Hands shards to workers, never too many at a time, and waits for the last of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, TypeAlias

import anyio
import attrs
from taskiq import AsyncTaskiqDecoratedTask, AsyncTaskiqTask
from taskiq.result_backends.dummy import DummyResultBackend

from .._foreign import logger
from ._record import RedisRecord

Counts: TypeAlias = dict[str, int]

ArchiveTask: TypeAlias = AsyncTaskiqDecoratedTask[
    [list[str], str, str], Coroutine[Any, Any, Counts]
]
"""The task: ids, batch and account in, counts out."""


def _of_ids(ids: Iterable[str]) -> tuple[str, ...]:
    if isinstance(ids, str):
        raise TypeError("a shard is an iterable of ids, not a single one")
    return tuple(ids)


@attrs.frozen
class Shard:
    """
    A part of a batch, for one task.

    Attributes:
        ids: Media ids, all of one account.

        account: Whose they are; a name that the workers know.
    """

    ids: tuple[str, ...] = attrs.field(converter=_of_ids)
    account: str = ""


@attrs.frozen
class _Queued:
    shard: Shard
    task: AsyncTaskiqTask[Any]


async def submit(
    task: ArchiveTask,
    batch: str,
    shards: Iterable[Shard],
    *,
    record: RedisRecord | None = None,
    most: int = 64,
    poll: float = 0.5,
    nudge: float = 5.0,
    progress: Callable[[Counter[str]], None] | None = None,
) -> Counter[str]:
    """
    Queue shards as room is made for them, and return when all have come to an end.

    Killed or cancelled, it harms nothing: workers go on with what is queued, and
    another run with the same *batch* queues what is not noted yet.

    Args:
        task: What `archive_task` made, on a broker that was started.

        batch: The name under which outcomes are noted.

        shards: Read lazily, no further than *most* allows.

        record: The same that the workers note in. With it, shards that are noted
            already are not queued, and *progress* sees each item as it is noted.

        most: Shards that are queued or under way; several for each worker. taskiq's
            broker in memory keeps 100 results, so no more than these.

        poll: Seconds between two looks for results.

        nudge: Seconds without any result after which an empty shard is queued, and
            then ever less often. A worker of taskiq-redis looks for what a dead one
            left only when a message came; the last shards would stay for ever.

        progress: Called with the counts after each look: those of *record*, else of
            the shards that came to an end.

    Returns:
        How many ids were ``"done"``, ``"skipped"`` as they had been done before, also
        by a worker that died, and ``"failed"``. Run it again for what failed.

    Raises:
        ValueError: The broker has no result backend to wait on; or *record* is of
            another batch.

        taskiq.exceptions.TaskiqError: The broker or the results are out of reach.
    """
    _check(task, batch, record, most)
    submission = _Submission(task, batch, record, nudge)
    waiting = iter(shards)
    while True:
        await submission.fill(waiting, most)
        if progress is not None:
            progress(await submission.counts())
        if not submission.queued:
            return submission.tally
        await anyio.sleep(poll)
        await submission.collect()


def _check(
    task: ArchiveTask, batch: str, record: RedisRecord | None, most: int
) -> None:
    # This one says of every task that it is over.
    waits = not isinstance(task.broker.result_backend, DummyResultBackend)
    if not waits:
        raise ValueError("the broker needs a result backend, to tell when it is over")
    if most < 1:
        raise ValueError("at least one shard must be allowed to be queued")
    if record is not None and record.batch != batch:
        raise ValueError(f"the record is of {record.batch!r}, not of {batch!r}")


@attrs.define(eq=False)
class _Submission:
    """One run of `submit`: what is queued, and what came of the rest."""

    _task: ArchiveTask
    _batch: str
    _record: RedisRecord | None
    _nudge: float
    queued: list[_Queued] = attrs.field(factory=list[_Queued], init=False)
    tally: Counter[str] = attrs.field(init=False)
    _heard: float = attrs.field(factory=anyio.current_time, init=False)
    _patience: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tally = Counter(done=0, skipped=0, failed=0)
        self._patience = self._nudge

    async def counts(self) -> Counter[str]:
        """What is known by now."""
        if self._record is not None:
            return await self._record.counts()
        return Counter(self.tally)

    async def fill(self, waiting: Iterator[Shard], most: int) -> None:
        """Queue what there is room for."""
        while len(self.queued) < most:
            if (shard := next(waiting, None)) is None:
                return
            if await self._is_noted(shard):
                await self._recall(shard)
            else:
                self.queued.append(_Queued(shard, await self._queue(shard)))

    async def collect(self) -> None:
        """Drop what is over, and see to it that what was left behind is found."""
        before, now = len(self.queued), anyio.current_time()
        self.queued = [one for one in self.queued if not await self._is_over(one)]
        if len(self.queued) < before:
            self._heard, self._patience = now, self._nudge
        elif now - self._heard > self._patience:
            # Ever less often: long shards are no reason to fill the queue.
            self._heard = now
            self._patience = min(2 * self._patience, 12 * self._nudge)
            await self._search()

    async def _queue(self, shard: Shard) -> AsyncTaskiqTask[Any]:
        return await self._task.kiq(list(shard.ids), self._batch, shard.account)

    async def _is_over(self, one: _Queued) -> bool:
        if not await one.task.is_ready():
            return False
        result = await one.task.get_result()
        if result.is_err:
            # Its words may hold what is secret; the worker has logged it.
            name = type(result.error).__name__
            logger.warning("a shard of %d ids failed: %s", len(one.shard.ids), name)
            self.tally["failed"] += len(one.shard.ids)
        else:
            self.tally.update(result.return_value)
        return True

    async def _search(self) -> None:
        """Wake a worker; and do without results that went astray."""
        await self._queue(Shard(()))
        for one in [one for one in self.queued if await self._is_noted(one.shard)]:
            self.queued.remove(one)
            await self._recall(one.shard)

    async def _is_noted(self, shard: Shard) -> bool:
        return self._record is not None and not await self._record.missing(shard.ids)

    async def _recall(self, shard: Shard) -> None:
        assert self._record is not None
        failed = len(await self._record.refused(shard.ids))
        self.tally.update(failed=failed, skipped=len(shard.ids) - failed)
