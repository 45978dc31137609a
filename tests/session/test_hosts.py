from __future__ import annotations

from wxmedia_async._session.hosts import Hosts

URLS = ("https://a.test", "https://b.test", "https://c.test")


def test_first_host_to_begin_with() -> None:
    """Fault 1: the hosts are tried in the order of the platform."""
    hosts = Hosts(URLS)

    assert hosts.current == "https://a.test"


def test_next_host_is_kept() -> None:
    """Fault 1: a host that could not be reached is left for all transfers."""
    hosts = Hosts(URLS)

    hosts.leave("https://a.test")

    assert hosts.current == "https://b.test"


def test_crowd_moves_one_host() -> None:
    """Fault 1: however many transfers met the same dead host, it is one step."""
    hosts = Hosts(URLS)

    for _ in range(10):
        hosts.leave("https://a.test")

    assert hosts.current == "https://b.test"


def test_after_the_last_comes_the_first() -> None:
    """Fault 1: no host is given up for good."""
    hosts = Hosts(URLS)

    for url in URLS:
        hosts.leave(url)

    assert hosts.current == "https://a.test"


def test_only_host_is_kept() -> None:
    """Fault 1: where there is no other host, the one is tried again."""
    hosts = Hosts(URLS[:1])

    hosts.leave("https://a.test")

    assert hosts.current == "https://a.test"
