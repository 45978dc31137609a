"""
Parts of a list that is too long for one machine, for any engine that runs functions.

`shards` cuts it, `run_shard` downloads one part, and a `Record` remembers what is
finished, so that a part that is run again, after a dead worker or by two at once, does
only what is left.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from itertools import islice
from typing import TypeAlias

from .. import MediaClient
from .._errors import ClientClosed
from .._models import Destination, Outcome, SavedMedia
from ._record import Record, RecordOfRefusals, RedisRecord, settled

__all__ = ["Record", "RecordOfRefusals", "RedisRecord", "run_shard", "shards"]

To: TypeAlias = str | os.PathLike[str] | Destination

_Batch: TypeAlias = AbstractAsyncContextManager[
    AsyncIterator[Outcome[object, SavedMedia]]
]


_Note: TypeAlias = Callable[[Outcome[object, object]], Awaitable[None]]


def shards(ids: Iterable[str], size: int = 200) -> Iterator[tuple[str, ...]]:
    """
    Cut *ids* into tuples of at most *size*, reading no further than asked.

    A shard is what a dead worker leaves to be looked at again, and what one message
    of a queue holds. 200 ids are some 15 KB, and seconds of work.

    Raises:
        ValueError: *size* is below 1.

        TypeError: *ids* is a single str.
    """
    if isinstance(ids, str):
        raise TypeError("shards takes an iterable of ids, not a single one")
    if size < 1:
        raise ValueError("a shard has at least one id")
    return _cut(iter(ids), size)


def _cut(ids: Iterator[str], size: int) -> Iterator[tuple[str, ...]]:
    while shard := tuple(islice(ids, size)):
        yield shard


async def run_shard(
    client: MediaClient,
    ids: Iterable[str],
    to: To,
    record: Record | str | os.PathLike[str],
) -> Counter[str]:
    """
    Download what *record* does not know yet, and note each outcome as it comes.

    Run it as often as you like, and at several places at once: files appear whole
    or not at all, one that is there already is replaced, and what is noted is not
    asked for again. Cancelled or killed, it leaves noted what is noted; at most
    `max_concurrency` files that were finished are not, and are fetched again.

    Args:
        client: For the account that the ids belong to.

        ids: The shard. An id that comes again is passed over.

        to: A folder, or a `Destination`.

        record: What all hosts note in, such as `RedisRecord`. On one host, the path
            of a manifest: the file of JSON lines of `MediaClient.download_many`.

    Returns:
        How many were ``"done"`` now, ``"skipped"`` as they had been done, and
        ``"failed"``. Among these, refusals for good are noted and not tried again
        by another run; all others are.

    Raises:
        ClientClosed: The client was closed meanwhile; what is left is not counted.

        Exception: Whatever the record raises; before any request, where it cannot
            tell what is missing.
    """
    if isinstance(ids, str):
        raise TypeError("a shard is an iterable of ids, not a single one")
    counts = Counter(done=0, skipped=0, failed=0)
    asked = list(ids)
    unique = list(dict.fromkeys(asked))
    counts["skipped"] += len(asked) - len(unique)
    if isinstance(record, (str, os.PathLike)):
        batch = client.download_many(unique, to, overwrite=True, manifest=record)
        return await _run(batch, _noted_already, counts)
    missing = await _missing(record, unique, counts)
    if not missing:
        return counts
    batch = client.download_many(missing, to, overwrite=True)
    return await _run(batch, record.note, counts)


async def _missing(record: Record, ids: list[str], counts: Counter[str]) -> list[str]:
    missing = await record.missing(ids)
    noted = set(ids).difference(missing)
    if noted and isinstance(record, RecordOfRefusals):
        refused = await record.refused([item for item in ids if item in noted])
        counts["failed"] += len(refused)
        noted.difference_update(refused)
    counts["skipped"] += len(noted)
    return missing


async def _run(batch: _Batch, note: _Note, counts: Counter[str]) -> Counter[str]:
    async with batch as outcomes:
        async for outcome in outcomes:
            # Not the item's failure: somebody has to run the shard again.
            if isinstance(outcome.error, ClientClosed):
                raise outcome.error
            if settled(outcome):
                await note(outcome)
            counts[_word(outcome)] += 1
    return counts


def _word(outcome: Outcome[object, SavedMedia]) -> str:
    if outcome.error is not None:
        return "failed"
    return "skipped" if outcome.skipped else "done"


async def _noted_already(_: Outcome[object, object]) -> None:
    """The batch has a manifest, and notes by itself."""
