"""What comes in, as the simulator sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from typing import Any, TypeAlias
from urllib.parse import parse_qsl

import attrs

# As nginx has it; a path that no request has.
_LONGEST_HEAD = 32 * 1024
TOO_LONG = "too long"

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

        path: Without the query, and below where the simulator is mounted.

        query: The query, not shown: it holds the token.

        headers: With names in lower case, not shown.
    """

    method: str
    path: str
    query: Mapping[str, str] = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(repr=False)

    @classmethod
    def of(cls, scope: Scope) -> SeenRequest:
        """Read the scope of an ASGI application, none of it where it is too long."""
        path = _below(scope.get("root_path", ""), scope["path"])
        if _length(scope) > _LONGEST_HEAD:
            return cls(scope["method"], TOO_LONG, {}, {})
        query = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True
        )
        headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in scope["headers"]
        }
        return cls(scope["method"], path, dict(query), headers)


def _length(scope: Scope) -> int:
    headers = sum(len(name) + len(value) for name, value in scope["headers"])
    return len(scope["path"]) + len(scope["query_string"]) + headers


def _below(root: str, path: str) -> str:
    """Return the path below where an application is mounted."""
    # ASGI's `path` includes `root_path`; what is older leaves it out.
    rest = path.removeprefix(root.rstrip("/"))
    return rest if rest.startswith("/") else path


@attrs.frozen(eq=False)
class Caller:
    """
    Whoever sent a request, and the way to answer it.

    Attributes:
        request: Its head.

        scheme: ``http`` or ``https``.

        root: The path where the simulator is mounted; empty for a host's own.
    """

    request: SeenRequest
    scheme: str
    root: str
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
