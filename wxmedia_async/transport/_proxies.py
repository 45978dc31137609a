"""
The proxies of the environment.

httpx reads them itself, but only while it has no transport of the user's; and
its patterns can say neither a network nor which variable was wrong.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import import_module
from urllib.request import getproxies

import attrs
import httpx

from ._no_proxy import NoProxy, parse_no_proxy

_SOCKS = ("socks5", "socks5h")
_KINDS = ("http", "https", *_SOCKS)

# https://datatracker.ietf.org/doc/html/rfc1929#section-2
_LONGEST_WORD = 255


@attrs.frozen
class Proxies:
    """
    Which proxy a request goes through.

    Attributes:
        urls: By the scheme of the request; ``all`` for any.
    """

    urls: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    direct: NoProxy = attrs.field(factory=NoProxy)

    def url_for(self, url: httpx.URL) -> str | None:
        """Return the proxy of a request for *url*; None: there is none."""
        proxy = self.urls.get(url.scheme) or self.urls.get("all")
        return None if proxy is None or self.direct.holds(url) else proxy


def proxies_of_environment() -> Proxies:
    """
    Read the environment, and on some systems their settings.

    Raises:
        ValueError: A proxy cannot be used. It names the variable, and shows
            nothing of what that holds.
    """
    proxies, complaint = _read(getproxies())
    if complaint is not None:
        # Here, where no local variable holds what must not be shown.
        raise ValueError(complaint)
    return proxies


def _read(found: Mapping[str, str]) -> tuple[Proxies, str | None]:
    direct = parse_no_proxy(found.get("no", ""))
    if direct.everything:
        return Proxies(), None
    urls: dict[str, str] = {}
    for scheme in ("http", "https", "all"):
        if proxy := found.get(scheme):
            url = proxy if "://" in proxy else f"http://{proxy}"
            if complaint := _complaint(url):
                return Proxies(), f"{_variable(scheme)} {complaint}"
            urls[scheme] = url
    return Proxies(urls, direct), None


def _variable(scheme: str) -> str:
    """Return the name as it was written, in small letters or in capitals."""
    name = f"{scheme}_proxy"
    written = [key for key in os.environ if key.lower() == name]
    if name in written or not written:
        return name
    return written[0]


def _complaint(text: str) -> str | None:
    """Tell what is wrong with a proxy's URL, without a part of it."""
    url = _parsed(text)
    if url is None or not _is_whole(url):
        return (
            "holds no URL of a proxy, such as http://user:password@host:3128;"
            " other characters of a password than letters and digits are written"
            " as %23"
        )
    if url.scheme not in _KINDS:
        return f"names a kind of proxy that is none of {', '.join(_KINDS)}"
    if url.scheme in _SOCKS:
        return _complaint_of_socks(url)
    return None


def _parsed(text: str) -> httpx.URL | None:
    try:
        url = httpx.URL(text)
        # A host is only understood when it is asked for.
        return url if url.host and "%" not in url.host else None
    except (httpx.InvalidURL, ValueError):
        return None


def _is_whole(url: httpx.URL) -> bool:
    # What follows a /, ? or # in a password was not taken for one.
    rest = url.raw_path + url.fragment.encode()
    return b"@" not in rest and (url.port is None or 0 < url.port < 65536)


def _complaint_of_socks(url: httpx.URL) -> str | None:
    if max(len(url.username.encode()), len(url.password.encode())) > _LONGEST_WORD:
        return f"holds a name or password of more than {_LONGEST_WORD} bytes"
    try:
        import_module("socksio")
    except ImportError:
        return "names a SOCKS proxy, which needs: pip install 'httpx[socks]'"
    return None
