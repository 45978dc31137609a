"""How many exchanges may be in flight."""

from __future__ import annotations

import math
import time

import pytest

from wxmedia_async import Adaptive, RateLimited, ServerBusy, TransferTimeout
from wxmedia_async._errors import MediaError, MediaNotFound, Phase
from wxmedia_async._session.bound import Adapting, Fixed, width_for


@pytest.mark.parametrize("slots", [0, -1, True, 1.5, "4"])
def test_a_bound_is_a_whole_number(slots: object) -> None:
    """max_concurrency is 1 or more; anything else is refused at once."""
    with pytest.raises(ValueError, match="max_concurrency"):
        width_for(slots)  # type: ignore[arg-type]


def test_adaptive_needs_an_order() -> None:
    """Adaptive(low, high) with high below low is refused."""
    with pytest.raises(ValueError, match="high"):
        Adaptive(5, 4)


def test_fixed_never_moves() -> None:
    """A fixed bound takes no notice of what becomes of the exchanges."""
    width = Fixed(3)

    width.succeeded(3)
    width.failed(ServerBusy(code=-1), math.inf)

    assert width.slots == width.highest == 3


def test_grows_by_one_a_round_while_all_are_used() -> None:
    """As many successes as there are slots bring one slot more."""
    width = Adapting(Adaptive(4, 64))

    for _ in range(5):
        width.succeeded(4)

    assert width.slots == 5


def test_an_idle_client_does_not_grow() -> None:
    """Success of one at a time says nothing of what the service would bear."""
    width = Adapting(Adaptive(4, 64))

    for _ in range(100):
        width.succeeded(1)

    assert width.slots == 4


@pytest.mark.parametrize(
    "failure", [ServerBusy(code=45033), RateLimited(code=45011), TransferTimeout()]
)
def test_cuts_once_a_round(failure: MediaError) -> None:
    """Many failures of one round are one cut; the next round may cut again."""
    width = grown(16)
    began = time.monotonic()

    for _ in range(10):
        width.failed(failure, began)
    after_one = width.slots
    width.failed(failure, time.monotonic() + 1)

    assert after_one == 12
    assert width.slots == 9


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(MediaNotFound(code=40007), id="not found"),
        pytest.param(TransferTimeout(phase=Phase.LEAVE), id="a wait of our own"),
    ],
)
def test_other_failures_do_not_cut(failure: MediaError) -> None:
    """What says nothing of the service's load leaves the bound as it is."""
    width = grown(16)

    width.failed(failure, time.monotonic())

    assert width.slots == 16


def test_stays_between_low_and_high() -> None:
    """No number of cuts goes below low, no success above high."""
    width = Adapting(Adaptive(2, 3))

    for n in range(20):
        width.failed(ServerBusy(code=-1), time.monotonic() + n)
    lowest = width.slots
    for _ in range(100):
        width.succeeded(3)

    assert lowest == 2
    assert width.slots == 3


def grown(slots: int) -> Adapting:
    """Let an adaptive bound grow to *slots*."""
    width = Adapting(Adaptive(1, 64))
    while width.slots < slots:
        width.succeeded(64)
    return width
