"""What must never be shown, and how it is kept out of URLs, errors and frames."""

from __future__ import annotations

import sys
from typing import Any, cast
from urllib.parse import unquote_plus, urlencode

import httpx

from .._errors import MediaError

# Whatever else a query holds may be a secret: a token, a vkey, a signature.
_HARMLESS = frozenset({"appid", "corpid", "grant_type", "media_id", "type"})

# Readers of the text that must get the real thing: transports that build their
# own URL of it, and would send the redaction to WeChat; mocks that match by it.
_READERS = ("httpx_aiohttp", "pyreqwest", "respx", "pytest_httpx", "pytest_httpx2")


class Redacted:
    """
    What a URL is whose text shows no secret; for `httpx.URL` and its like.

    Transports read a URL's parts, which are real. Whatever prints it (httpx's
    own log line at INFO, tracebacks, telemetry) reads its text.
    """

    def __str__(self) -> str:
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))  # pyright: ignore[reportPrivateUsage]
        if caller.partition(".")[0] in _READERS:
            return self.real_text()
        return redacted_url(cast("httpx.URL", self))

    def __repr__(self) -> str:
        return f"SecretURL({redacted_url(cast('httpx.URL', self))!r})"

    # httpx compares and hashes text, and would take two tokens for one.
    def __eq__(self, other: object) -> bool:
        if isinstance(other, Redacted):
            return self.real_text() == other.real_text()
        if not isinstance(other, (httpx.URL, str)):
            return NotImplemented
        return self.real_text() == str(other)

    def __hash__(self) -> int:
        return hash(self.real_text())

    def copy_with(self, **kwargs: Any) -> Any:
        return type(self)(super().copy_with(**kwargs))  # type: ignore[misc, call-arg]  # of httpx.URL

    def real_text(self) -> str:
        """Return what it leads to."""
        return super().__str__()


class SecretURL(Redacted, httpx.URL):
    """A URL of httpx whose text shows no secret."""


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


class Hidden(tuple[str, ...]):
    """Secrets that error reporters do not see, which print the locals of frames."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{len(self)} secrets>"


NOTHING_SECRET = Hidden()

# The keys in links are hundreds of characters long; numbers and names that anybody
# may say are not.
_KEY = 8


def secrets_of(link: httpx.URL) -> Hidden:
    """Return what a link's query holds: values, names without one, in each spelling."""
    found: set[str] = set()
    for pair in link.query.decode("ascii").replace(";", "&").split("&"):
        name, _, value = pair.partition("=")
        text = value or name
        if len(text) >= _KEY:
            found |= {text, unquote_plus(text)}
    return Hidden(sorted(found))


def cleaned(error: MediaError, attempts: int) -> MediaError:
    """
    Make *error* fit to leave the library.

    Its traceback is cut: the frames below hold tokens and requests in their
    locals, which error reporters print.
    """
    error.attempts = attempts
    error.__context__ = None
    return error.with_traceback(None)
