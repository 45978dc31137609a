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

        httpx.LocalProtocolError: Its port or a name is none.
    """
    scheme = url.scheme
    try:
        host = url.raw_host.decode("ascii")
        name = extensions.get("sni_hostname", host)
        if isinstance(name, bytes):
            name = name.decode("ascii")
    except UnicodeError:
        raise httpx.LocalProtocolError("the host is no name of the network") from None
    if scheme not in _PORTS or not host:
        raise httpx.UnsupportedProtocol("the URL is no http:// or https:// one")
    # The dot that ends a full name is no part of it in a certificate.
    return Origin(scheme == "https", host, port_of(url), name.rstrip("."))


def port_of(url: httpx.URL) -> int:
    """
    Return the port of an http or https *url*.

    Raises:
        httpx.LocalProtocolError: TCP has no such port. The socket functions
            would take some of them for another one.
    """
    port = _PORTS[url.scheme] if url.port is None else url.port
    if not 0 < port < 1 << 16:
        raise httpx.LocalProtocolError("the URL's port is none of TCP")
    return port
