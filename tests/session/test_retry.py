from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxmedia_async import (
    MediaError,
    MediaNotFound,
    RetryPolicy,
    ServerBusy,
    SourceChanged,
    TransferError,
    TransferTimeout,
    Truncated,
)
from wxmedia_async._session.retry import wait_before_retry

BUSY = ServerBusy("busy", code=-1)


def busy_for(seconds: float) -> ServerBusy:
    error = ServerBusy("busy", status=503)
    error.retry_after = seconds
    return error


def hopeless() -> TransferError:
    error = TransferError("wrong certificate")
    error.retryable = False
    return error


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        pytest.param(BUSY, 1, 1.0, id="first"),
        pytest.param(BUSY, 2, 2.0, id="doubles"),
        pytest.param(BUSY, 3, 4.0, id="doubles-again"),
        pytest.param(BUSY, 4, 5.0, id="capped"),
        pytest.param(BUSY, 9_998, 5.0, id="no-overflow"),
        pytest.param(BUSY, 9_999, None, id="tries-used-up"),
        pytest.param(TransferError(), 1, 1.0, id="transfer"),
        pytest.param(TransferTimeout(), 1, 1.0, id="timeout"),
        pytest.param(Truncated(expected=2, received=1), 1, 1.0, id="truncated"),
        pytest.param(busy_for(60.0), 1, 61.0, id="retry-after"),
        pytest.param(busy_for(60.0), 9_999, None, id="retry-after-no-more"),
        pytest.param(MediaNotFound(code=40007), 1, None, id="permanent"),
        pytest.param(SourceChanged(), 1, None, id="changed"),
        pytest.param(hopeless(), 1, None, id="hopeless"),
    ],
)
def test_wait(error: MediaError, failures: int, expected: float | None) -> None:
    """Waits double up to the maximum; what cannot get better is not tried again."""
    policy = RetryPolicy(attempts=9_999, initial=1.0, maximum=5.0)

    wait = wait_before_retry(policy, error, failures=failures, jitter=1.0)

    assert wait == expected


@given(failures=st.integers(1, 9_999), jitter=st.floats(0.0, 1.0))
def test_jitter_is_full(failures: int, jitter: float) -> None:
    """A wait is drawn between nothing and the bound of that try."""
    policy = RetryPolicy(attempts=10_000, initial=0.2, maximum=10.0)

    wait = wait_before_retry(policy, BUSY, failures=failures, jitter=jitter)
    bound = wait_before_retry(policy, BUSY, failures=failures, jitter=1.0)

    assert wait is not None
    assert bound is not None
    assert wait == bound * jitter <= 10.0


def test_one_try() -> None:
    """A policy of one try never tries again."""
    wait = wait_before_retry(RetryPolicy(attempts=1), BUSY, failures=1, jitter=0.5)

    assert wait is None
