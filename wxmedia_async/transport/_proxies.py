"""
The proxies of the environment, as mounts.

httpx reads them itself, but only while it has no transport of the user's; one
that is given a transport forgets them without a word.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping


def proxy_mounts(proxies: Mapping[str, str]) -> dict[str, str | None]:
    """
    Return URL patterns of httpx with the proxy for each, or None for no proxy.

    Args:
        proxies: What `urllib.request.getproxies()` found.
    """
    mounts: dict[str, str | None] = {}
    for scheme in ("http", "https", "all"):
        if proxy := proxies.get(scheme):
            mounts[f"{scheme}://"] = proxy if "://" in proxy else f"http://{proxy}"
    direct = [host.strip() for host in proxies.get("no", "").split(",")]
    if "*" in direct:
        return {}
    for host in filter(None, direct):
        mounts[_pattern(host)] = None
    return mounts


def _pattern(host: str) -> str:
    """A name stands for its subdomains as well, an address for itself."""
    if "://" in host:
        return host
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return f"all://{host}" if host.lower() == "localhost" else f"all://*{host}"
    return f"all://{address}" if address.version == 4 else f"all://[{address}]"
