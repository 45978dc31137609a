"""httpx, and httpx2 that continues it: the same names, unrelated classes."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any, Protocol, TypeAlias, cast

import attrs
import httpx
import idna

from .secrets import Redacted, SecretURL

_SUCCESSOR = "httpx2"

HTTPXError: TypeAlias = (
    httpx.HTTPError | httpx.InvalidURL | httpx.StreamError | idna.IDNAError
)


class AsyncClient(Protocol):
    """What we need of a client of the user's: an `httpx.AsyncClient`, or httpx2's."""

    @property
    def is_closed(self) -> bool: ...

    @property
    def params(self) -> Any: ...

    def build_request(
        self,
        method: str,
        url: Any,
        *,
        content: Any = ...,
        headers: Any = ...,
        extensions: Any = ...,
    ) -> Any: ...

    async def send(
        self,
        request: Any,
        *,
        stream: bool = ...,
        auth: Any = ...,
        follow_redirects: Any = ...,
    ) -> Any: ...

    async def aclose(self) -> None: ...


@attrs.frozen
class Family:
    """
    The classes that a client's own code knows, and no others.

    Attributes:
        module: httpx, or httpx2.

        secret_url: Its URL, with a text that shows no secret.

        errors: All that its clients raise, but for what is the user's.
    """

    module: ModuleType
    secret_url: type[SecretURL]
    errors: tuple[type[Exception], ...]

    def url(self, url: httpx.URL) -> httpx.URL:
        """Make *url* one of its own."""
        if self is HTTPX:
            return url
        return cast("httpx.URL", self.module.URL(str(url)))

    def request(self, method: str, url: str, **options: Any) -> httpx.Request:
        """Make a request that no client has added to."""
        return cast("httpx.Request", self.module.Request(method, url, **options))

    def stream(self, body: httpx.AsyncByteStream) -> httpx.AsyncByteStream:
        """Make *body* one of its streams."""
        if self is HTTPX:
            return body
        return cast("httpx.AsyncByteStream", _successors_stream(self.module)(body))


HTTPX_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, idna.IDNAError)
"""
All that httpx raises: its three trees have no common root.

And what it lets through where a redirect leads to a host that is no name.
"""

HTTPX = Family(httpx, SecretURL, HTTPX_ERRORS)


def family_of(client: object) -> Family:
    """
    Return the family of a client, by the module that its class comes from.

    Raises:
        TypeError: It is none that can send our requests.
    """
    if isinstance(client, httpx.AsyncClient):
        return HTTPX
    successor = sys.modules.get(_SUCCESSOR)
    if successor is not None and isinstance(client, successor.AsyncClient):
        kind = type("SecretURL", (Redacted, successor.URL), {})
        return Family(successor, cast("type[SecretURL]", kind), httpx_errors())
    raise TypeError(
        "http must be an httpx.AsyncClient or an httpx2.AsyncClient,"
        f" not {type(client).__name__}"
    )


def httpx_errors() -> tuple[type[Exception], ...]:
    """Return what httpx raises, and httpx2 where it is loaded."""
    successor = sys.modules.get(_SUCCESSOR)
    if successor is None:
        return HTTPX_ERRORS
    theirs = successor.HTTPError, successor.InvalidURL, successor.StreamError
    return (*HTTPX_ERRORS, *theirs)


def as_httpx(error: Exception) -> HTTPXError:
    """Return httpx's error of the same name for one of httpx2's, caused alike."""
    if isinstance(error, HTTPX_ERRORS):
        return error
    made = _twin(error)
    made.__cause__, made.__context__ = error.__cause__, error.__context__
    return made


def _twin(error: Exception) -> HTTPXError:
    for cls in type(error).__mro__:
        twin = getattr(httpx, cls.__name__, None)
        if cls.__module__.partition(".")[0] == _SUCCESSOR and twin is not None:
            return _made(twin, error)
    return httpx.TransportError(str(error))


def _made(twin: type[HTTPXError], error: Exception) -> HTTPXError:
    if issubclass(twin, httpx.StreamError):
        return httpx.StreamError(str(error))
    if issubclass(twin, httpx.HTTPStatusError):
        response = cast("Any", error).response
        return httpx.HTTPStatusError(
            str(error), request=cast("Any", None), response=response
        )
    return cast("HTTPXError", cast("Any", twin)(str(error)))


def _successors_stream(module: ModuleType) -> Any:
    """Return a class of streams that its transports know as theirs."""

    class Stream(module.AsyncByteStream):  # type: ignore[misc, name-defined]
        def __init__(self, body: httpx.AsyncByteStream) -> None:
            self._body = body

        def __aiter__(self) -> AsyncIterator[bytes]:
            return aiter(self._body)

    return Stream
