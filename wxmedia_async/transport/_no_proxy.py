"""What NO_PROXY says, as curl, requests and Go read it, taken together."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Protocol, TypeAlias

import attrs
import httpx

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS = {"http": 80, "https": 443}


class HostSet(Protocol):
    """Some hosts."""

    def holds(self, host: str) -> bool:
        """Tell whether *host*, in ASCII and small letters, is one of them."""
        ...


@attrs.frozen
class AddressRange:
    """Hosts by their addresses; names are not looked up for it."""

    addresses: ipaddress.IPv4Network | ipaddress.IPv6Network

    def holds(self, host: str) -> bool:
        address = address_of(host)
        return address is not None and address in self.addresses


@attrs.frozen
class Domain:
    """A host by its name, and those below it."""

    name: str
    itself: bool = True
    below: bool = True

    def holds(self, host: str) -> bool:
        if host == self.name:
            return self.itself
        return self.below and host.endswith(f".{self.name}")


@attrs.frozen
class Exempt:
    """
    An entry of NO_PROXY.

    Attributes:
        scheme: Of the URLs that it is about; None: of all.

        port: Likewise.
    """

    hosts: HostSet
    scheme: str | None = None
    port: int | None = None

    def holds(self, url: httpx.URL) -> bool:
        """Tell whether *url* is reached directly."""
        port = url.port or PORTS.get(url.scheme)
        return (
            self.scheme in (None, url.scheme)
            and self.port in (None, port)
            and self.hosts.holds(plain(url))
        )


@attrs.frozen
class NoProxy:
    """
    All of NO_PROXY.

    Attributes:
        everything: Whether it holds a ``*``.
    """

    everything: bool = False
    entries: tuple[Exempt, ...] = ()

    def holds(self, url: httpx.URL) -> bool:
        """Tell whether *url* is reached directly."""
        return self.everything or any(entry.holds(url) for entry in self.entries)


def parse_no_proxy(text: str) -> NoProxy:
    """
    Read NO_PROXY: names, addresses and networks, divided by commas or spaces.

    ``example.com`` stands for its subdomains as well, ``.example.com`` and
    ``*.example.com`` for those alone; each may end in a port, and begin with a
    scheme. What cannot be understood stands in nobody's way.
    """
    words = text.lower().replace(",", " ").split()
    return NoProxy("*" in words, tuple(_entries(words)))


def _entries(words: list[str]) -> Iterator[Exempt]:
    for word in words:
        scheme, mark, rest = word.rpartition("://")
        try:
            hosts, port = _hosts_and_port(rest)
        except ValueError:
            continue
        yield Exempt(hosts, scheme if mark and scheme != "all" else None, port)


def _hosts_and_port(word: str) -> tuple[HostSet, int | None]:
    """Read an entry; `ValueError` where it is none."""
    if "/" in word:
        network, _, length = word.partition("/")
        return _network(f"{network.strip('[]')}/{length}"), None
    host, port = _divided(word)
    address = address_of(host)
    if address is not None:
        return _network(str(address)), port
    return _domain(host), port


def _divided(word: str) -> tuple[str, int | None]:
    if word.startswith("["):
        host, mark, rest = word[1:].partition("]")
        if not mark or rest[:1] not in ("", ":"):
            raise ValueError("no brackets around an address")
        return host, _port(rest[1:])
    if word.count(":") > 1:
        return word, None
    host, _, rest = word.partition(":")
    return host, _port(rest)


def _port(digits: str) -> int | None:
    return int(digits) if digits else None


def _network(text: str) -> AddressRange:
    return AddressRange(ipaddress.ip_network(text, strict=False))


def _domain(text: str) -> Domain:
    name = text.removeprefix("*").removeprefix(".").rstrip(".")
    itself = name == text.rstrip(".")
    # httpx knows how a name beyond ASCII is written in a URL.
    try:
        host = httpx.URL(scheme="http", host=name).raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError) as error:
        raise ValueError("no name of a host") from error
    if not host or "%" in host or ":" in host:
        raise ValueError("no name of a host")
    return Domain(host, itself, below=name != "localhost")


def plain(url: httpx.URL) -> str:
    """Return the host of *url* as entries have it."""
    return url.raw_host.decode("ascii").lower().rstrip(".")


def address_of(host: str) -> _Address | None:
    """Return the IP address that *host* is, if it is one."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
