from __future__ import annotations

import sys

import pytest
from hypothesis import settings

# The same examples in every run, and no deadline on a machine that is shared.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("trio", {}), id="trio"),
]
if sys.platform != "win32":
    BACKENDS.insert(1, pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param
