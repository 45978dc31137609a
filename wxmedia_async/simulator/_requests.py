from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import attrs

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


@attrs.frozen
class SeenRequest:
    """
    A request that came.

    Attributes:
        method: ``GET``, ``HEAD`` or ``POST``.

        path: Without the query.

        query: The query, not shown: it holds the token.

        headers: With names in lower case, not shown.
    """

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)

    @classmethod
    def of(cls, scope: Scope) -> SeenRequest:
        """Read the scope of an ASGI application."""
        query = parse_qsl(scope["query_string"].decode("ascii"), keep_blank_values=True)
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        return cls(scope["method"], scope["path"], dict(query), headers)


async def whole_body(receive: Receive, limit: int) -> bytes:
    """Read a small body."""
    body, more = bytearray(), True
    while more and len(body) <= limit:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)
