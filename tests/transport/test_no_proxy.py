"""Which hosts NO_PROXY means."""

from __future__ import annotations

import httpx
import pytest

from wxmedia_async.transport._no_proxy import parse_no_proxy


@pytest.mark.parametrize(
    ("entries", "direct", "proxied"),
    [
        ("example.test", "http://example.test", "http://test"),
        ("example.test", "http://a.example.test", "http://example.test.a"),
        ("example.test", "http://EXAMPLE.test.", "http://aexample.test"),
        ("example.test.", "http://example.test", "http://example.testa"),
        (".example.test", "http://a.example.test", "http://example.test"),
        ("*.example.test", "http://a.example.test", "http://example.test"),
        ("localhost", "http://localhost:8000", "http://notlocalhost"),
        ("LOCALHOST", "http://localhost", "http://a.localhost"),
        ("müller.test", "http://xn--mller-kva.test", "http://muller.test"),
        ("127.0.0.1", "http://127.0.0.1:8000", "http://1.127.0.0.1"),
        ("127.0.0.1", "http://[::ffff:127.0.0.1]", "http://127.0.0.2"),
        ("::1", "http://[::1]:8000", "http://[::2]"),
        ("[::1]", "http://[::1]", "http://[::2]"),
        ("0:0::1", "http://[::1]", "http://[::2]"),
        ("[::1]:80", "http://[::1]", "http://[::1]:81"),
        ("a.test:8080", "http://a.test:8080", "http://a.test"),
        ("a.test:443", "https://a.test", "http://a.test"),
        (".a.test:81", "http://b.a.test:81", "http://b.a.test:82"),
        ("10.0.0.1:81", "http://10.0.0.1:81", "http://10.0.0.1"),
        ("10.0.0.0/8", "http://10.255.1.1:1", "http://11.0.0.1"),
        ("10.1.2.3/8", "http://10.255.1.1", "http://11.0.0.1"),
        ("10.0.0.0/255.0.0.0", "https://10.1.1.1", "https://host.test"),
        ("0.0.0.0/0", "http://1.2.3.4", "http://[::1]"),
        ("fd07:b51a::/64", "http://[fd07:b51a::1]", "http://[fd07:b51b::1]"),
        ("[fe80::]/10", "http://[fe80::1]", "http://[fec0::1]"),
        ("a.test, b.test", "https://b.test", "https://c.test"),
        ("a.test b.test\tc.test", "https://c.test", "https://d.test"),
        ("http://a.test", "http://a.test", "https://a.test"),
        ("all://a.test", "https://a.test", "https://b.test"),
        (",a.test,,", "http://a.test", "http://b.test"),
    ],
)
def test_hosts(entries: str, direct: str, proxied: str) -> None:
    """Fault 35: what NO_PROXY names is reached directly, and nothing else."""
    no_proxy = parse_no_proxy(entries)

    assert no_proxy.holds(httpx.URL(direct))
    assert not no_proxy.holds(httpx.URL(proxied))


@pytest.mark.parametrize(
    "entry",
    [
        "10.0.0.0/33",
        "10.0.0/",
        "a.test/24",
        "/",
        ":",
        "[::1",
        "[::1]x",
        "a.test:port",
        "a.test:80:90",
        "[a.test]:80:",
        "::g",
        "xn--",
        "a..ü",
        "a\0b",
        "%zz",
        "a_b@c",
        "**",
        ".",
        "*.",
        "://",
        "http://",
    ],
)
def test_entry_that_is_none(entry: str) -> None:
    """What cannot be understood stands in nobody's way, and means no host."""
    no_proxy = parse_no_proxy(f"{entry},b.test")

    assert no_proxy.holds(httpx.URL("http://b.test"))
    assert not no_proxy.holds(httpx.URL("http://c.test"))
    assert not no_proxy.holds(httpx.URL("http://[::1]"))
    assert not no_proxy.holds(httpx.URL("http://10.0.0.1"))


def test_star_means_everything() -> None:
    """One star among the entries means all hosts."""
    assert parse_no_proxy("a.test,*").holds(httpx.URL("http://b.test"))
