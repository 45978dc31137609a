"""How many exchanges may be in flight."""

from __future__ import annotations

import math
import time

import anyio
import pytest

from wxmedia_async import Adaptive, RateLimited, ServerBusy, TransferTimeout
from wxmedia_async._errors import MediaError, MediaNotFound
from wxmedia_async._session.bounds import AdaptiveBound, FixedBound, bound_for


@pytest.mark.parametrize("slots", [0, -1, True, 1.5, "4"])
def test_a_bound_is_a_whole_number(slots: object) -> None:
    """max_concurrency is 1 or more; anything else is refused at once."""
    with pytest.raises(ValueError, match="max_concurrency"):
        bound_for(slots)  # type: ignore[arg-type]


def test_adaptive_needs_an_order() -> None:
    """Adaptive(low, high) with high below low is refused."""
    with pytest.raises(ValueError, match="high"):
        Adaptive(5, 4)


async def test_fixed_never_moves() -> None:
    """A fixed bound takes no notice of what becomes of the exchanges."""
    bound = FixedBound(3)

    bound.succeeded()
    bound.failed(ServerBusy(code=-1), math.inf)

    for _ in range(3):
        bound.acquire_nowait()
    with pytest.raises(anyio.WouldBlock):
        bound.acquire_nowait()
    assert bound.highest == 3


async def test_grows_by_one_a_round_while_all_are_used() -> None:
    """As many successes as there are slots bring one slot more."""
    bound = AdaptiveBound(Adaptive(4, 64))
    for _ in range(4):
        await bound.acquire()

    for _ in range(5):
        bound.succeeded()

    assert bound.slots == 5


async def test_an_idle_client_does_not_grow() -> None:
    """Success of one at a time says nothing of what the service would bear."""
    bound = AdaptiveBound(Adaptive(4, 64))

    for _ in range(100):
        bound.succeeded()

    assert bound.slots == 4


@pytest.mark.parametrize(
    "failure", [ServerBusy(code=45033), RateLimited(code=45011), TransferTimeout()]
)
async def test_cuts_once_a_round(failure: MediaError) -> None:
    """Many failures of one round are one cut; the next round may cut again."""
    bound = AdaptiveBound(Adaptive(1, 64))
    bound._set(16.0)
    began = time.monotonic()

    for _ in range(10):
        bound.failed(failure, began)
    after_one = bound.slots
    bound.failed(failure, time.monotonic() + 1)

    assert after_one == 12
    assert bound.slots == 9


async def test_other_failures_do_not_cut() -> None:
    """A media that is not there says nothing of the service's load."""
    bound = AdaptiveBound(Adaptive(1, 64))
    bound._set(16.0)

    bound.failed(MediaNotFound(code=40007), time.monotonic())

    assert bound.slots == 16


async def test_stays_between_low_and_high() -> None:
    """No number of cuts goes below low, no success above high."""
    bound = AdaptiveBound(Adaptive(2, 3))
    for _ in range(2):
        await bound.acquire()

    for n in range(20):
        bound.failed(ServerBusy(code=-1), time.monotonic() + n)
    lowest = bound.slots
    for _ in range(100):
        bound.succeeded()

    assert lowest == 2
    assert bound.slots == 3
