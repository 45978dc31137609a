"""One fetch for everybody, whatever happens in whatever order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wxmedia_async import AccessToken, ServerBusy
from wxmedia_async._tokens.cache import TokenCache

Step: TypeAlias = tuple[
    Literal["get", "renew", "cancel", "answer", "fail", "wait"], int
]

# A token lives 7200 s here, and is replaced in the last 300 of them.
WAITS = (100.0, 6950.0, 7300.0)

STEPS = st.tuples(
    st.sampled_from(
        ["get", "get", "renew", "cancel", "answer", "answer", "fail", "wait"]
    ),
    st.integers(0, 5),
)


@attrs.define(eq=False)
class World:
    """A cache, its callers, and a token endpoint that answers when it is told to."""

    group: TaskGroup
    now: float = 1000.0
    cache: TokenCache = attrs.field(init=False)
    pending: list[anyio.Event] = attrs.Factory(list)
    failing: bool = False
    fetches: int = 0
    issued: list[str] = attrs.Factory(list)
    refused: set[str] = attrs.Factory(set)
    callers: list[anyio.CancelScope] = attrs.Factory(list)
    served: int = 0
    reasons: int = 1

    def __attrs_post_init__(self) -> None:
        self.cache = TokenCache(lambda: self.now)

    async def fetch(self) -> AccessToken:
        self.fetches += 1
        answered = anyio.Event()
        self.pending.append(answered)
        assert len(self.pending) == 1, "two fetches at once"
        try:
            await answered.wait()
        finally:
            self.pending.remove(answered)
        if self.failing:
            raise ServerBusy(code=-1)
        self.issued.append(f"t{self.fetches}")
        ends = datetime.now(UTC) + timedelta(seconds=7200)
        return AccessToken(self.issued[-1], ends)

    async def call(self, rejected: str | None) -> None:
        dead = frozenset(self.refused)
        with anyio.CancelScope() as scope:
            self.callers.append(scope)
            try:
                if rejected is None:
                    token = await self.cache.get(self.fetch)
                else:
                    token = await self.cache.renew(rejected, self.fetch)
                assert token not in dead, "it was refused before"
            except ServerBusy:
                assert self.failing, "nothing failed"
            finally:
                self.callers.remove(scope)
                self.served += 1

    async def take(self, step: Step) -> None:
        what, which = step
        match what:
            case "get":
                self.group.start_soon(self.call, None)
            case "renew" if self.issued:
                await self._refuse(self.issued[-1 - which % min(2, len(self.issued))])
            case "cancel" if self.callers:
                self.reasons += 1
                self.callers[which % len(self.callers)].cancel()
            case "answer" | "fail" if self.pending:
                await self._answer(what == "fail")
            case "wait":
                self.reasons += 1
                self.now += WAITS[which % len(WAITS)]
            case _:
                pass
        await settled()

    async def _refuse(self, token: str) -> None:
        fetches, newest = self.fetches, self.issued[-1]
        self.reasons += token == newest and token not in self.refused
        self.refused.add(token)
        self.group.start_soon(self.call, token)
        await settled()
        assert newest in self.refused or self.fetches == fetches, "it has another"

    async def _answer(self, failing: bool) -> None:
        self.failing = failing
        self.reasons += failing
        self.pending[0].set()
        await settled()
        assert not (failing and self.pending), "fetched again after a failure"
        self.failing = False


async def settled() -> None:
    """Let all tasks go as far as they can; none needs more turns than these."""
    for _ in range(12):
        await checkpoint()


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, min_size=5, max_size=40))
async def test_fault_26_and_27_in_any_order(steps: list[Step]) -> None:
    """Faults 26 and 27: one fetch at a time, each for a reason; all are served."""
    async with anyio.create_task_group() as group:
        world = World(group)
        for step in steps:
            await world.take(step)
        while world.callers:
            await world.take(("answer", 0))

    asked = sum(what in ("get", "renew") for what, _ in steps)
    assert world.served <= asked
    assert world.fetches <= world.reasons
    assert world.pending == []
