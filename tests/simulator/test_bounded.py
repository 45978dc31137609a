"""What the simulator remembers of its callers is bounded, however long it runs."""

from __future__ import annotations

import pytest

from tests.simulator.calling import Clock, credentials, in_process
from wxmedia_async import OFFICIAL_ACCOUNT, WECOM, Platform
from wxmedia_async.simulator import Simulator, _app, _tokens
from wxmedia_async.simulator._tokens import LIFETIME, Tokens

DAY = 86_400.0


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """As many as may be remembered."""
    monkeypatch.setattr(_tokens, "_MOST", 10)
    monkeypatch.setattr(_app, "_MOST_KEPT", 10)
    return 10


def test_tokens(few: int) -> None:
    """Of too many tokens the oldest are unknown; the latest are good."""
    tokens = Tokens(Clock())
    issued = [tokens.stable(f"{number}")[0] for number in range(2 * few)]

    assert [tokens.state(token) for token in issued] == [
        *["unknown"] * few,
        *["good"] * few,
    ]
    assert len(tokens._current) == few
    assert tokens.stable("0")[0] not in issued


def test_tokens_of_one_account(few: int) -> None:
    """An account that fetches ever new tokens has one that is good."""
    tokens = Tokens(Clock())
    issued = [tokens.fresh("a", keep_old=0.0)[0] for _ in range(2 * few)]

    assert tokens.state(issued[-1]) == "good"
    assert len(tokens._issued) == few
    assert tokens.stable("a")[0] == issued[-1]


def test_expired_tokens_are_forgotten() -> None:
    """A token that ended is known as expired for a while, and then no more."""
    clock = Clock()
    tokens = Tokens(clock)
    old, _ = tokens.stable("a")

    clock.now += LIFETIME
    tokens.stable("b")
    ended = tokens.state(old)
    clock.now += LIFETIME
    tokens.stable("c")

    assert (ended, tokens.state(old)) == ("expired", "unknown")
    assert "a" not in tokens._current


def test_forced_renewals(few: int) -> None:
    """Of too many accounts that force renewals the one that did longest ago goes."""
    tokens = Tokens(Clock())

    assert all(tokens.may_force(f"{number}") for number in range(few + 1))
    assert not tokens.may_force(f"{few}")
    assert not tokens.may_force("1")
    assert tokens.may_force("0")


@pytest.mark.parametrize("platform", [OFFICIAL_ACCOUNT, WECOM], ids=lambda it: it.name)
@pytest.mark.parametrize("id_is_long", [True, False])
async def test_ids_that_are_too_long(platform: Platform, id_is_long: bool) -> None:
    """An id or a secret that is far too long is not remembered, but refused."""
    long, short = "x" * 1_000, "s"
    given = (long, short) if id_is_long else (short, long)
    simulator = Simulator(platform)
    async with in_process(simulator) as http:
        if platform.wecom:
            query = dict(zip(("corpid", "corpsecret"), given, strict=True))
            reply = await http.get("/cgi-bin/gettoken", params=query)
        else:
            asked = credentials(appid=given[0], secret=given[1])
            reply = await http.post("/cgi-bin/stable_token", json=asked)

    assert "access_token" not in reply.text
    assert simulator.token_fetches == 0


async def test_requests(few: int) -> None:
    """The latest requests are remembered."""
    simulator = Simulator()
    async with in_process(simulator) as http:
        for number in range(few + 5):
            await http.get(f"/{number}")

    assert [request.path for request in simulator.requests] == [
        f"/{number}" for number in range(5, few + 5)
    ]


@pytest.mark.parametrize(
    "long",
    [
        {"headers": {"x-long": "x" * 40_000}},
        {"headers": {f"x-{number}": "x" * 1000 for number in range(40)}},
        {"params": {"media_id": "x" * 40_000}},
    ],
    ids=["header", "headers", "query"],
)
async def test_heads_that_are_too_long(long: dict[str, dict[str, str]]) -> None:
    """A head that is too long is refused, and nothing of it is remembered."""
    simulator = Simulator()
    async with in_process(simulator) as http:
        reply = await http.post("/cgi-bin/media/upload", content=b"x", **long)  # type: ignore[arg-type]  # one of two

    [seen] = simulator.requests
    assert reply.status_code == 431
    assert (seen.method, dict(seen.query), dict(seen.headers)) == ("POST", {}, {})


async def test_messages(few: int) -> None:
    """The latest messages are remembered, and none that is too long."""
    simulator = Simulator()
    simulator.open_access = True
    url = "/cgi-bin/message/custom/send"
    async with in_process(simulator) as http:
        for number in range(few + 5):
            await http.post(url, json={"number": number})
        long = await http.post(url, json={"text": "x" * 100_000})

    assert simulator.sent == [{"number": number} for number in range(5, few + 5)]
    assert long.json()["errcode"] == 45002
