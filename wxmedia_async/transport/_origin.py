"""Where a request goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import httpx

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """
    What a connection leads to, and can be used again for.

    Attributes:
        server_name: Whose certificate is expected; the host, most often.
    """

    tls: bool
    host: str
    port: int
    server_name: str


def origin_of(url: httpx.URL, extensions: Mapping[str, Any]) -> Origin:
    """
    Return where a request for *url* goes.

    Raises:
        httpx.UnsupportedProtocol: The URL is neither http nor https.
    """
    scheme, host = url.scheme, url.raw_host.decode("ascii")
    if scheme not in _PORTS or not host:
        raise httpx.UnsupportedProtocol("the URL is no http:// or https:// one")
    name = extensions.get("sni_hostname", host)
    if isinstance(name, bytes):
        name = name.decode("ascii")
    # The dot that ends a full name is no part of it in a certificate.
    name = name.rstrip(".")
    return Origin(scheme == "https", host, url.port or _PORTS[scheme], name)
