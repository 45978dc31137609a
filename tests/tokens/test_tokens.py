"""Where access tokens come from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from traceback import TracebackException
from typing import Any

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from tests.fakes import FakeWeChat, client_of, error
from wxmedia_async import (
    AccessToken,
    AppToken,
    CorpToken,
    CredentialsError,
    ServerBusy,
    StaticToken,
    TokenProvider,
    TokenRejected,
    UnexpectedReply,
)
from wxmedia_async._tokens.bound import BoundToken, FunctionToken, bind
from wxmedia_async._tokens.cache import TokenCache
from wxmedia_async._tokens.providers import TokenCall

JPEG = b"\xff\xd8\xff"


@attrs.define(eq=False)
class Issuer:
    """A token endpoint that can be held at a gate."""

    answers: list[AccessToken | Exception] = attrs.Factory(list)
    gate: anyio.Event | None = None
    fetches: int = 0
    lifetime: float = 7200.0

    async def __call__(self) -> AccessToken:
        self.fetches += 1
        number = self.fetches
        await checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return named(f"t{number}", self.lifetime)


def named(value: str, seconds: float = 7200.0) -> AccessToken:
    return AccessToken(value, datetime.now(UTC) + timedelta(seconds=seconds))


@attrs.define
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


async def gathered(
    calls: list[Callable[[], Awaitable[str]]],
) -> list[str | Exception]:
    results: list[str | Exception] = []

    async def run(call: Callable[[], Awaitable[str]]) -> None:
        try:
            results.append(await call())
        except (ServerBusy, CredentialsError, KeyError) as failure:
            results.append(failure)

    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(run, call)
    return results


async def test_fault_26_a_thousand_callers_one_fetch() -> None:
    """Fault 26: whoever comes first fetches, and all the others get that."""
    cache, issuer = TokenCache(), Issuer()

    found = await gathered([lambda: cache.get(issuer)] * 1000)

    assert found == ["t1"] * 1000
    assert issuer.fetches == 1


async def test_fault_26_a_failed_fetch_fails_the_wave_once() -> None:
    """Fault 26: a failure is shared, each caller has one of its own, and it ends."""
    failure = CredentialsError(code=40013)
    cache, issuer = TokenCache(), Issuer([failure], gate=anyio.Event())

    async with anyio.create_task_group() as group:
        found: list[str | Exception] = []

        async def wave() -> None:
            found.extend(await gathered([lambda: cache.get(issuer)] * 20))

        group.start_soon(wave)
        await anyio.wait_all_tasks_blocked()
        assert issuer.gate is not None
        issuer.gate.set()

    assert issuer.fetches == 1
    assert [type(one) for one in found] == [CredentialsError] * 20
    assert len({id(one) for one in found}) == 20
    assert await cache.get(issuer) == "t2"


async def test_an_error_of_the_users_is_shared_as_it_is() -> None:
    """What a coroutine function raises comes out to all who waited."""
    cache, issuer = TokenCache(), Issuer([KeyError("mine")])

    found = await gathered([lambda: cache.get(issuer)] * 3)

    assert [type(one) for one in found] == [KeyError] * 3
    assert issuer.fetches == 1


@pytest.mark.parametrize("victim", ["leader", "waiter"])
async def test_fault_26_cancelling_one_harms_nobody(victim: str) -> None:
    """Fault 26: a cancelled waiter is gone; a cancelled leader is replaced."""
    cache, issuer = TokenCache(), Issuer(gate=anyio.Event())
    scopes = [anyio.CancelScope() for _ in range(5)]
    found: list[str] = []

    async def ask(scope: anyio.CancelScope) -> None:
        with scope:
            found.append(await cache.get(issuer))

    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(ask, scope)
            await anyio.wait_all_tasks_blocked()
        scopes[0 if victim == "leader" else 2].cancel()
        await anyio.wait_all_tasks_blocked()
        assert issuer.gate is not None
        issuer.gate.set()

    assert len(set(found)) == 1
    assert len(found) == 4
    assert issuer.fetches == (2 if victim == "leader" else 1)


async def test_near_its_end_one_fetches_and_others_go_on() -> None:
    """Ahead of the end one caller waits, and the others get the current token."""
    clock = Clock()
    cache, issuer = TokenCache(clock), Issuer()
    await cache.get(issuer)
    clock.now += 7200 - 299
    issuer.gate = anyio.Event()
    renewed: list[str] = []

    async def ask() -> None:
        renewed.append(await cache.get(issuer))

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        meanwhile = [await cache.get(issuer) for _ in range(3)]
        issuer.gate.set()

    assert meanwhile == ["t1"] * 3
    assert renewed == ["t2"]
    assert await cache.get(issuer) == "t2"
    assert issuer.fetches == 2


@pytest.mark.parametrize("failure", [ServerBusy(code=-1), KeyError("mine")])
async def test_a_renewal_ahead_that_fails_is_tried_later(failure: Exception) -> None:
    """The current token is good still: nobody fails, and half of its rest passes."""
    clock = Clock()
    cache, issuer = TokenCache(clock), Issuer()
    await cache.get(issuer)
    clock.now += 7200 - 200
    issuer.answers = [failure]

    first = [await cache.get(issuer) for _ in range(3)]
    asked = issuer.fetches
    clock.now += 101

    assert first == ["t1"] * 3
    assert asked == 2
    assert await cache.get(issuer) == "t3"


async def test_refused_while_a_renewal_ahead_fails() -> None:
    """A token that was refused meanwhile does not come back with that failure."""
    clock = Clock()
    cache, issuer = TokenCache(clock), Issuer()
    await cache.get(issuer)
    clock.now += 7200 - 200
    issuer.answers, issuer.gate = [ServerBusy(code=-1)], anyio.Event()
    found: list[str | Exception] = []

    async def wave(*calls: Callable[[], Awaitable[str]]) -> None:
        found.extend(await gathered(list(calls)))

    async with anyio.create_task_group() as group:
        group.start_soon(wave, lambda: cache.get(issuer))
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wave, lambda: cache.renew("t1", issuer))
        await anyio.wait_all_tasks_blocked()
        issuer.gate.set()

    assert [type(one) for one in found] == [ServerBusy] * 2
    assert await cache.get(issuer) == "t3"


async def test_after_its_end_all_wait() -> None:
    """A token that has ended is given to nobody."""
    clock = Clock()
    cache, issuer = TokenCache(clock), Issuer()
    await cache.get(issuer)
    clock.now += 7200

    found = await gathered([lambda: cache.get(issuer)] * 5)

    assert found == ["t2"] * 5


async def test_a_service_that_repeats_its_token_is_not_pestered() -> None:
    """With little time left the next fetch comes later and later, not each call."""
    clock = Clock()
    cache, issuer = TokenCache(clock), Issuer()
    await cache.get(issuer)
    clock.now += 6901
    for left in range(299, 0, -1):
        issuer.answers = [named("t1", left)]
        await cache.get(issuer)
        clock.now += 1

    assert issuer.fetches < 10


async def test_fault_28_the_wall_clock_may_jump() -> None:
    """Fault 28: a token's life is counted on the monotonic clock alone."""
    clock = Clock()
    cache, issuer = TokenCache(clock), Issuer()
    await cache.get(issuer)
    clock.now += 3600

    assert await cache.get(issuer) == "t1"
    assert issuer.fetches == 1


async def test_fault_27_one_renewal_for_a_dead_token() -> None:
    """Fault 27: many report the same token, one fetch replaces it."""
    cache, issuer = TokenCache(), Issuer()
    await cache.get(issuer)

    found = await gathered([lambda: cache.renew("t1", issuer)] * 50)
    late = await cache.renew("t1", issuer)

    assert found == ["t2"] * 50
    assert late == "t2"
    assert issuer.fetches == 2


async def test_while_it_is_renewed_nobody_gets_the_dead_token() -> None:
    """A caller that comes during a renewal waits for it."""
    cache, issuer = TokenCache(), Issuer()
    await cache.get(issuer)
    issuer.gate = anyio.Event()
    found: list[str] = []

    async def renew() -> None:
        found.append(await cache.renew("t1", issuer))

    async def get() -> None:
        found.append(await cache.get(issuer))

    async with anyio.create_task_group() as group:
        group.start_soon(renew)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(get)
        await anyio.wait_all_tasks_blocked()
        issuer.gate.set()

    assert found == ["t2", "t2"]


async def test_a_fetch_for_another_reason_may_bring_the_dead_token() -> None:
    """Who joins an ordinary fetch that repeats the refused token fetches again."""
    cache, issuer = TokenCache(), Issuer([named("dead"), named("alive")])
    issuer.gate = anyio.Event()
    found: list[str] = []

    async def renew() -> None:
        found.append(await cache.renew("dead", issuer))

    async with anyio.create_task_group() as group:
        group.start_soon(cache.get, issuer)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(renew)
        await anyio.wait_all_tasks_blocked()
        issuer.gate.set()

    assert found == ["alive"]


async def test_a_renewal_that_brings_the_same_ends() -> None:
    """Fault 27: no loop where the service insists on the refused token."""
    cache = TokenCache()
    issuer = Issuer([named("dead")] * 9)

    found = await gathered([lambda: cache.renew("dead", issuer)] * 5)

    assert found == ["dead"] * 5
    assert issuer.fetches == 1


def test_the_budget_of_forced_renewals() -> None:
    """At most 20 a day, and at least 30 seconds apart."""
    clock = Clock()
    cache = TokenCache(clock)

    granted = 0
    for _ in range(4000):
        granted += cache.may_force()
        clock.now += 10

    assert granted == 20
    clock.now += 86_400
    assert cache.may_force()
    clock.now += 29
    assert not cache.may_force()


@attrs.define(eq=False)
class Endpoint:
    """Answers calls of token endpoints, and keeps them."""

    tokens: list[str]
    calls: list[TokenCall] = attrs.Factory(list)

    async def __call__(self, call: TokenCall) -> Mapping[str, object]:
        self.calls.append(call)
        return {"access_token": self.tokens.pop(0), "expires_in": 7200}


@attrs.define(eq=False)
class MemoryStore:
    """A store for two in one process."""

    token: AccessToken | None = None
    mutex: anyio.Lock = attrs.Factory(anyio.Lock)

    async def load(self, key: str) -> AccessToken | None:
        await checkpoint()
        return self.token

    async def save(self, key: str, token: AccessToken) -> None:
        await checkpoint()
        self.token = token

    @asynccontextmanager
    async def lock(self, key: str) -> AsyncIterator[None]:
        async with self.mutex:
            yield


async def test_a_stored_token_is_replaced_before_it_ends() -> None:
    """One of all who share it fetches ahead; the rest find that in the store."""
    store = MemoryStore(named("old", 7200))
    endpoint = Endpoint(["new"])
    bound = [_sharing(store, endpoint) for _ in range(5)]
    before = await gathered([one.get for one, _ in bound])
    for _, clock in bound:
        clock.now += 7200 - 299

    after = await gathered([one.get for one, _ in bound])

    assert before == ["old"] * 5
    assert after == ["new"] * 5
    assert len(endpoint.calls) == 1


async def test_a_stored_token_that_was_refused() -> None:
    """One of all who share it replaces it; the rest find that in the store."""
    store = MemoryStore(named("old"))
    endpoint = Endpoint(["new"])
    bound = [_sharing(store, endpoint) for _ in range(5)]
    await gathered([one.get for one, _ in bound])

    async def renewed(one: BoundToken) -> str:
        return await one.renew("old")

    after = await gathered([partial(renewed, one) for one, _ in bound])

    assert after == ["new"] * 5
    assert len(endpoint.calls) == 1


@pytest.mark.parametrize("stored", [None, named("ended", -1)])
async def test_a_store_without_a_good_token(stored: AccessToken | None) -> None:
    """One fetches, the rest wait for the lock and find it."""
    store, endpoint = MemoryStore(stored), Endpoint(["new"])
    bound = [_sharing(store, endpoint) for _ in range(5)]

    found = await gathered([one.get for one, _ in bound])

    assert found == ["new"] * 5
    assert store.token is not None
    assert store.token.value == "new"


def _sharing(store: MemoryStore, endpoint: Endpoint) -> tuple[BoundToken, Clock]:
    """One of many processes, with a clock of its own."""
    credential, clock = AppToken("app", "secret", store=store), Clock()
    credential.caches.of("here")._clock = clock
    return BoundToken(credential, endpoint, "here"), clock


async def test_stable_token_asks_before_it_forces() -> None:
    """Somebody else may have renewed it: then nothing is forced."""
    endpoint = Endpoint(["one", "two"])
    bound = BoundToken(AppToken("app", "secret"), endpoint, "here")
    await bound.get()

    renewed = await bound.renew("one")

    assert renewed == "two"
    assert [force(call) for call in endpoint.calls] == [False, False]


async def test_stable_token_forces_where_it_must() -> None:
    """The same token again is refused as well, so another one is forced."""
    endpoint = Endpoint(["one", "one", "two"])
    bound = BoundToken(AppToken("app", "secret"), endpoint, "here")
    await bound.get()

    renewed = await bound.renew("one")

    assert renewed == "two"
    assert [force(call) for call in endpoint.calls] == [False, False, True]


async def test_forcing_keeps_to_the_budget() -> None:
    """Within 30 seconds of a forced renewal there is no other."""
    endpoint = Endpoint(["one", "one", "two", "two"])
    bound = BoundToken(AppToken("app", "secret"), endpoint, "here")
    await bound.get()
    await bound.renew("one")

    assert await bound.renew("two") == "two"
    assert [force(call) for call in endpoint.calls] == [False, False, True, False]


def force(call: TokenCall) -> object:
    assert call.json is not None
    return call.json["force_refresh"]


async def test_the_old_endpoint_and_wecom_are_just_asked() -> None:
    """`token` makes a new one each time; WeCom repeats its own."""
    for credential, path in (
        (AppToken("app", "secret", endpoint="token"), "/cgi-bin/token"),
        (CorpToken("corp", "secret"), "/cgi-bin/gettoken"),
    ):
        endpoint = Endpoint(["one", "one"])
        bound = BoundToken(credential, endpoint, "here")
        await bound.get()

        assert await bound.renew("one") == "one"
        assert [(call.method, call.path) for call in endpoint.calls] == [
            ("GET", path)
        ] * 2


async def test_clients_share_the_token_of_one_object() -> None:
    """Clients given the same AppToken object fetch once, others apart."""
    service = FakeWeChat(stored={"m": JPEG})
    shared = AppToken("app", "secret")

    for token in (shared, shared, AppToken("app", "secret")):
        async with client_of(service, token=token) as client:
            await client.read("m")

    assert service.tokens == 2


async def test_a_function_is_asked_until_its_token_ends() -> None:
    """A str is kept until it is refused, an AccessToken until it ends."""
    answers: list[str | AccessToken] = ["first", named("second", -1), "third"]

    async def function() -> str | AccessToken:
        return answers.pop(0)

    provider = FunctionToken(function)

    found = [await provider.get(), await provider.get()]
    found.append(await provider.renew("first"))
    found.append(await provider.get())

    assert found == ["first", "first", "second", "third"]


@pytest.mark.parametrize("wrong", [None, 5, "", b"bytes"])
async def test_a_function_must_give_a_token(wrong: Any) -> None:
    """Anything but a token is a TypeError that says so."""

    async def function() -> Any:
        return wrong

    with pytest.raises(TypeError, match="token function"):
        await FunctionToken(function).get()


def test_bind_takes_what_is_promised() -> None:
    """Each kind of token becomes the provider that is promised for it."""
    endpoint = Endpoint([])

    async def function() -> str:
        return "t"

    static = StaticToken("t")
    assert bind(None, endpoint, scope="s") is None
    assert bind("t", endpoint, scope="s") == static
    assert bind(static, endpoint, scope="s") is static
    assert isinstance(bind(function, endpoint, scope="s"), FunctionToken)
    assert isinstance(bind(AppToken("a", "s"), endpoint, scope="s"), BoundToken)
    assert isinstance(bind(CorpToken("a", "s"), endpoint, scope="s"), BoundToken)
    assert isinstance(bind(AppToken("a", "s"), endpoint, scope="s"), TokenProvider)
    for wrong in (5, b"t", AppToken, StaticToken):
        with pytest.raises(TypeError):
            bind(wrong, endpoint, scope="s")  # type: ignore[arg-type]


def test_wrong_tokens_are_refused() -> None:
    """An empty token, an unknown endpoint and a naive end are ValueErrors."""
    with pytest.raises(ValueError, match="empty"):
        StaticToken("")
    with pytest.raises(ValueError, match="endpoint"):
        AppToken("a", "s", endpoint="tokens")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="aware"):
        AccessToken("t", datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("secret", [b"SECRET", ["SECRET"], None])
def test_what_is_no_text_is_refused_and_not_shown(secret: Any) -> None:
    """Fault 34: an error that names the field does not say what was in it."""
    for kind in (AppToken, CorpToken):
        with pytest.raises(TypeError, match=r"^secret is a str, not ") as caught:
            kind("id", secret)
        assert "SECRET" not in str(caught.value)
    with pytest.raises(TypeError, match=r"^value is a str, not ") as caught:
        StaticToken(secret)
    assert "SECRET" not in str(caught.value)


async def test_fault_34_no_secret_in_any_repr() -> None:
    """Fault 34: neither secrets nor tokens are in the repr of what holds them."""
    endpoint = Endpoint(["SECRET-token"])
    credential = AppToken("app", "SECRET")
    bound = BoundToken(credential, endpoint, "here")
    await bound.get()

    shown = repr(
        [
            credential,
            CorpToken("corp", "SECRET"),
            StaticToken("SECRET"),
            named("SECRET"),
            bound,
            credential.caches.of("here"),
            *endpoint.calls,
        ]
    )

    assert "SECRET" not in shown
    assert "app" in shown


async def test_a_refused_static_token_is_raised() -> None:
    """Where nothing can be renewed the refusal itself comes out, after one try."""
    service = FakeWeChat(stored={"m": JPEG}, valid="another")

    async with client_of(service, token="stale") as client:
        with pytest.raises(TokenRejected) as refused:
            await client.read("m")

    assert refused.value.attempts == 1
    assert refused.value.code == 40001


async def test_a_busy_endpoint_is_tried_again_once_for_all() -> None:
    """The endpoint is tried as often as the policy says, not for each who waits."""
    service = FakeWeChat(stored={"m": JPEG})
    service.answers = [error(-1), error(-1)]
    contents: list[bytes] = []

    async with client_of(service, token=AppToken("app", "secret")) as client:

        async def read() -> None:
            contents.append((await client.read("m")).content)

        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(read)

    assert contents == [JPEG] * 30
    assert len(service.requests) == 3 + 30


async def test_an_endpoint_that_stays_busy_fails_all_after_one_round() -> None:
    """No storm: four tries in all, however many transfers wait."""
    service = FakeWeChat(stored={"m": JPEG})
    service.answers = [error(-1)] * 100
    failures: list[ServerBusy] = []

    async with client_of(service, token=AppToken("app", "secret")) as client:

        async def read() -> None:
            try:
                await client.read("m")
            except ServerBusy as failure:
                failures.append(failure)

        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(read)

    assert len(failures) == 30
    assert len(service.requests) == 4


async def test_fault_34_an_unusable_reply_gives_no_token_away() -> None:
    """Fault 34: the traceback of a refused reply holds no frame that knows it."""

    async def send(_: TokenCall) -> Mapping[str, object]:
        return {"access_token": "SECRET-token", "expires_in": "never" * 1000 + "-1"}

    async def wrong(_: TokenCall) -> Mapping[str, object]:
        return {"access_token": "SECRET token\n", "expires_in": 7200}

    assert await BoundToken(AppToken("app", "s"), send, "here").get() == "SECRET-token"
    with pytest.raises(UnexpectedReply) as refused:
        await BoundToken(AppToken("app", "s"), wrong, "here").get()

    shown = TracebackException.from_exception(refused.value, capture_locals=True)
    assert "SECRET token" not in "".join(shown.format())
