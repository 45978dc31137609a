from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.fakes import FakeWeChat
from wxmedia_async import FileUploadCache, MemoryUploadCache, UploadCache


@pytest.fixture(params=["memory", "file"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> UploadCache:
    if request.param == "memory":
        return MemoryUploadCache()
    return FileUploadCache(tmp_path / "uploads.sqlite")


@pytest.fixture
def service() -> FakeWeChat:
    return FakeWeChat(created_at=int(datetime.now(UTC).timestamp()))
