"""A store that fails is passed over: the token was fetched, and is used."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from tests.fakes import JPEG, FakeWeChat, client_of
from wxmedia_async import (
    AccessToken,
    AppToken,
    CorpToken,
    CredentialsError,
    ServerBusy,
)
from wxmedia_async._foreign import Complaints
from wxmedia_async._tokens.bound import BoundToken
from wxmedia_async._tokens.providers import TokenCall

FAILURES = [
    OSError(errno.ENOSPC, "No space left on device"),
    KeyError("SECRET"),
    ServerBusy(code=-1),
    CredentialsError(code=40013),
    asyncio.CancelledError(),
]


@attrs.define(eq=False)
class Store:
    """A store whose calls fail, where they are named."""

    failing: frozenset[str]
    failure: BaseException
    calls: list[str] = attrs.Factory(list)

    async def load(self, key: str) -> AccessToken | None:
        await self._done("load")
        return None

    async def save(self, key: str, token: AccessToken) -> None:
        await self._done("save")

    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        if "lock" in self.failing:
            raise self.failure
        return self._lock()

    @asynccontextmanager
    async def _lock(self) -> AsyncIterator[None]:
        await self._done("enter")
        yield
        await self._done("leave")

    async def _done(self, call: str) -> None:
        self.calls.append(call)
        await checkpoint()
        if call in self.failing:
            raise self.failure


def refused(store: Store) -> BoundToken:
    """A token whose credentials the service does not know."""

    async def send(_: TokenCall) -> dict[str, object]:
        raise CredentialsError(code=40013)

    return BoundToken(AppToken("a", "s", store=store), send, "here", Complaints())


async def read_all(service: FakeWeChat, token: Any, times: int) -> list[bytes]:
    contents: list[bytes] = []
    async with client_of(service, token=token) as client:

        async def read() -> None:
            contents.append((await client.read("m")).content)

        async with anyio.create_task_group() as group:
            for _ in range(times):
                group.start_soon(read)
    return contents


@pytest.mark.parametrize(
    "failure", FAILURES, ids=lambda failure: type(failure).__name__
)
@pytest.mark.parametrize("failing", ["load", "lock", "enter", "save", "leave", "all"])
@pytest.mark.parametrize("kind", ["stable_token", "token", "corp"])
async def test_a_store_that_fails_is_passed_over(
    kind: Literal["stable_token", "token", "corp"],
    failing: str,
    failure: BaseException,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One fetch serves all, whatever the store cannot do; it is logged once."""
    every = {"load", "lock", "enter", "save", "leave"}
    store = Store(frozenset(every if failing == "all" else {failing}), failure)
    service = FakeWeChat(stored={"m": JPEG})
    token = (
        CorpToken("corp", "secret", store=store)
        if kind == "corp"
        else AppToken("app", "secret", store=store, endpoint=kind)
    )

    contents = await read_all(service, token, 10)

    assert contents == [JPEG] * 10
    assert service.tokens == 1
    told = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.name for one in told] == ["wxmedia_async"]
    assert told[0].getMessage().startswith("the token store failed")
    assert "SECRET" not in caplog.text


async def test_a_store_is_left_alone_after_its_first_failure() -> None:
    """A server that does not answer is waited for once, not for each call."""
    store = Store(frozenset({"load", "enter", "save"}), OSError())

    await read_all(FakeWeChat(stored={"m": JPEG}), AppToken("a", "s", store=store), 1)

    assert store.calls == ["load"]


async def test_a_renewed_token_is_used_where_the_store_fails() -> None:
    """A token that replaces a refused one needs no store either."""
    store = Store(frozenset({"load", "save"}), OSError())
    service = FakeWeChat(stored={"m": JPEG})
    token = AppToken("app", "secret", store=store)

    async with client_of(service, token=token) as client:
        await client.read("m")
        service.valid = "another"
        await client.read("m")

    assert service.tokens == 2


@pytest.mark.parametrize("stored", ["a str", 5, b"bytes", {"value": "t"}])
async def test_a_store_that_gives_no_token(stored: Any) -> None:
    """What is no AccessToken, or an empty one, is not used."""

    class Strange(Store):
        async def load(self, key: str) -> AccessToken | None:
            return stored  # type: ignore[no-any-return]

    service = FakeWeChat(stored={"m": JPEG})
    store = Strange(frozenset(), OSError())

    contents = await read_all(service, AppToken("a", "s", store=store), 1)

    assert contents == [JPEG]
    assert service.tokens == 1


async def test_a_lock_does_not_hide_why_a_fetch_failed() -> None:
    """A lock that swallows what happens inside swallows no failure of the service."""

    class Swallowing:
        async def __aenter__(self) -> None:
            return

        async def __aexit__(self, *_: object) -> bool:
            return True

    class Strange(Store):
        def lock(self, key: str) -> AbstractAsyncContextManager[None]:
            return Swallowing()

    store = Strange(frozenset(), OSError())

    with pytest.raises(CredentialsError):
        await refused(store).get()


async def test_a_fetch_that_fails_is_no_failure_of_the_store(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A lock that passes on what happened inside is not complained about."""

    class Raising:
        async def __aenter__(self) -> None:
            return

        async def __aexit__(
            self, kind: object, error: BaseException | None, frames: object
        ) -> None:
            assert error is not None
            raise error

    class Strange(Store):
        def lock(self, key: str) -> AbstractAsyncContextManager[None]:
            return Raising()

    for store in (Store(frozenset(), OSError()), Strange(frozenset(), OSError())):
        with pytest.raises(CredentialsError):
            await refused(store).get()

    assert caplog.records == []


async def test_a_token_is_kept_though_its_caller_goes_while_it_is_stored() -> None:
    """Who is cancelled while the store saves has fetched for the others."""

    class Slow(Store):
        async def save(self, key: str, token: AccessToken) -> None:
            await anyio.sleep_forever()

    fetches = 0

    async def send(_: TokenCall) -> dict[str, object]:
        nonlocal fetches
        fetches += 1
        return {"access_token": f"t{fetches}", "expires_in": 7200}

    token = AppToken("a", "s", store=Slow(frozenset(), OSError()), endpoint="token")
    bound = BoundToken(token, send, "here", Complaints())
    found: list[str] = []

    async def wait() -> None:
        with anyio.fail_after(5):
            found.append(await bound.get())

    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as leaving:

            async def leave() -> None:
                await anyio.wait_all_tasks_blocked()
                leaving.cancel()

            group.start_soon(leave)
            group.start_soon(_later, wait)
            await bound.get()

    assert found == ["t1"]
    assert fetches == 1


async def _later(call: Any) -> None:
    await checkpoint()
    await call()
