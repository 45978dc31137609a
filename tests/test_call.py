from __future__ import annotations

import json

import httpx
import pytest

from tests.fakes import TOKEN, FakeWeChat, client_of, error
from wxmedia_async import (
    APIError,
    AppToken,
    ClientClosed,
    PermissionDenied,
    ServerBusy,
    TokenRejected,
    TransferError,
    UnexpectedReply,
)

SEND = "/cgi-bin/message/custom/send"
IPS = "/cgi-bin/getcallbackip"


def said(value: object) -> httpx.Response:
    return httpx.Response(200, text=json.dumps(value))


async def test_post() -> None:
    """A call sends JSON as UTF-8 with our token, and gives the reply's object."""
    service = FakeWeChat(answers=[said({"errcode": 0, "errmsg": "ok", "n": 1})])

    async with client_of(service) as client:
        reply = await client.call("POST", SEND, json={"content": "你好"})

    [request] = service.requests
    assert reply == {"errcode": 0, "errmsg": "ok", "n": 1}
    assert (request.method, request.url.path) == ("POST", SEND)
    assert dict(request.url.params) == {"access_token": TOKEN}
    assert request.headers["content-type"] == "application/json"
    assert service.bodies == ['{"content":"你好"}'.encode()]


async def test_get() -> None:
    """Parameters join the token in the query, encoded."""
    service = FakeWeChat(answers=[said({"ip_list": []})])

    async with client_of(service) as client:
        reply = await client.call("GET", IPS, params={"a": "b&c=é"})

    [request] = service.requests
    assert reply == {"ip_list": []}
    assert dict(request.url.params) == {"access_token": TOKEN, "a": "b&c=é"}
    assert service.bodies == [b""]


async def test_no_token() -> None:
    """Without a token none is sent, and no empty query either."""
    service = FakeWeChat(answers=[said({})])

    async with client_of(service, token=None) as client:
        await client.call("GET", IPS)

    assert service.requests[0].url.raw_path == IPS.encode()


async def test_empty_object() -> None:
    """An empty JSON object is a body as well."""
    service = FakeWeChat(answers=[said({})])

    async with client_of(service) as client:
        await client.call("POST", SEND, json={})

    assert service.bodies == [b"{}"]


async def test_errcode() -> None:
    """An errcode is raised as what it means, and tried once."""
    service = FakeWeChat(answers=[error(48001, "api unauthorized rid: 1-2-3")])

    async with client_of(service) as client:
        with pytest.raises(PermissionDenied) as caught:
            await client.call("GET", IPS)

    assert (caught.value.code, caught.value.rid) == (48001, "1-2-3")
    assert caught.value.attempts == 1


async def test_unknown_errcode() -> None:
    """An errcode without a class of its own is a plain APIError."""
    service = FakeWeChat(answers=[error(45015, "response out of time limit")])

    async with client_of(service) as client:
        with pytest.raises(APIError) as caught:
            await client.call("POST", SEND, json={})

    assert type(caught.value) is APIError
    assert caught.value.message == "response out of time limit"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_busy(method: str) -> None:
    """A busy service has done nothing yet, so any call is tried again."""
    service = FakeWeChat(answers=[error(-1), httpx.Response(503), said({"a": 1})])

    async with client_of(service) as client:
        reply = await client.call(method, SEND)

    assert reply == {"a": 1}


async def test_always_busy() -> None:
    """A service that stays busy is given up after the tries of the policy."""
    service = FakeWeChat(answers=[error(-1)] * 4)

    async with client_of(service) as client:
        with pytest.raises(ServerBusy) as caught:
            await client.call("POST", SEND, json={})

    assert caught.value.attempts == 4


async def test_renewal() -> None:
    """A refused token is renewed, and the call sent with the new one."""
    service = FakeWeChat()
    service.answers = [
        lambda request: service._answer(request, {}, b""),
        error(40001),
        lambda request: service._answer(request, {}, b""),
        said({"a": 1}),
    ]

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        reply = await client.call("POST", SEND, json={"n": 1})

    assert reply == {"a": 1}
    assert service.bodies[1] == service.bodies[3] == b'{"n":1}'
    assert service.requests[3].url.params["access_token"].endswith("-2")


async def test_refused() -> None:
    """A fixed token that is refused is TokenRejected."""
    service = FakeWeChat(answers=[error(42001)])

    async with client_of(service) as client:
        with pytest.raises(TokenRejected):
            await client.call("GET", IPS)


BROKEN = [httpx.ReadError(""), httpx.ReadTimeout(""), httpx.WriteError("")]


@pytest.mark.parametrize("failure", BROKEN, ids=lambda error: type(error).__name__)
async def test_not_sent_twice(failure: Exception) -> None:
    """A POST that WeChat may have carried out is not sent again, and says so."""
    service = FakeWeChat(answers=[failure])

    async with client_of(service) as client:
        with pytest.raises(TransferError, match="may have carried it out") as caught:
            await client.call("POST", SEND, json={})

    assert caught.value.attempts == 1
    assert len(service.requests) == 1


@pytest.mark.parametrize("failure", BROKEN, ids=lambda error: type(error).__name__)
async def test_get_is_sent_twice(failure: Exception) -> None:
    """A GET changes nothing, so it is tried again whatever happened."""
    service = FakeWeChat(answers=[failure, said({"a": 1})])

    async with client_of(service) as client:
        assert await client.call("get", IPS) == {"a": 1}


async def test_not_connected() -> None:
    """A POST that never left is tried again."""
    service = FakeWeChat(answers=[httpx.ConnectError("refused"), said({"a": 1})])

    async with client_of(service) as client:
        assert await client.call("POST", SEND, json={}) == {"a": 1}


@pytest.mark.parametrize("text", ["[]", "{", "<html>", "", '{"errcode":"x"}'])
async def test_unexpected_reply(text: str) -> None:
    """Fault 13: what is no JSON object is an unexpected reply, tried once."""
    service = FakeWeChat(answers=[httpx.Response(200, text=text)])

    async with client_of(service) as client:
        with pytest.raises(UnexpectedReply) as caught:
            await client.call("GET", IPS)

    assert (caught.value.status, caught.value.attempts) == (200, 1)


async def test_long_reply() -> None:
    """Long lists come whole, up to 4 MiB; more is not parsed."""
    listed = {"openid": ["o" * 28] * 10_000}
    endless = httpx.Response(200, text=json.dumps({"a": "b" * 5 * 1024**2}))
    service = FakeWeChat(answers=[said(listed), endless])

    async with client_of(service) as client:
        assert await client.call("GET", "/cgi-bin/user/get") == listed
        with pytest.raises(UnexpectedReply):
            await client.call("GET", "/cgi-bin/user/get")


@pytest.mark.parametrize(
    "path",
    ["cgi-bin/getcallbackip", "http://a.cn/", "", "/a?b=c", "/a#b", "/a\r\nb", "/a\0"],
)
async def test_path(path: str) -> None:
    """What is more or less than a path is refused before any request."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises(ValueError, match="a path"):
            await client.call("GET", path)

    assert service.requests == []


async def test_path_stays_on_the_host() -> None:
    """A path never leads to another host, whatever it looks like."""
    service = FakeWeChat(answers=[said({})])

    async with client_of(service) as client:
        await client.call("GET", "//example.com/a b")

    [request] = service.requests
    assert request.url.host == "wechat.test"
    assert request.url.raw_path.startswith(b"//example.com/a%20b?access_token=")


async def test_after_close() -> None:
    """Fault 33: a closed client makes no calls."""
    client = client_of(FakeWeChat())
    await client.aclose()

    with pytest.raises(ClientClosed):
        await client.call("GET", IPS)


@pytest.mark.parametrize("params", [{"a": 1}, {1: "a"}, {"a": None}, {b"a": "b"}])
async def test_params_of_another_kind(params: dict[str, str]) -> None:
    """Names and values of parameters are text, which is found out before a token is."""
    service = FakeWeChat()

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        with pytest.raises(TypeError, match="params must be str"):
            await client.call("GET", IPS, params=params)

    assert service.requests == []
