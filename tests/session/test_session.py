"""Tries, tokens and pauses, as transfers of a client see them."""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from tests.destinations import Bucket
from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, error
from wxmedia_async import (
    MINI_PROGRAM,
    Adaptive,
    AppToken,
    MediaClient,
    RateLimited,
    RetryPolicy,
    ServerBusy,
    TokenRejected,
    TransferTimeout,
)

BUSY = 503


def busy(**headers: str) -> httpx.Response:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(BUSY, headers=shown, text="later")


class Lagging:
    """A provider whose get() reads a copy that lags behind."""

    def __init__(self) -> None:
        self.renewed: list[str] = []

    async def get(self) -> str:
        return "old"

    async def renew(self, rejected: str) -> str:
        self.renewed.append(rejected)
        return f"new-{len(self.renewed)}"


@pytest.mark.parametrize("operation", ["read", "upload", "call"])
async def test_renewed_token_is_used(operation: str) -> None:
    """What renew() returns is the next token, whatever get() says; once per dead one."""
    service = FakeWeChat({"ID": JPEG}, valid="new-1")
    provider = Lagging()

    async with client_of(service, token=provider) as client:
        for _ in range(3):
            if operation == "read":
                await client.read("ID")
            elif operation == "upload":
                await client.upload(JPEG)
            else:
                service.answers = [httpx.Response(200, text="{}")]
                await client.call("GET", "/cgi-bin/any")

    assert provider.renewed == ([] if operation == "call" else ["old"])


async def test_token_that_another_transfer_has_replaced() -> None:
    """Who hears late that a token is dead takes the new one, and renews nothing."""
    gate = anyio.Event()
    service = FakeWeChat({"A": JPEG, "B": JPEG}, valid="new-1", gate=gate)
    provider = Lagging()
    contents: list[bytes] = []

    async def read(media_id: str) -> None:
        content = await client.read(media_id)
        contents.append(content.content)

    async with client_of(service, token=provider) as client:
        async with anyio.create_task_group() as late:
            late.start_soon(read, "A")
            await anyio.wait_all_tasks_blocked()
            service.gate = None
            await read("B")
            gate.set()

    assert contents == [JPEG, JPEG]
    assert provider.renewed == ["old"]
    assert len(service.requests) == 4


async def test_two_dead_tokens_in_one_transfer() -> None:
    """A token that is replaced twice in a moment costs two renewals, and no item."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(40001), error(40001)])
    provider = Lagging()

    async with client_of(service, token=provider) as client:
        content = await client.read("ID")

    assert content.content == JPEG
    assert provider.renewed == ["old", "new-1"]


async def test_three_dead_tokens() -> None:
    """Three in a row are told; the next transfer makes one try with a newer one."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(40001)] * 4)
    provider = Lagging()

    async with client_of(service, token=provider) as client:
        with pytest.raises(TokenRejected) as first:
            await client.read("ID")
        with pytest.raises(TokenRejected) as second:
            await client.read("ID")
        content = await client.read("ID")

    assert (first.value.attempts, second.value.attempts) == (3, 1)
    assert content.content == JPEG
    assert provider.renewed == ["old", "new-1", "new-2", "new-3"]


async def test_an_accepted_one_in_between() -> None:
    """Tokens that were accepted show that the others were bad luck."""
    service = FakeWeChat({"ID": JPEG})
    provider = Lagging()

    async with client_of(service, token=provider) as client:
        for _ in range(10):
            service.answers = [error(40001), error(40001)]
            await client.read("ID")

    assert len(provider.renewed) == 20


async def test_batch_under_a_token_that_is_replaced_all_the_time() -> None:
    """However often somebody else replaces the token, every item is done."""
    ids = [f"m{number}" for number in range(300)]
    service = FakeWeChat(dict.fromkeys(ids, JPEG))
    token = AppToken("wx1", "s", endpoint="token")
    count = 0

    def replaced(request: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        if count % 8 == 0 and not request.url.path.endswith("token"):
            service.valid = f"somebody's {count}"
        service.answers.append(replaced)
        return service._answer(request, dict(request.url.params), b"")

    service.answers.append(replaced)
    async with client_of(service, token=token) as client:
        async with client.download_many(ids, Bucket()) as outcomes:
            failed = [outcome.error async for outcome in outcomes if not outcome.ok]

    assert failed == []


async def test_token_that_is_replaced_every_50_ms() -> None:
    """2 000 items are done all the same, at a renewal for each dead token."""
    ids = [f"m{number}" for number in range(2000)]
    service = FakeWeChat(dict.fromkeys(ids, JPEG))
    token = AppToken("wx1", "s", endpoint="token")
    replaced = 0

    async def replace() -> None:
        nonlocal replaced
        while True:
            await anyio.sleep(0.05)
            replaced += 1
            service.valid = f"somebody's {replaced}"

    async with client_of(service, token=token) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(replace)
            async with client.download_many(ids, Bucket()) as outcomes:
                failed = [one.error async for one in outcomes if not one.ok]
            tasks.cancel_scope.cancel()

    assert failed == []
    assert service.tokens <= replaced + 1


async def test_pause_costs_no_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """RateLimited fails an item only where its deadline forbids the wait."""
    monkeypatch.setattr(RateLimited, "retry_after", 0.01)
    service = FakeWeChat({"ID": JPEG}, answers=[error(45011)] * 5)

    async with client_of(service, retry=RetryPolicy(attempts=1)) as client:
        content = await client.read("ID")

    assert content.content == JPEG
    assert len(service.requests) == 6


async def test_words_of_a_pause() -> None:
    """Who is not sent because of a pause is told so, and of no reply."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(45011)])

    async with client_of(service, deadline=5.0) as client:
        with pytest.raises(RateLimited) as first:
            await client.read("ID")
        with pytest.raises(RateLimited) as second:
            await client.read("ID")

    assert (first.value.attempts, second.value.attempts) == (1, 0)
    assert "45011" in str(first.value)
    assert "not sent" in str(second.value)
    assert "HTTP" not in str(second.value)
    assert 50 < second.value.retry_after < 60.1
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("token", "is_paused"),
    [
        pytest.param(AppToken("wx2", "s"), False, id="another"),
        pytest.param(AppToken("wx1", "s"), True, id="an equal one"),
        pytest.param("static", False, id="a str"),
        pytest.param(None, False, id="none"),
    ],
)
async def test_pause_of_one_account(
    token: AppToken | str | None, is_paused: bool
) -> None:
    """A pause is of the account that WeChat wants less of, in whichever client."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, token=AppToken("wx1", "s"), deadline=5.0) as client:
        await client.read("ID")
        service.answers = [error(45011)]
        with pytest.raises(RateLimited):
            await client.read("ID")
        service.valid = None
        neighbour = client.with_options(token=token)
        if is_paused:
            with pytest.raises(RateLimited):
                await neighbour.read("ID")
        else:
            await neighbour.read("ID")
        with pytest.raises(RateLimited):
            await client.with_options(timeout=5.0).read("ID")


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_beyond_the_deadline(status: int) -> None:
    """A service that wants to be left alone for longer than there is time is left."""
    answer = httpx.Response(status, headers={"Retry-After": "60"}, text="later")
    service = FakeWeChat({"ID": JPEG}, answers=[answer])

    async with client_of(service, deadline=5.0) as client:
        with pytest.raises(ServerBusy) as caught:
            await client.read("ID")

    assert (caught.value.retry_after, caught.value.attempts) == (60.0, 1)
    assert len(service.requests) == 1


async def test_retry_after_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next try comes no sooner than the service says."""
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("wxmedia_async._session.session.anyio.sleep", sleep)
    service = FakeWeChat({"ID": JPEG}, answers=[busy(Retry_After="7"), busy()])

    async with client_of(service, retry=RetryPolicy(initial=0.0)) as client:
        await client.read("ID")

    assert waits == [7.0, 0.0]


@pytest.mark.parametrize("lack", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS])
async def test_lack_of_descriptors(lack: int) -> None:
    """What this machine lacks is its OSError: no retry, and no other host."""
    service = FakeWeChat({"ID": JPEG}, answers=[OSError(lack, "none left")])

    async with client_of(service) as client:
        with pytest.raises(OSError, match="none left") as caught:
            await client.read("ID")

    assert caught.value.errno == lack
    assert len(service.requests) == 1


async def test_busy_pool_of_the_users_blames_no_host() -> None:
    """That a client of the user's had no connection free says nothing of the host."""
    service = FakeWeChat({"ID": JPEG}, answers=[httpx.PoolTimeout("none")])
    http = httpx.AsyncClient(transport=service)
    hosts = ("http://one.test", "http://two.test")

    platform = MINI_PROGRAM.__class__("mini_program", hosts, {})
    client = MediaClient(TOKEN, http=http, platform=platform)
    retry = RetryPolicy(attempts=1)
    with pytest.raises(TransferTimeout):
        await client.with_options(retry=retry).read("ID")
    await client.read("ID")

    assert [request.url.host for request in service.requests] == ["one.test"] * 2


async def test_adaptive_learns_from_a_deadline() -> None:
    """A service that stalls until the deadline is too much for is sent less."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, max_concurrency=Adaptive(1, 8)) as client:
        width = client._session.pace.bound.width
        for _ in range(100):
            width.succeeded(8)
        before = width.slots
        with pytest.raises(TransferTimeout):
            await client.read("ID", deadline=0.01)

    assert (before, width.slots) == (8, 6)


async def test_adaptive_does_not_learn_from_a_destination() -> None:
    """A destination that stalls says nothing of the service."""
    service = FakeWeChat({"ID": JPEG})

    class Stalls:
        async def put(self, *_: object, **__: object) -> str:
            await anyio.sleep_forever()
            raise AssertionError

    async with client_of(service, max_concurrency=Adaptive(1, 8)) as client:
        width = client._session.pace.bound.width
        for _ in range(100):
            width.succeeded(8)
        with pytest.raises(TransferTimeout):
            await client.download("ID", Stalls(), deadline=0.01)

    assert width.slots == 8


async def test_limits_of_one_call() -> None:
    """A deadline for one call is none of the client's others."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, deadline=60.0) as client:
        for call in (
            client.read("ID", deadline=0.01),
            client.upload(JPEG, deadline=0.01),
            client.call("GET", "/cgi-bin/any", deadline=0.01),
        ):
            with pytest.raises(TransferTimeout, match="deadline"):
                await call
        with pytest.raises(TransferTimeout, match="deadline"):
            async with client.stream("ID", deadline=0.01):
                pass
        assert service.gate is not None
        service.gate.set()
        await client.read("ID")


async def test_timeout_of_one_call() -> None:
    """A timeout for one call is what its request asks for."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, timeout=20.0) as client:
        await client.read("ID", timeout=7.0)
        await client.read("ID")

    asked = [request.extensions["timeout"]["connect"] for request in service.requests]
    assert asked == [7.0, 20.0]


@pytest.mark.parametrize("field", ["timeout", "deadline"])
async def test_wrong_limits_of_one_call(field: str) -> None:
    """They are looked at before any request."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(ValueError, match=field):
            await client.read("ID", **{field: 0})  # type: ignore[arg-type]

    assert service.requests == []


async def test_deadline_covers_the_source() -> None:
    """A source that stalls while it is looked at is under the deadline."""

    async def stalls() -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    service = FakeWeChat()
    async with client_of(service) as client:
        for size in (None, 10):
            with pytest.raises(TransferTimeout, match="deadline"):
                await client.upload(stalls(), size=size, deadline=0.01)

    assert service.requests == []


async def test_hook_of_the_users(caplog: pytest.LogCaptureFixture) -> None:
    """What a hook on the client raises is the user's, and is raised once."""
    calls = 0

    async def refuse(request: httpx.Request) -> None:
        nonlocal calls
        calls += 1
        raise LookupError("their hook")

    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service, event_hooks={"request": [refuse]})
    with caplog.at_level(logging.DEBUG):
        with pytest.raises(LookupError, match="their hook"):
            await MediaClient(TOKEN, http=http, base_url="http://h.test").read("ID")

    assert calls == 1
    assert TOKEN not in caplog.text


async def test_rate_of_a_child_is_its_own() -> None:
    """with_options(rate=) gives a pace of its own beside the other's."""
    service = FakeWeChat({"ID": JPEG})

    class Counting:
        calls = 0

        async def acquire(self) -> None:
            self.calls += 1

    ours, theirs = Counting(), Counting()
    async with client_of(service, rate=ours) as client:
        child = client.with_options(rate=theirs)
        free = client.with_options(rate=None)
        other = client.with_options(token="another")
        for one in (client, child, child, free, other):
            await one.read("ID")

    assert (ours.calls, theirs.calls) == (1, 2)
