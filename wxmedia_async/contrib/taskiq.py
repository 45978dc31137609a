"""
Shards as tasks of taskiq: workers that may die, and one who hands out the work.

    @asynccontextmanager
    async def open_archive():
        async with Redis.from_url(REDIS) as redis, MediaClient(None) as client:
            store = RedisTokenStore(redis)

            def account(appid):
                token = AppToken(appid, SECRETS[appid], store=store)
                return Account(client.with_options(token=token), f"media/{appid}/")

            yield Archive(account, partial(RedisRecord, redis))

    archive = archive_task(broker, open_archive)

Each worker enters it once. A shard's message is acknowledged when its result is saved,
and only if the shard came to its end, whatever ``--ack-type`` says; so a shard of a
worker that was killed, or lost its record, is delivered again by a broker that does so.
A worker that is stopped hands its shards back before it leaves.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    contextmanager,
    suppress,
)
from typing import Any, NoReturn, cast

import anyio
import attrs
from taskiq import (
    AsyncBroker,
    Context,
    NoResultError,
    TaskiqDepends,
    TaskiqEvents,
    TaskiqMessage,
    TaskiqMiddleware,
    TaskiqResult,
    TaskiqState,
)

from .. import MediaClient
from .._errors import ClientClosed
from .._foreign import Raised, logger, sealed
from ._accounts import Latest
from ._bar import progress_bar
from ._submit import ArchiveTask, Counts, Shard, submit
from .shards import Record, To, run_shard

__all__ = [
    "Account",
    "Archive",
    "ArchiveTask",
    "Shard",
    "archive_of",
    "archive_task",
    "progress_bar",
    "submit",
]

# For shards to be handed back when a worker is stopped, in seconds. taskiq's own
# limit, `--shutdown-timeout`, is 5 s.
_FAREWELL = 3.0

_STATE = "wxmedia_worker"


@attrs.frozen
class Account:
    """
    Where the media of an account come from, and go to.

    Attributes:
        client: Usually a child: ``client.with_options(token=…)``.

        to: A folder, or a `Destination`. Each host must reach it, if others are to
            find there what this one downloaded.
    """

    client: MediaClient
    to: To


@attrs.frozen
class Archive:
    """
    What a worker archives with.

    Attributes:
        account: Makes the account of a shard, by the name that it was submitted with.
            What it raises, such as KeyError for an account that it does not know, is
            the result of the shard.

        record: Makes the record of a batch, by its name: a `Record`, or the path of a
            manifest; see `run_shard`.
    """

    account: Callable[[str], Account]
    record: Callable[[str], Record | str | os.PathLike[str]]


@attrs.define(eq=False)
class _Worker:
    """What a worker has while it runs."""

    archive: Archive
    acks: _AckWhenSaved
    _running: set[anyio.CancelScope] = attrs.field(
        factory=set[anyio.CancelScope], init=False
    )
    _left: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    async def run(self, shard: Shard, batch: str, context: Context) -> Counts:
        self.acks.expect(context)
        # What wakes a worker has no ids, and nobody's account.
        if not shard.ids:
            return {}
        account = self.archive.account(shard.account)
        record = self.archive.record(batch)
        with self._one() as scope:
            try:
                with scope, sealed:
                    return await run_shard(
                        account.client, shard.ids, account.to, record
                    )
            except Raised as raised:
                self.acks.forget(context)
                _leave(context, raised.error)
            self.acks.forget(context)
            return await _hand_back(context)

    @contextmanager
    def _one(self) -> Generator[anyio.CancelScope]:
        scope = anyio.CancelScope()
        self._running.add(scope)
        try:
            yield scope
        finally:
            self._running.discard(scope)
            self._left.set()

    async def stop(self) -> None:
        """Cut short what runs, and wait until it is handed back."""
        for scope in self._running:
            scope.cancel()
        with anyio.move_on_after(_FAREWELL):
            while self._running:
                self._left = anyio.Event()
                await self._left.wait()


def _leave(context: Context, error: BaseException) -> NoReturn:
    """Give up a shard that did not come to its end, for another to take it over."""
    if not context.is_ackable:
        raise error
    name = type(error).__name__
    logger.warning("a shard was left to be delivered again, for %s", name)
    raise NoResultError


async def _hand_back(context: Context) -> NoReturn:
    """Queue the shard anew, so that nobody has to find out that we are gone."""
    if not context.is_ackable:
        raise ClientClosed("the worker was stopped")
    # It raises this when it is done.
    with suppress(NoResultError):
        await context.requeue()
    await context.ack()
    raise NoResultError


class _AckWhenSaved(TaskiqMiddleware):
    """
    Acknowledges a shard when its result is saved, and only if it has one.

    taskiq's own ``when_saved`` does so for tasks that were cut short as well.
    """

    def __init__(self) -> None:
        super().__init__()
        self._acks: dict[int, Callable[[], Awaitable[None]]] = {}

    def expect(self, context: Context) -> None:
        if context.is_ackable:
            self._acks[id(context.message)] = context.ack

    def forget(self, context: Context) -> None:
        self._acks.pop(id(context.message), None)

    async def post_save(
        self, message: TaskiqMessage, result: TaskiqResult[Any]
    ) -> None:
        ack = self._acks.pop(id(message), None)
        if ack is not None:
            await ack()


def archive_of(state: TaskiqState = TaskiqDepends()) -> Archive:
    """
    Give a task of your own the archive of the worker that it runs in.

    ``async def greet(…, archive: Archive = TaskiqDepends(archive_of))``
    """
    return _worker_of(state).archive


def _worker_of(state: TaskiqState = TaskiqDepends()) -> _Worker:
    return cast("_Worker", state[_STATE])


def archive_task(
    broker: AsyncBroker,
    open_archive: Callable[[], AbstractAsyncContextManager[Archive]],
    *,
    name: str = "wxmedia:archive",
    accounts: int = 256,
) -> ArchiveTask:
    """
    Register the task that archives a shard: ``await task.kiq(ids, batch, account)``.

    Its result has the counts of `run_shard`. `submit` queues many.

    Args:
        broker: Any. Only one that delivers again what was not acknowledged, such as
            taskiq-redis's `RedisStreamBroker`, survives a worker that is killed.

        open_archive: Entered when a worker starts, and left when it stops, in
            another task of the same event loop.

        name: Of the task; the same for workers and submitters.

        accounts: How many a worker keeps at hand. One that was not in use for the
            longest is dropped, and made anew when it is needed; with a token store
            that costs a look into the store.

    Raises:
        ValueError: The broker has one already. Another archive is for another queue.
    """
    if any(isinstance(known, _AckWhenSaved) for known in broker.middlewares):
        raise ValueError("there is an archive on this broker already")
    acks = _AckWhenSaved()
    broker.add_middlewares(acks)
    _keep_worker(broker, open_archive, acks, accounts)

    async def archive(
        ids: list[str],
        batch: str,
        account: str,
        worker: _Worker = TaskiqDepends(_worker_of),
        context: Context = TaskiqDepends(),
    ) -> Counts:
        return await worker.run(Shard(ids, account), batch, context)

    return cast("ArchiveTask", broker.register_task(archive, name, ack_type="manual"))


def _keep_worker(
    broker: AsyncBroker,
    open_archive: Callable[[], AbstractAsyncContextManager[Archive]],
    acks: _AckWhenSaved,
    accounts: int,
) -> None:
    """Have a `_Worker` in the broker's state from its start to its stop."""
    opened = AsyncExitStack()

    async def start(state: TaskiqState) -> None:
        archive = await opened.enter_async_context(open_archive())
        bounded = attrs.evolve(archive, account=Latest(archive.account, accounts))
        state[_STATE] = worker = _Worker(bounded, acks)
        opened.push_async_callback(worker.stop)

    async def stop(_: TaskiqState) -> None:
        await opened.aclose()

    broker.add_event_handler(TaskiqEvents.WORKER_STARTUP, start)
    broker.add_event_handler(TaskiqEvents.WORKER_SHUTDOWN, stop)
