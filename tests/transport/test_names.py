from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

import anyio
import attrs
import pytest

from wxmedia_async.transport._connect import Address
from wxmedia_async.transport._names import Names

FOUND = [Address(socket.AF_INET, ("127.0.0.1", 80))]


@attrs.define(eq=False)
class Resolver:
    """Stands for the one of the system; answers when it is told to."""

    names: list[str] = attrs.field(factory=list[str])
    answer: anyio.Event = attrs.field(factory=anyio.Event)
    failure: OSError | ValueError | None = None

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.names.append(host)
        await self.answer.wait()
        if self.failure is not None:
            raise self.failure
        return FOUND


@pytest.fixture
async def resolver(anyio_backend: object, monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver()
    monkeypatch.setattr("wxmedia_async.transport._names.resolve", resolver)
    return resolver


async def test_asked_once(resolver: Resolver) -> None:
    """All who want a name at the same time share one look-up of it."""
    names, found = Names(), list[list[Address]]()

    async def ask(host: str) -> None:
        found.append(await names.addresses(host, 80))

    async with anyio.create_task_group() as tasks:
        for host in ("a.test", "b.test") * 10:
            tasks.start_soon(ask, host)
        await anyio.wait_all_tasks_blocked()
        resolver.answer.set()
    await names.addresses("a.test", 80)

    assert sorted(resolver.names) == ["a.test", "b.test"]
    assert found == [FOUND] * 20


async def test_answer_that_is_not_kept(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has waited for an answer has it, also if it is not remembered."""
    monkeypatch.setattr("wxmedia_async.transport._names.LIFETIME", 0)
    names = Names()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(names.addresses, "a.test", 80)
        await anyio.wait_all_tasks_blocked()
        resolver.answer.set()

    assert resolver.names == ["a.test"]


async def test_one_who_asks_is_cancelled(resolver: Resolver) -> None:
    """Another one takes over where the one that asks is cancelled, and one only."""
    names, found = Names(), list[list[Address]]()

    async def ask() -> None:
        found.append(await names.addresses("a.test", 80))

    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as impatient:
            impatient.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            for _ in range(3):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            impatient.cancel_scope.cancel()
        await anyio.wait_all_tasks_blocked()
        asked = list(resolver.names)
        resolver.answer.set()

    assert asked == ["a.test"] * 2
    assert found == [FOUND] * 3


@pytest.mark.parametrize(
    "failure",
    [
        socket.gaierror(socket.EAI_NONAME, "unknown"),
        OSError(errno.EMFILE, "too many"),
        UnicodeError("label too long"),
    ],
)
async def test_failure_is_shared_once(
    resolver: Resolver, failure: OSError | ValueError
) -> None:
    """All who waited are told the failure; who comes later asks anew."""
    names, failures = Names(), list[Exception]()
    resolver.failure = failure

    async def ask() -> None:
        with pytest.raises(type(failure)) as caught:
            await names.addresses("a.test", 80)
        failures.append(caught.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        resolver.answer.set()
    shared = list(resolver.names)
    await ask()

    assert shared == ["a.test"]
    assert resolver.names == ["a.test"] * 2
    assert [error.args for error in failures] == [failure.args] * 4
    # The one that was raised both times to who asked, and a copy for each other.
    assert len(set(map(id, failures))) == 3


def test_loop_that_was_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that ended with its event loop holds up nobody in the next one."""
    names = Names()

    async def never(host: str, port: int) -> list[Address]:
        await anyio.sleep_forever()
        raise AssertionError

    async def at_once(host: str, port: int) -> list[Address]:
        return FOUND

    def resolve_by(resolve: Callable[..., object]) -> None:
        monkeypatch.setattr("wxmedia_async.transport._names.resolve", resolve)

    resolve_by(never)
    abandoned = asyncio.new_event_loop()
    asking = names.addresses("a.test", 80)
    task = abandoned.create_task(asking)
    abandoned.call_later(0.01, abandoned.stop)
    abandoned.run_forever()
    resolve_by(at_once)
    with anyio.from_thread.start_blocking_portal() as portal:
        found = portal.call(names.addresses, "a.test", 80)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        abandoned.run_until_complete(task)
    abandoned.close()

    assert found == FOUND
