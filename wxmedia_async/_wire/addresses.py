"""
Which hosts a ``video_url`` may name: those of the public internet.

The link comes from outside, so it must not lead to this machine, its network
or its cloud's metadata service.
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)

from .._errors import UnsafeURL

_PRIVATE_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa")

# The last label decides, as for a browser: https://url.spec.whatwg.org/#ends-in-a-number-checker
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)", re.DOTALL)

# At least two labels: a name without a dot is found in the
# local network or not at all.
_PUBLIC_NAME = re.compile(r"[\w-]+(?:\.[\w-]+)+")

# Not public in fact, whatever this Python's ipaddress says: IETF's own with
# Oracle's metadata service, shared addresses of carriers, 6to4 relays, and the
# one public address that Azure answers inside its machines.
_UNSAFE_V4 = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("100.64.0.0/10"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("168.63.129.16/32"),
)
# Teredo and its neighbours, documentation, 6to4: tunnels hide an IPv4 address.
_UNSAFE_V6 = (
    IPv6Network("2001::/23"),
    IPv6Network("2001:db8::/32"),
    IPv6Network("2002::/16"),
    IPv6Network("3fff::/20"),
)
_UNICAST_V6 = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")


def check_link(scheme: str, host: str, userinfo: bytes) -> None:
    """
    Check a ``video_url`` by what it says, before any name is resolved.

    Addresses are understood as resolvers do: one in an unusual notation, such
    as ``2130706433`` or ``0x7f.1``, is refused wherever it leads.

    Raises:
        UnsafeURL: Another scheme than http or https, user info, no host, a
            private name, or an address that is not public.
    """
    if scheme.lower() not in ("http", "https"):
        raise UnsafeURL(
            f"WeChat named a link that is not http or https, but {scheme!r}",
            host=host or None,
        )
    if userinfo:
        raise UnsafeURL("WeChat named a link with a user name in it", host=host or None)
    name = _canonical(host)
    if not name:
        raise UnsafeURL("WeChat named a link without a host", host=host or None)
    if ":" in name or _NUMERIC.fullmatch(name):
        check_address(name, host)
    elif _is_private(name):
        raise UnsafeURL(f"WeChat named a link to the private host {host!r}", host=host)


def check_address(address: str, host: str) -> None:
    """
    Check the *address* that is about to be connected to.

    Args:
        address: IPv4 or IPv6, as a name was resolved or as the URL says.

        host: The URL's host, for the error.

    Raises:
        UnsafeURL: It is not a public unicast address.
    """
    if not _is_public(address):
        text = f"the video_url's host {host!r} is at {address!r}, which is not public"
        raise UnsafeURL(text, host=host)


def _canonical(host: str) -> str:
    # To a resolver full-width digits are digits.
    name = unicodedata.normalize("NFKC", host).lower()
    return name.removeprefix("[").removesuffix("]").rstrip(".")


def _is_private(name: str) -> bool:
    if not _PUBLIC_NAME.fullmatch(name):
        return True
    return name.endswith(tuple(f".{private}" for private in _PRIVATE_NAMES))


def _is_public(text: str) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return _is_public_v4(address)
    return _is_public_v6(address)


def _is_public_v4(address: IPv4Address) -> bool:
    if any(address in network for network in _UNSAFE_V4):
        return False
    special = address.is_multicast or address.is_reserved or address.is_unspecified
    return address.is_global and not special


def _is_public_v6(address: IPv6Address) -> bool:
    if address.scope_id is not None:
        return False
    if embedded := _embedded(address):
        return _is_public_v4(embedded)
    if any(address in network for network in _UNSAFE_V6):
        return False
    return address.is_global and address in _UNICAST_V6


def _embedded(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped
