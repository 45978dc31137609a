from __future__ import annotations

import httpx
import pytest

from wxmedia_async.transport._proxies import proxy_mounts

PROXY = "http://proxy.test:3128"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param({"http": PROXY}, {"http://": PROXY}, id="http"),
        pytest.param({"https": PROXY}, {"https://": PROXY}, id="https"),
        pytest.param({"all": PROXY}, {"all://": PROXY}, id="all"),
        pytest.param({"http": ""}, {}, id="empty"),
        pytest.param({"ftp": PROXY}, {}, id="not-ours"),
        pytest.param({"http": "proxy.test:3128"}, {"http://": PROXY}, id="no-scheme"),
        pytest.param({"http": PROXY, "no": "*"}, {}, id="no-proxy-at-all"),
        pytest.param({"http": PROXY, "no": "a.test, *"}, {}, id="star-among-others"),
    ],
)
def test_proxies(environment: dict[str, str], expected: dict[str, str | None]) -> None:
    """Fault 35: each proxy of the environment is mounted for its scheme."""
    mounts = proxy_mounts(environment)

    assert mounts == expected


@pytest.mark.parametrize(
    ("no", "direct", "proxied"),
    [
        ("example.test", "http://example.test", "http://test"),
        ("example.test", "http://a.example.test", "http://example.test.a"),
        (".example.test", "http://a.example.test", "http://example.test"),
        ("localhost", "http://localhost:8000", "http://notlocalhost"),
        ("LOCALHOST", "http://localhost", "http://a.localhost"),
        ("127.0.0.1", "http://127.0.0.1:8000", "http://1.127.0.0.1"),
        ("::1", "http://[::1]:8000", "http://[::2]"),
        ("[::1]", "http://[::1]", "http://[::2]"),
        ("a.test, b.test", "https://b.test", "https://c.test"),
        ("http://a.test", "http://a.test", "https://a.test"),
        (",a.test,,", "http://a.test", "http://b.test"),
    ],
)
def test_exceptions(no: str, direct: str, proxied: str) -> None:
    """Fault 35: what NO_PROXY names is reached directly, and nothing else."""
    mounts = proxy_mounts({"http": PROXY, "https": PROXY, "no": no})

    assert route(mounts, direct) is None
    assert route(mounts, proxied) == PROXY


def reply(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200)


def route(mounts: dict[str, str | None], url: str) -> str | None:
    """Ask httpx which of the mounts it takes."""
    transports = {
        pattern: None if proxy is None else httpx.MockTransport(reply)
        for pattern, proxy in mounts.items()
    }
    client = httpx.Client(mounts=transports, trust_env=False)
    chosen = client._transport_for_url(httpx.URL(url))
    return None if chosen is client._transport else PROXY
