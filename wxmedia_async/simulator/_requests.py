"""What comes in, as the simulator sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
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
        query = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True
        )
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        return cls(scope["method"], scope["path"], dict(query), headers)


@attrs.frozen(eq=False)
class Exchange:
    """
    One request, and the way to answer it.

    Attributes:
        request: Its head.

        scheme: ``http`` or ``https``.
    """

    request: SeenRequest
    scheme: str
    receive: Receive
    send: Send

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Read the body as it comes."""
        more = True
        while more:
            message = await self.receive()
            # It is empty when the client went away, which ends the body as well.
            yield message.get("body", b"")
            more = message.get("more_body", False)

    async def body(self, limit: int) -> bytes:
        """Read a small body whole; of a larger one, no more than tells that it is."""
        body = bytearray()
        async with aclosing(self.chunks()) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    break
        return bytes(body)

    async def skip_body(self) -> None:
        """Read the body and forget it."""
        async for _ in self.chunks():
            pass

    async def disconnected(self) -> None:
        """Return when the client has gone."""
        while (await self.receive())["type"] != "http.disconnect":
            pass
