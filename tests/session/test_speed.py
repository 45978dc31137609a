from __future__ import annotations

import pytest

from wxmedia_async import TransferTimeout
from wxmedia_async._errors import Phase
from wxmedia_async._session.speed import SLOWEST, WINDOW, Speed, within_window

ENOUGH = int(SLOWEST * WINDOW)


def test_slow_body_is_given_up() -> None:
    """Fault 7: less than 1 KiB/s over the window ends the body, and says where."""
    speed = Speed(Phase.RECEIVE)
    speed.moved(ENOUGH - 2, WINDOW - 1)

    with pytest.raises(TransferTimeout, match=f"only {ENOUGH - 1} bytes") as info:
        speed.moved(1, 1.0)

    assert info.value.phase == "receive"
    assert info.value.retryable


def test_just_fast_enough() -> None:
    """Fault 7: 1 KiB/s will do, window after window."""
    speed = Speed(Phase.SEND)

    for _ in range(10):
        speed.moved(ENOUGH, WINDOW)


def test_nothing_is_judged_before_the_window_is_over() -> None:
    """Fault 7: a slow start is no reason to give up."""
    speed = Speed(Phase.SEND)

    for _ in range(29):
        speed.moved(0, 1.0)


def test_fast_past_does_not_help() -> None:
    """Fault 7: each window is judged by itself, so a body cannot stop half-way."""
    speed = Speed(Phase.RECEIVE)
    speed.moved(100 * ENOUGH, WINDOW)

    with pytest.raises(TransferTimeout, match="only 1 bytes"):
        speed.moved(1, WINDOW)


def test_our_own_work_does_not_count() -> None:
    """Fault 7: time in which we did not wait for WeChat is nobody's fault."""
    speed = Speed(Phase.RECEIVE)

    for _ in range(1000):
        speed.moved(1, 0.0)


@pytest.mark.parametrize(
    ("timeout", "expected"), [(None, WINDOW), (5.0, 5.0), (3600.0, WINDOW)]
)
def test_single_wait(timeout: float | None, expected: float) -> None:
    """Fault 7: one read that outlasts the window is too slow as well."""
    assert within_window(timeout) == expected
