"""A store that a download may go to."""

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
