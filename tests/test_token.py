"""The token of a client: its kinds, and how often it is fetched and renewed."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from tests.fakes import JPEG, SECRET, TOKEN, FakeWeChat, client_of, error
from wxmedia_async import (
    WECOM,
    AccessToken,
    AppToken,
    CorpToken,
    ServerBusy,
    StaticToken,
)


async def test_no_token() -> None:
    """token=None sends no access_token, as Cloud Hosting wants it."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, token=None) as client:
        await client.read("ID")
        assert client.token is None

    assert dict(service.requests[0].url.params) == {"media_id": "ID"}


async def test_kinds_of_tokens() -> None:
    """`client.token` is what another SDK can share, and each kind is sent."""
    service = FakeWeChat({"ID": JPEG})
    asked = 0

    async def function() -> str:
        nonlocal asked
        asked += 1
        return "from a function"

    class Provider:
        async def get(self) -> str:
            return "from a provider"

        async def renew(self, rejected: str) -> str:
            return rejected

    provider = Provider()
    async with client_of(service, token=TOKEN) as client:
        await client.read("ID")
        assert client.token == StaticToken(TOKEN)
    async with client_of(service, token=function) as client:
        await client.read("ID")
        await client.read("ID")
        assert client.token is not None
        assert await client.token.get() == "from a function"
    async with client_of(service, token=provider) as client:
        await client.read("ID")
        assert client.token is provider

    sent = [request.url.params["access_token"] for request in service.requests]
    assert sent == [TOKEN, "from a function", "from a function", "from a provider"]
    assert asked == 1


async def test_token_that_is_shared() -> None:
    """Clients that are given the same AppToken fetch one token between them."""
    service, token = FakeWeChat({"ID": JPEG}), AppToken("wx1", SECRET)

    async with client_of(service, token=token) as one:
        async with client_of(service, token=token) as other:
            await one.read("ID")
            await other.read("ID")
            assert one.token is not None
            assert await one.token.get() == service.valid

    assert service.tokens == 1


async def test_token_fetches_of_many() -> None:
    """Fault 26: a thousand reads on a cold client cause one fetch of a token."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        async with anyio.create_task_group() as readers:
            for _ in range(1000):
                readers.start_soon(client.read, "ID")
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert service.tokens == 1
    assert service.peak == 16
    assert len(service.requests) == 1001


async def test_renewals_of_many() -> None:
    """Fault 27: a token that dies under many transfers is renewed once."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        await client.read("ID")
        service.valid = "somebody fetched another one"
        async with anyio.create_task_group() as readers:
            for _ in range(100):
                readers.start_soon(client.read, "ID")

    assert service.tokens == 2


async def test_failed_fetch_fails_the_wave_once() -> None:
    """Fault 26: a fetch that fails is tried as often as one, and fails for all."""
    service = FakeWeChat(answers=[error(-1)] * 99, gate=anyio.Event())
    failures = list[ServerBusy]()

    async def run() -> None:
        with pytest.raises(ServerBusy) as caught:
            await client.read("ID")
        failures.append(caught.value)

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        async with anyio.create_task_group() as readers:
            for _ in range(50):
                readers.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert len(failures) == len(set(map(id, failures))) == 50
    assert len(service.requests) == 4


async def test_corp_token() -> None:
    """WeCom's token comes from gettoken."""
    service = FakeWeChat({"ID": JPEG})
    token = CorpToken("ww1", SECRET)

    async with client_of(service, token=token, platform=WECOM) as client:
        await client.read("ID")

    asked = service.requests[0].url
    assert asked.path == "/cgi-bin/gettoken"
    assert dict(asked.params) == {"corpid": "ww1", "corpsecret": SECRET}


async def test_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 28: a clock that jumps by a day neither ends a token nor a transfer."""
    service = FakeWeChat({"ID": JPEG}, created_at=1_700_000_000)

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        await client.read("ID")
        now = time.time
        monkeypatch.setattr("time.time", lambda: now() + 86_400)
        await client.read("ID")
        uploaded = await client.upload(JPEG)

    assert service.tokens == 1
    assert uploaded.created_at.timestamp() == 1_700_000_000


async def test_token_that_ends() -> None:
    """A token is replaced when it ends, and not sooner than that asks for."""
    service = FakeWeChat({"ID": JPEG})
    given = list[AccessToken]()

    async def function() -> AccessToken:
        ends = datetime.now(UTC) + timedelta(seconds=0 if not given else 7200)
        given.append(AccessToken(f"token{len(given)}", ends))
        return given[-1]

    async with client_of(service, token=function) as client:
        for _ in range(4):
            await client.read("ID")

    sent = [request.url.params["access_token"] for request in service.requests]
    assert sent == ["token0", "token1", "token1", "token1"]
