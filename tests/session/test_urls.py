from __future__ import annotations

import logging
from types import FunctionType

import httpx
import pytest

from wxmedia_async._session.secrets import SecretURL, redacted_url, secrets_of
from wxmedia_async._session.urls import (
    api_url,
    query_of,
    same_origin,
    secret_url,
    target_of,
    with_defaults,
)

TOKEN = "TOKEN-that-must-never-be-seen"
PLAIN = f"https://wechat.test/get?access_token={TOKEN}&media_id=ID"
SHOWN = "https://wechat.test/get?access_token=***&media_id=ID"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param(PLAIN, SHOWN, id="token"),
        pytest.param(
            "http://h.test/x?vkey=1&type=a",
            "http://h.test/x?vkey=***&type=a",
            id="vkey",
        ),
        pytest.param(
            "http://h.test/x?sig=1#part", "http://h.test/x?sig=***", id="unknown"
        ),
        pytest.param(
            "http://u:pw@h.test:8080/x", "http://h.test:8080/x", id="user-info"
        ),
        pytest.param("http://[::1]:8080/x", "http://[::1]:8080/x", id="ipv6"),
        pytest.param("http://h.test/", "http://h.test/", id="no-query"),
        pytest.param(
            "http://h.test/x?a=1&a=2", "http://h.test/x?a=***&a=***", id="twice"
        ),
    ],
)
def test_redaction(url: str, expected: str) -> None:
    """Fault 34: of a query only values that are known to be harmless are shown."""
    shown = redacted_url(httpx.URL(url))

    assert shown == expected


def test_text_of_a_secret_url() -> None:
    """Fault 34: whoever prints the URL prints no secret."""
    url = SecretURL(PLAIN)

    assert str(url) == SHOWN
    assert repr(url) == f"SecretURL('{SHOWN}')"
    assert f"{url}" == SHOWN
    assert TOKEN not in f"{url!r} {url!s} {(url,)} {url.copy_with(port=1)}"


def test_parts_of_a_secret_url() -> None:
    """What is sent is the real thing."""
    url = SecretURL(PLAIN)

    assert url.raw_path == f"/get?access_token={TOKEN}&media_id=ID".encode()
    assert url.params["access_token"] == TOKEN
    assert url.host == "wechat.test"


def test_other_secret_is_another_url() -> None:
    """Two URLs that show the same text need not be equal."""
    url = SecretURL(PLAIN)

    assert url == SecretURL(PLAIN) == httpx.URL(PLAIN)
    assert url == PLAIN
    assert hash(url) == hash(SecretURL(PLAIN))
    assert url != SecretURL(PLAIN.replace(TOKEN, "another"))
    assert url != SHOWN
    assert url != 1


@pytest.mark.parametrize("transport", ["httpx_aiohttp.transport", "pyreqwest.httpx"])
def test_transports_that_read_the_text(transport: str) -> None:
    """A transport that makes its own URL of the text gets the real one."""

    def text_of(url: httpx.URL) -> str:
        return str(url)

    there = FunctionType(text_of.__code__, {"__name__": transport})

    assert there(SecretURL(PLAIN)) == PLAIN


async def test_log_of_httpx(caplog: pytest.LogCaptureFixture) -> None:
    """Fault 34: httpx logs each request at INFO, and shows no token of ours."""
    caplog.set_level(logging.DEBUG)
    transport = httpx.MockTransport(lambda request: httpx.Response(200))
    request = httpx.Request("GET", PLAIN)
    request.url = SecretURL(request.url)

    async with httpx.AsyncClient(transport=transport) as client:
        await client.send(request)

    assert SHOWN in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("base", "path", "params", "expected"),
    [
        ("http://h.test", "/x", {}, "http://h.test/x"),
        ("http://h.test/", "/x", {}, "http://h.test/x"),
        ("http://h.test/a/", "/x", {}, "http://h.test/a/x"),
        (
            "http://h.test",
            "/x",
            {"a": "b c&d/e+é"},
            "http://h.test/x?a=b%20c%26d%2Fe%2B%C3%A9",
        ),
        ("http://h.test", "/x", {"a": "1", "b": ""}, "http://h.test/x?a=1&b="),
        (
            "http://h.test",
            "/x",
            {"id": "../../etc"},
            "http://h.test/x?id=..%2F..%2Fetc",
        ),
    ],
)
def test_api_url(base: str, path: str, params: dict[str, str], expected: str) -> None:
    """Fault 17: whatever a parameter holds stays one parameter."""
    whole, query = api_url(base, path), query_of(params)

    url = str(httpx.URL(secret_url(whole, query, SecretURL)))

    assert url == expected
    assert expected.encode().endswith(target_of(whole, query))
    assert dict(httpx.URL(url).params) == params


def test_parameters_of_the_client() -> None:
    """What a client adds to each query is added, and never replaces ours."""
    defaults = httpx.QueryParams({"media_id": "theirs", "more": "1"})

    url = with_defaults(SecretURL(PLAIN), defaults)

    assert url.params["more"] == "1"
    assert url.params["media_id"] == "ID"
    assert url.params["access_token"] == TOKEN
    assert TOKEN not in str(url)


def test_client_without_parameters() -> None:
    """Where a client adds nothing the URL stays as it is."""
    url = SecretURL(PLAIN)

    assert with_defaults(url, httpx.QueryParams()) is url


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("http://h.test/a", "http://h.test/b?c", True),
        ("http://h.test", "http://h.test:80", True),
        ("https://h.test:443", "https://h.test", True),
        ("http://H.test", "http://h.test", True),
        ("http://h.test", "https://h.test", False),
        ("http://h.test", "http://h.test:81", False),
        ("http://h.test:443", "https://h.test:443", False),
        ("http://h.test", "http://a.h.test", False),
        ("http://127.0.0.1:80", "http://127.0.0.1:8000", False),
    ],
)
def test_same_origin(one: str, other: str, expected: bool) -> None:
    """Fault 16: an origin is scheme, host and port, no more and no less."""
    assert same_origin(httpx.URL(one), httpx.URL(other)) is expected


@pytest.mark.parametrize(
    ("query", "hidden"),
    [
        pytest.param(
            "sig=FIRST-KEY&sig=SECOND-KEY", {"FIRST-KEY", "SECOND-KEY"}, id="2"
        ),
        pytest.param("JUST-A-KEY", {"JUST-A-KEY"}, id="no value"),
        pytest.param("vkey=a%2Bb%2Fc%3Dd", {"a%2Bb%2Fc%3Dd", "a+b/c=d"}, id="encoded"),
        pytest.param("a=1;vkey=SEMICOLON", {"SEMICOLON"}, id="semicolon"),
        pytest.param("type=mp4&n=1", set(), id="what anybody may say"),
    ],
)
def test_secrets_of_a_link(query: str, hidden: set[str]) -> None:
    """Every value of a link's query is a secret, in each way that it can be quoted."""
    assert set(secrets_of(httpx.URL(f"http://h.test/x?{query}"))) == hidden
