from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.simulator.calling import (
    PICTURE,
    Clock,
    credentials,
    download,
    fetch_token,
    in_process,
)
from wxmedia_async import OFFICIAL_ACCOUNT as OFFICIAL
from wxmedia_async import WECOM, Platform
from wxmedia_async.simulator import Simulator

OLD = {"grant_type": "client_credential", "appid": "a", "secret": "s"}
CORP = {"corpid": "a", "corpsecret": "s"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def simulator(clock: Clock) -> Simulator:
    return Simulator(clock=clock)


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx.AsyncClient]:
    async with in_process(simulator) as http:
        yield http


async def stable(http: httpx.AsyncClient, **more: object) -> dict[str, object]:
    reply = await http.post("/cgi-bin/stable_token", json=credentials(**more))
    answer: dict[str, object] = reply.json()
    return answer


async def old(http: httpx.AsyncClient, **more: str) -> dict[str, object]:
    reply = await http.get("/cgi-bin/token", params=OLD | more)
    answer: dict[str, object] = reply.json()
    return answer


async def code_with(
    http: httpx.AsyncClient, simulator: Simulator, answer: dict[str, object]
) -> int:
    """Return the errcode of a download with a token; 0: it was let through."""
    token = str(answer["access_token"])
    reply = await download(http, simulator.put(PICTURE), token=token)
    if reply.content == PICTURE:
        return 0
    code: int = reply.json()["errcode"]
    return code


async def test_the_stable_token_stays(http: httpx.AsyncClient, clock: Clock) -> None:
    """While it lives, the stable token is repeated with the seconds that are left."""
    first = await stable(http)
    clock.now += 6855

    again = await stable(http)

    assert first["expires_in"] == 7200
    assert again == {"access_token": first["access_token"], "expires_in": 345}


async def test_the_stable_token_ends(
    http: httpx.AsyncClient, simulator: Simulator, clock: Clock
) -> None:
    """After two hours there is another stable token, and the first is refused."""
    first = await stable(http)
    clock.now += 7200

    second = await stable(http)

    assert second["access_token"] != first["access_token"]
    assert await code_with(http, simulator, first) == 42001
    assert await code_with(http, simulator, second) == 0
    assert simulator.token_fetches == 2


async def test_forcing_ends_the_old_token_at_once(
    http: httpx.AsyncClient, simulator: Simulator
) -> None:
    """A forced renewal gives another token, and the old one is no credential."""
    first = await stable(http)

    second = await stable(http, force_refresh=True)

    assert await code_with(http, simulator, first) == 40001
    assert await code_with(http, simulator, second) == 0


async def test_forcing_takes_time(http: httpx.AsyncClient, clock: Clock) -> None:
    """Renewals are forced no less than 30 seconds apart, for each account."""
    await stable(http, force_refresh=True)
    clock.now += 29
    too_soon = await stable(http, force_refresh=True)
    another_account = await stable(http, force_refresh=True, appid="b")
    clock.now += 1

    in_time = await stable(http, force_refresh=True)

    assert too_soon["errcode"] == 45011
    assert "access_token" in another_account
    assert "access_token" in in_time


async def test_forcing_has_a_budget(http: httpx.AsyncClient, clock: Clock) -> None:
    """Twenty renewals can be forced within a day, and more on the next."""
    for _ in range(20):
        assert "access_token" in await stable(http, force_refresh=True)
        clock.now += 30
    refused = await stable(http, force_refresh=True)
    unforced = await stable(http)
    clock.now += 86_400

    next_day = await stable(http, force_refresh=True)

    assert refused["errcode"] == 45011
    assert "access_token" in unforced
    assert "access_token" in next_day


async def test_the_old_endpoint_always_makes_a_new_token(
    http: httpx.AsyncClient, simulator: Simulator, clock: Clock
) -> None:
    """The token before the latest stays usable for five minutes."""
    first = await old(http)
    second = await old(http)
    clock.now += 299
    just_usable = await code_with(http, simulator, first)
    clock.now += 1

    after = await code_with(http, simulator, first)

    assert (just_usable, after) == (0, 40001)
    assert await code_with(http, simulator, second) == 0


async def test_the_endpoints_do_not_disturb_each_other(
    http: httpx.AsyncClient, simulator: Simulator
) -> None:
    """The stable token and the old endpoint's live side by side."""
    one = await stable(http)
    other = await old(http)

    assert one["access_token"] != other["access_token"]
    assert await code_with(http, simulator, one) == 0
    assert await code_with(http, simulator, other) == 0


async def test_revoked_tokens(http: httpx.AsyncClient, simulator: Simulator) -> None:
    """Revoked tokens are no credentials, and the next fetch gives another."""
    first = await stable(http)
    simulator.revoke_tokens()

    second = await stable(http)

    assert await code_with(http, simulator, first) == 40001
    assert await code_with(http, simulator, second) == 0


async def test_corp_tokens(clock: Clock) -> None:
    """WeCom repeats the token of a corporation and its secret while it is valid."""
    async with in_process(Simulator(WECOM, clock=clock)) as http:
        first = (await http.get("/cgi-bin/gettoken", params=CORP)).json()
        clock.now += 60
        again = (await http.get("/cgi-bin/gettoken", params=CORP)).json()
        other_app = CORP | {"corpsecret": "other"}
        other = (await http.get("/cgi-bin/gettoken", params=other_app)).json()

    assert first["errcode"] == 0
    assert first["errmsg"] == "ok"
    assert again == first | {"expires_in": 7140}
    assert other["access_token"] != first["access_token"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"grant_type": "password"}, 40002),
        ({"appid": ""}, 41002),
        ({"secret": ""}, 41004),
        ({"appid": "b"}, 40013),
        ({"secret": "t"}, 40125),
    ],
)
async def test_wrong_credentials(wrong: dict[str, str], code: int) -> None:
    """Both endpoints tell what is wrong with the credentials."""
    simulator = Simulator(appid="a", secret="s")
    async with in_process(simulator) as http:
        answers = [await stable(http, **wrong), await old(http, **wrong)]

    assert [answer["errcode"] for answer in answers] == [code, code]
    assert simulator.token_fetches == 0


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"corpid": ""}, 41002),
        ({"corpsecret": ""}, 41004),
        ({"corpid": "b"}, 40013),
        ({"corpsecret": "t"}, 40001),
    ],
)
async def test_wrong_credentials_of_wecom(wrong: dict[str, str], code: int) -> None:
    """WeCom tells what is wrong with the credentials, in codes of its own."""
    async with in_process(Simulator(WECOM, appid="a", secret="s")) as http:
        reply = await http.get("/cgi-bin/gettoken", params=CORP | wrong)

    assert reply.json()["errcode"] == code


@pytest.mark.parametrize(
    "body", [b"", b"no JSON", b"[]", b"\xff", b"[" * 100_000, b" " * (1 << 21)]
)
async def test_a_stable_token_is_asked_for_in_json(
    http: httpx.AsyncClient, body: bytes
) -> None:
    """A body that is not a small JSON object asks for nothing that there is."""
    reply = await http.post("/cgi-bin/stable_token", content=body)

    assert reply.json()["errcode"] == 40002


@pytest.mark.parametrize(
    ("platform", "method", "path"),
    [
        (WECOM, "POST", "/cgi-bin/stable_token"),
        (WECOM, "GET", "/cgi-bin/token"),
        (OFFICIAL, "GET", "/cgi-bin/gettoken"),
        (OFFICIAL, "GET", "/cgi-bin/stable_token"),
    ],
)
async def test_each_platform_has_its_own_endpoints(
    platform: Platform, method: str, path: str
) -> None:
    """The other dialect's endpoints, and other methods, are not found."""
    async with in_process(Simulator(platform)) as http:
        reply = await http.request(method, path)

    assert reply.status_code == 404


@pytest.mark.parametrize(
    ("wecom", "token", "code"),
    [
        (False, None, 41001),
        (True, None, 41001),
        (False, "", 41001),
        (False, "unknown", 40001),
        (True, "unknown", 40014),
    ],
)
async def test_refused_tokens(wecom: bool, token: str | None, code: int) -> None:
    """A token that is missing or unknown is refused on each call that takes one."""
    simulator = Simulator(WECOM if wecom else OFFICIAL)
    send = "/cgi-bin/message/send" if wecom else "/cgi-bin/message/custom/send"
    query = {} if token is None else {"access_token": token}
    async with in_process(simulator) as http:
        replies = [
            await http.get("/cgi-bin/media/get", params=query | {"media_id": "x"}),
            await http.post(
                "/cgi-bin/media/upload",
                params=query | {"type": "image"},
                files={"media": ("a.jpg", PICTURE)},
            ),
            await http.post(send, params=query, json={}),
        ]

    assert [reply.json()["errcode"] for reply in replies] == [code] * 3
    assert not simulator.media
    assert not simulator.sent


async def test_open_access(simulator: Simulator, http: httpx.AsyncClient) -> None:
    """As within Cloud Hosting, calls without a token can be let through."""
    simulator.open_access = True

    without = await download(http, simulator.put(PICTURE), token=None)
    wrong = await download(http, simulator.put(PICTURE), token="wrong")

    assert without.content == PICTURE
    assert wrong.json()["errcode"] == 40001


async def test_tokens_are_not_shown(
    simulator: Simulator, http: httpx.AsyncClient
) -> None:
    """Neither the simulator nor what it saw shows a token."""
    token = await fetch_token(http)
    await download(http, "x", token=token)

    shown = repr(simulator) + repr(simulator.requests)

    assert token not in shown
    assert simulator.requests[-1].query["access_token"] == token
