"""What the shards of a batch have finished, where all hosts can see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, cast, runtime_checkable

from .._errors import MediaNotFound, MediaRejected, TooLarge
from .._models import Outcome

REFUSALS = (MediaNotFound, MediaRejected, TooLarge)
"""What no further try would change."""


def settled(outcome: Outcome[object, object]) -> bool:
    """Tell whether an outcome is to be remembered: a success, or a refusal for good."""
    return outcome.error is None or isinstance(outcome.error, REFUSALS)


class Record(Protocol):
    """
    Remembers what is finished, for all who work on a batch.

    Whatever its methods raise ends the shard, and reaches the caller as it is.
    """

    async def missing(self, ids: Sequence[str], /) -> list[str]:
        """Return those of *ids* that are not noted, in their order."""
        ...

    async def note(self, outcome: Outcome[object, object], /) -> None:
        """Note one outcome; only successes and refusals for good are given."""
        ...


@runtime_checkable
class RecordOfRefusals(Record, Protocol):
    """A `Record` that can tell which of the noted ids were refused."""

    async def refused(self, ids: Sequence[str], /) -> list[str]:
        """Return those of *ids* that are noted as refused, in their order."""
        ...


class RedisCommands(Protocol):
    """What we need of a client of redis-py, `redis.asyncio.Redis`."""

    def hmget(self, name: str, keys: list[str], /) -> Awaitable[Sequence[object]]: ...

    def hgetall(self, name: str, /) -> Awaitable[object]: ...

    def register_script(self, script: str, /) -> Callable[..., Awaitable[object]]: ...


# Two workers may have the same item under way. The file of the one that got it is
# there, whatever the other was told; and each item is counted once.
_NOTE = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before ~= 'done' and before ~= ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    if before then redis.call('HINCRBY', KEYS[2], 'failed', -1) end
    redis.call('HINCRBY', KEYS[2], ARGV[2] == 'done' and 'done' or 'failed', 1)
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
"""


class RedisRecord:
    """
    A record in a Redis or Valkey server, for all hosts that work on a batch.

    A hash holds what became of each item: ``done``, or the name of the error that
    refused it. A second one counts them. An item costs one command; a shard costs
    one, and a second one where something of it is noted already. For asyncio.

    Args:
        redis: A client of redis-py, which stays yours. Its `socket_timeout` bounds
            each command.

        batch: What the shards have in common; part of the names of both keys.

        ttl: Seconds that the server remembers, from the last outcome on.

        prefix: What the names of both keys begin with.

    Raises:
        redis.exceptions.RedisError: The server does not answer, or refuses.
    """

    def __init__(
        self,
        redis: RedisCommands,
        batch: str,
        *,
        ttl: float = 604_800.0,
        prefix: str = "wxmedia:batch:",
    ) -> None:
        if not batch:
            raise ValueError("a batch needs a name")
        if not ttl > 0:
            raise ValueError("ttl is a positive number of seconds")
        self.batch = batch
        self._redis = redis
        self._note = redis.register_script(_NOTE)
        # In a cluster, what is in braces keeps both on one server.
        self._items = f"{prefix}{{{batch}}}"
        self._counts = f"{prefix}{{{batch}}}:counts"
        self._ttl = max(int(ttl * 1000), 1)

    def __repr__(self) -> str:
        return f"RedisRecord({self.batch!r})"

    async def missing(self, ids: Sequence[str], /) -> list[str]:
        """Return those of *ids* that are not noted, in their order."""
        states = await self._states(ids)
        return [item for item, state in states if state is None]

    async def refused(self, ids: Sequence[str], /) -> list[str]:
        """Return those of *ids* that are noted as refused, in their order."""
        states = await self._states(ids)
        return [item for item, state in states if state not in (None, "done")]

    async def note(self, outcome: Outcome[object, object], /) -> None:
        """Note a success or a refusal for good; pass over what may yet succeed."""
        if not settled(outcome):
            return
        state = "done" if outcome.error is None else type(outcome.error).__name__
        await self._note(
            keys=[self._items, self._counts],
            args=[_id_of(outcome), state, self._ttl],
        )

    async def counts(self) -> Counter[str]:
        """Return how many items are noted, as ``"done"`` and as ``"failed"``."""
        found = cast("dict[object, object]", await self._redis.hgetall(self._counts))
        told = {_text(name): int(_text(count)) for name, count in found.items()}
        return Counter({name: told.get(name, 0) for name in ("done", "failed")})

    async def _states(self, ids: Sequence[str]) -> list[tuple[str, str | None]]:
        if not ids:
            return []
        found = await self._redis.hmget(self._items, list(ids))
        states = (None if state is None else _text(state) for state in found)
        return list(zip(ids, states, strict=True))


def _id_of(outcome: Outcome[object, object]) -> str:
    """The id by which an item was asked for, a `Download` or the id itself."""
    return cast("str", getattr(outcome.item, "media_id", outcome.item))


def _text(value: object) -> str:
    """A client of redis-py gives bytes, or text where it was asked to."""
    return value.decode() if isinstance(value, bytes) else str(value)
