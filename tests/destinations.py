"""Where a download may go: what keeps it, and what fails."""

from __future__ import annotations

from collections.abc import AsyncIterable

import attrs


@attrs.define
class Bucket:
    """Object storage that keeps what was read to its end."""

    stored: dict[str, bytes] = attrs.Factory(dict)
    told: list[tuple[str | None, int | None]] = attrs.Factory(list)

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        content = b"".join([chunk async for chunk in body])
        self.stored[name] = content
        self.told.append((content_type, size))
        return f"s3://bucket/{name}"


class Failing:
    """Reads what it is given, and fails."""

    def __init__(self, failure: BaseException, after: bool = True) -> None:
        self._failure = failure
        self._after = after
        self.names: list[str] = []

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        self.names.append(name)
        if self._after:
            async for _ in body:
                pass
        raise self._failure
