"""Which proxy of the environment a request goes through."""

from __future__ import annotations

import sys
import traceback

import httpx
import pytest

from wxmedia_async.transport._proxies import proxies_of_environment

PROXY = "http://proxy.test:3128"
OTHER = "http://other.test:3128"


def route(url: str) -> str | None:
    return proxies_of_environment().url_for(httpx.URL(url))


@pytest.mark.parametrize(
    ("environment", "http", "https"),
    [
        pytest.param({}, None, None, id="none"),
        pytest.param({"HTTP_PROXY": PROXY}, PROXY, None, id="http"),
        pytest.param({"https_proxy": PROXY}, None, PROXY, id="https"),
        pytest.param({"ALL_PROXY": PROXY}, PROXY, PROXY, id="all"),
        pytest.param(
            {"ALL_PROXY": PROXY, "HTTP_PROXY": OTHER}, OTHER, PROXY, id="both"
        ),
        pytest.param({"HTTP_PROXY": ""}, None, None, id="empty"),
        pytest.param({"FTP_PROXY": PROXY}, None, None, id="not-ours"),
        pytest.param({"HTTP_PROXY": "proxy.test:3128"}, PROXY, None, id="no-scheme"),
        pytest.param({"ALL_PROXY": PROXY, "NO_PROXY": "*"}, None, None, id="star"),
        pytest.param(
            {"ALL_PROXY": PROXY, "NO_PROXY": "a.test, *"}, None, None, id="also-star"
        ),
    ],
)
def test_proxies(
    environment: dict[str, str],
    http: str | None,
    https: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 35: each proxy of the environment is for its scheme."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert route("http://host.test") == http
    assert route("https://host.test") == https


UNUSABLE = [
    "ftp://user:hunter2@proxy.test:3128",
    "socks4://user:hunter2@proxy.test:3128",
    "hunter2://proxy.test:3128",
    "http://user:hunter2@proxy.test:99999",
    "http://user:hunter2@proxy.test:0",
    "http://user:hunter2@proxy.test:port",
    "http://user:hunter2@:3128",
    "http://user:hunter2@",
    "http://user:hunter2@[::1",
    "http://user:hunter2@pro xy.test",
    "http://user:hunter2@xn--",
    "http://user:hunter2#x@proxy.test:3128",
    "http://user:hunter2/x@proxy.test:3128",
    "http://user:hunter2?x@proxy.test:3128",
    "http://user:12#hunter2@proxy.test:3128",
    "http://user:12/hunter2@proxy.test:3128",
    "http://user:12?hunter2@proxy.test:3128",
    "http://user:hunter2\x01@proxy.test:3128",
    "http://user:hunter2@proxy.test:3128:1",
    f"socks5://user:{'hunter2' * 40}@proxy.test:1080",
]


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("proxy", UNUSABLE, ids=range(len(UNUSABLE)))
def test_proxy_that_cannot_be_used(
    proxy: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a ValueError that names the variable, and shows no part of the password."""
    monkeypatch.setenv(variable, proxy)

    with pytest.raises(ValueError, match=variable) as info:
        proxies_of_environment()

    ours = info.value.__traceback__
    assert ours is not None
    info.value.__traceback__ = ours.tb_next  # the locals of this test hold it
    shown = traceback.TracebackException.from_exception(info.value, capture_locals=True)
    assert "hunter2" not in "".join(shown.format())


def test_proxy_that_lacks_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy without the package for it is a ValueError that names both."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.test:1080")

    with pytest.raises(ValueError, match=r"ALL_PROXY .*httpx\[socks\]"):
        proxies_of_environment()


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:p%40ss%23@proxy.test:3128",
        "http://user:p@ss@proxy.test:3128",
        "HTTP://proxy.test",
        "https://proxy.test:8443/",
        "socks5h://user:pass@[::1]:1080",
    ],
)
def test_proxy_that_can_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can be understood in one way is taken."""
    monkeypatch.setenv("ALL_PROXY", proxy)

    assert route("https://host.test") == proxy


def test_proxies_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the proxies' URLs hold is in no text."""
    monkeypatch.setenv("ALL_PROXY", "http://user:hunter2@proxy.test")

    assert "hunter2" not in repr(proxies_of_environment())
