"""One token for several event loops, threads, services and processes."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import anyio
import attrs
import httpx
import pytest
import trio

from tests.fakes import FakeWeChat, client_of
from wxmedia_async import AccessToken, AppToken, CorpToken, MediaClient, TokenProvider
from wxmedia_async._tokens.bound import BoundToken, bind
from wxmedia_async._tokens.cache import Caches
from wxmedia_async._tokens.providers import TokenCall, TokenLike

JPEG = b"\xff\xd8\xff"


@attrs.define(eq=False)
class Service:
    """
    A token endpoint for all threads, which may be held until they have all come.

    Attributes:
        together: How many calls are answered together, or not at all.
    """

    together: int = 1
    repeats: bool = False
    calls: list[TokenCall] = attrs.Factory(list)
    _barrier: threading.Barrier = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._barrier = threading.Barrier(self.together, timeout=20)

    async def __call__(self, call: TokenCall) -> Mapping[str, object]:
        self.calls.append(call)
        await anyio.to_thread.run_sync(self._barrier.wait)
        number = sum(map(_is_forced, self.calls)) if self.repeats else len(self.calls)
        return {"access_token": f"t{number}", "expires_in": 7200}


def _is_forced(call: TokenCall) -> bool:
    return bool(call.json and call.json["force_refresh"])


def in_loops(work: Callable[[], Awaitable[str]], backends: list[str]) -> list[str]:
    """Do *work* in an event loop, and a thread, for each of *backends*."""
    with ThreadPoolExecutor(len(backends)) as threads:
        running = [
            threads.submit(partial(anyio.run, partial(_in_time, work), backend=backend))
            for backend in backends
        ]
        return [one.result(30) for one in running]


async def _in_time(work: Callable[[], Awaitable[str]]) -> str:
    with anyio.fail_after(20):
        return await work()


LOOPS = [["asyncio"] * 3, ["trio"] * 3, ["asyncio", "trio", "asyncio"]]


def providers(send: Any) -> dict[str, TokenProvider | None]:
    numbers = iter(range(1, 100))

    async def function() -> str:
        await send(TokenCall(method="GET", path="/", secret=""))
        return f"t{next(numbers)}"

    tokens: dict[str, TokenLike] = {
        "app": AppToken("app", "secret", endpoint="token"),
        "corp": CorpToken("corp", "secret"),
        "function": function,
    }
    return {name: bind(token, send, scope="here") for name, token in tokens.items()}


@pytest.mark.parametrize("kind", ["app", "corp", "function"])
@pytest.mark.parametrize("backends", LOOPS, ids="-".join)
def test_each_loop_waits_for_its_own_fetch(kind: str, backends: list[str]) -> None:
    """Loops that need a token at once fetch one each, and then all have the last."""
    service = Service(together=len(backends))
    provider = providers(service)[kind]
    assert provider is not None

    found = in_loops(provider.get, backends)
    later = in_loops(provider.get, backends)

    assert len(service.calls) == len(backends)
    assert {"t1", "t2", "t3"} >= set(found)
    assert len(set(later)) == 1


@pytest.mark.parametrize("kind", ["app", "corp", "function"])
def test_one_loop_after_another(kind: str) -> None:
    """`asyncio.run` one after another, and trio after them, fetch once in all."""
    service = Service()
    provider = providers(service)[kind]
    assert provider is not None

    found = [asyncio.run(provider.get()) for _ in range(2)]
    found.append(trio.run(provider.get))

    assert found == ["t1"] * 3
    assert len(service.calls) == 1


def test_a_loop_that_was_given_up_in_a_fetch() -> None:
    """Who fetches in a loop that ends under it is in nobody's way."""
    service, token = Service(), AppToken("app", "secret")

    async def give_up() -> None:
        with anyio.move_on_after(0.01):
            await BoundToken(token, _never, "here").get()

    asyncio.run(give_up())
    found = in_loops(BoundToken(token, service, "here").get, ["asyncio"])

    assert found == ["t1"]


async def _never(_: TokenCall) -> Mapping[str, object]:
    await anyio.sleep_forever()
    raise AssertionError


@pytest.mark.parametrize("backends", LOOPS, ids="-".join)
def test_a_token_is_forced_once_for_all_loops(backends: list[str]) -> None:
    """All loops are refused one token: one forces another, and all use that."""
    service = Service(together=1, repeats=True)
    bound = BoundToken(AppToken("app", "secret"), service, "here")
    assert asyncio.run(bound.get()) == "t0"
    service._barrier = threading.Barrier(1)

    found = in_loops(partial(bound.renew, "t0"), backends)

    assert found == ["t1"] * len(backends)
    assert sum(map(_is_forced, service.calls)) == 1


def test_who_comes_while_a_token_is_forced_waits_for_it() -> None:
    """A loop that may not force uses what another one is just forcing."""
    forcing, forced = threading.Event(), threading.Event()
    calls: list[bool] = []

    async def send(call: TokenCall) -> Mapping[str, object]:
        calls.append(_is_forced(call))
        if not _is_forced(call):
            return {"access_token": "old", "expires_in": 7200}
        forcing.set()
        await anyio.to_thread.run_sync(forced.wait, 20)
        return {"access_token": "new", "expires_in": 7200}

    bound = BoundToken(AppToken("app", "secret"), send, "here")

    async def late() -> str:
        await anyio.to_thread.run_sync(forcing.wait, 20)
        return await bound.renew("old")

    async def let_go() -> None:
        while calls.count(False) < 2:  # noqa: ASYNC110 of other threads
            await anyio.sleep(0.001)
        forced.set()

    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(anyio.run, partial(bound.renew, "old"))
        second = threads.submit(anyio.run, late)
        threads.submit(anyio.run, let_go)

    assert (first.result(), second.result()) == ("new", "new")
    assert calls.count(True) == 1


async def test_a_token_is_good_where_it_came_from() -> None:
    """One AppToken at two base URLs is two tokens, each with a budget of its own."""
    token = AppToken("app", "secret")
    here, there = Service(repeats=True), Service(repeats=True)
    one, two = BoundToken(token, here, "here"), BoundToken(token, there, "there")

    await one.get()
    await two.get()
    renewed = [await one.renew("t0"), await two.renew("t0")]
    again = [await one.get(), await BoundToken(token, here, "here").get()]

    assert renewed == ["t1", "t1"]
    assert again == ["t1", "t1"]
    assert len(here.calls) == len(there.calls) == 3


async def test_clients_of_two_services_share_no_token() -> None:
    """What one service gave is never shown to another."""
    token = AppToken("app", "secret")
    one, two = FakeWeChat(stored={"m": JPEG}), FakeWeChat(stored={"m": JPEG})
    two.tokens = 100

    async with client_of(one, token=token) as first:
        await first.read("m")
    http = httpx.AsyncClient(transport=two)
    async with MediaClient(token, base_url="http://two.test", http=http) as second:
        await second.read("m")

    seen = [request.url.params.get("access_token") for request in two.requests]
    assert (one.tokens, two.tokens) == (1, 101)
    assert seen == [None, two.valid]


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))]
)
def test_a_copy_has_tokens_of_its_own(copied: Callable[[Any], Any]) -> None:
    """An AppToken is a value: it can be copied and sent, and takes no token along."""
    for token in (AppToken("app", "secret"), CorpToken("corp", "secret")):
        asyncio.run(BoundToken(token, Service(), "here").get())
        other = copied(token)

        assert other == token
        assert other.caches.of("here").other_than(None) is None


def test_threads_that_ask_at_once_get_one_cache() -> None:
    """However they race, clients in several threads share what is one object."""
    for _ in range(50):
        caches, barrier = Caches(), threading.Barrier(4)

        def ask(caches: Caches = caches, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return id(caches.of("here"))

        with ThreadPoolExecutor(4) as threads:
            found = [threads.submit(ask) for _ in range(4)]

        assert len({one.result() for one in found}) == 1


async def test_a_fetch_that_comes_too_late_brings_nothing_back() -> None:
    """What was refused meanwhile does not take the place of its successor."""
    cache = Caches().of("here")
    soon = datetime.now(UTC) + timedelta(hours=1)
    slow = anyio.Event()

    async def old() -> AccessToken:
        await slow.wait()
        return AccessToken("old", soon)

    async def new() -> AccessToken:
        return AccessToken("new", soon)

    late: list[str] = []

    async def get() -> None:
        late.append(await cache.get(old))

    async with anyio.create_task_group() as group:
        group.start_soon(get)
        await anyio.wait_all_tasks_blocked()
        # As another event loop would, which waits for no fetch of this one.
        renewed = await anyio.to_thread.run_sync(
            partial(anyio.run, partial(cache.renew, "old", new))
        )
        slow.set()

    assert renewed == "new"
    assert late == ["new"]
    assert await cache.get(old) == "new"


async def test_a_store_that_lags_behind() -> None:
    """A token that was refused is not taken from a store again."""
    soon = datetime.now(UTC) + timedelta(hours=1)

    class Lagging:
        async def load(self, key: str) -> AccessToken:
            return AccessToken("t1", soon)

        async def save(self, key: str, token: AccessToken) -> None:
            return

        def lock(self, key: str) -> AbstractAsyncContextManager[None]:
            return nullcontext()

    service = Service()
    bound = BoundToken(AppToken("a", "s", store=Lagging()), service, "here")
    first = await bound.get()

    found = [await bound.renew("t1"), await bound.renew("t2")]
    found.append(await bound.get())

    assert first == "t1"
    assert "t1" not in found[1:]
