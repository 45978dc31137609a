"""Where the token joins the request: in a URL that never shows it."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import httpx

# RFC 3986, section 2.3.
_UNRESERVED = re.compile(r"[A-Za-z0-9._~-]*")

# Whatever else a query holds may be a secret: a token, a vkey, a signature.
_HARMLESS = frozenset({"appid", "corpid", "grant_type", "media_id", "type"})

# Readers of the text that must get the real thing: transports that build their
# own URL of it, and would send the redaction to WeChat; mocks that match by it.
_READERS = ("httpx_aiohttp", "pyreqwest", "respx", "pytest_httpx")


class SecretURL(httpx.URL):
    """
    A URL whose text shows no secret.

    Transports read a URL's parts, which are real. Whatever prints it (httpx's
    own log line at INFO, tracebacks, telemetry) reads its text.
    """

    def __str__(self) -> str:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))  # pyright: ignore[reportPrivateUsage]
        if caller.partition(".")[0] in _READERS:
            return str(httpx.URL(self))
        return redacted_url(httpx.URL(self))

    def __repr__(self) -> str:
        return f"SecretURL({redacted_url(httpx.URL(self))!r})"

    # httpx compares and hashes text, and would take two tokens for one.
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (httpx.URL, str)):
            return NotImplemented
        return str(httpx.URL(self)) == str(httpx.URL(other))

    def __hash__(self) -> int:
        return hash(str(httpx.URL(self)))

    def copy_with(self, **kwargs: Any) -> httpx.URL:
        return SecretURL(httpx.URL(self).copy_with(**kwargs))


def redacted_url(url: httpx.URL) -> str:
    """Return *url* without user info, and with harmless query values only."""
    shown = [
        (name, value if name in _HARMLESS else "***")
        for name, value in url.params.multi_items()
    ]
    port = "" if url.port is None else f":{url.port}"
    query = f"?{urlencode(shown, safe='*')}" if shown else ""
    return f"{url.scheme}://{_bracketed(url.host)}{port}{url.path}{query}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


@lru_cache(maxsize=64)
def api_url(base: str, path: str) -> httpx.URL:
    """Return the URL of an API call below *base*, without its query."""
    return httpx.URL(base.rstrip("/") + path)


def query_of(params: Mapping[str, str]) -> str:
    """Encode the parameters of a call."""
    return "&".join([f"{_quoted(name)}={_quoted(params[name])}" for name in params])


def _quoted(text: str) -> str:
    # Tokens and media_ids nearly always are so, and quote() takes its time.
    return text if _UNRESERVED.fullmatch(text) else quote(text, safe="")


def target_of(url: httpx.URL, query: str) -> bytes:
    """Return what a request line asks for."""
    path = url.raw_path
    return b"%b?%b" % (path, query.encode("ascii")) if query else path


def secret_url(url: httpx.URL, query: str) -> SecretURL:
    """Join *query* to *url*, without parsing it anew."""
    whole = SecretURL.__new__(SecretURL)
    # The query is encoded already, and nothing else differs from one call to
    # the next; httpx has no way to replace it without parsing all.
    reference = url._uri_reference  # pyright: ignore[reportPrivateUsage]
    whole._uri_reference = reference._replace(  # pyright: ignore[reportPrivateUsage]
        query=query or None
    )
    return whole


def with_defaults(url: SecretURL, params: httpx.QueryParams) -> httpx.URL:
    """Add what a client of the user's adds to each query; ours comes first."""
    if not params:
        return url
    return url.copy_with(params=params.merge(url.params))


def joined(url: str, location: str) -> str:
    """Return where a redirect from *url* leads; `httpx.InvalidURL` if nowhere."""
    return str(httpx.URL(url).join(location))


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Tell whether both lead to the same scheme, host and port."""
    return _origin(one) == _origin(other)


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    default = {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, url.port or default
