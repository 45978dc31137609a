"""The fixture `wxmedia_simulator`, for users of pytest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from . import Simulator


@pytest.fixture
def wxmedia_simulator() -> Iterator[Simulator]:
    """A `Simulator` of its own for each test; `.client()` gives a client of it."""
    # Not at the top: every run of pytest imports this module.
    from . import Simulator

    simulator = Simulator()
    yield simulator
    simulator.close()
