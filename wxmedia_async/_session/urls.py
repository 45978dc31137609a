"""The URLs of calls: base, path and parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import cast
from urllib.parse import quote

import httpx

from .secrets import SecretURL

# RFC 3986, section 2.3.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")


@lru_cache(maxsize=64)
def api_url(base: str, path: str) -> httpx.URL:
    """Return the URL of an API call below *base*, without its query."""
    return httpx.URL(base.rstrip("/") + path)


def query_of(params: Mapping[str, str]) -> str:
    """Encode the parameters of a call."""
    return "&".join([f"{_name(name)}={_quoted(params[name])}" for name in params])


def _quoted(text: str) -> str:
    # Tokens and media_ids nearly always are so, and quote() takes its time.
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


# There are a dozen of them.
_name = lru_cache(maxsize=256)(_quoted)


def target_of(url: httpx.URL, query: str) -> bytes:
    """Return what a request line asks for."""
    path = url.raw_path
    return b"%b?%b" % (path, query.encode("ascii")) if query else path


def secret_url(url: httpx.URL, query: str, kind: type[SecretURL]) -> SecretURL:
    """Join *query* to *url*, without parsing it anew."""
    whole = kind.__new__(kind)
    # The query is encoded already, and nothing else differs from one call to
    # the next; httpx has no way to replace it without parsing all.
    reference = url._uri_reference  # pyright: ignore[reportPrivateUsage]
    whole._uri_reference = reference._replace(  # pyright: ignore[reportPrivateUsage]
        query=query or None
    )
    return whole


def shown_url(url: httpx.URL, target: bytes) -> SecretURL:
    """Return what a log may show of a request whose query is in *target* alone."""
    return secret_url(url, target.partition(b"?")[2].decode("ascii"), SecretURL)


def with_defaults(url: SecretURL, params: httpx.QueryParams) -> httpx.URL:
    """Add what a client of the user's adds to each query; ours comes first."""
    if not params:
        return url
    return cast("httpx.URL", url.copy_with(params=params.merge(url.params)))


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Tell whether both lead to the same scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default
