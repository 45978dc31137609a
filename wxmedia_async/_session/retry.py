"""Pure: how long to wait before the next try, or to give up."""

from __future__ import annotations

from .._errors import MediaError, ServerBusy
from .._models import RetryPolicy

# 2.0**1024 overflows; by then every maximum is long reached.
_MAX_DOUBLINGS = 32


def wait_before_retry(
    policy: RetryPolicy, error: MediaError, *, failures: int, jitter: float
) -> float | None:
    """
    Decide what to do after a failed try.

    Args:
        policy: The limits.

        error: What went wrong.

        failures: How many tries have failed so far, this one included.

        jitter: A random number from 0 to 1, drawn by the caller.

    Returns:
        Seconds to wait before the next try, or None to give up.
    """
    if not error.retryable or failures >= policy.attempts:
        return None
    # Full jitter: a crowd that failed together must not come back together.
    ceiling = policy.initial * 2.0 ** min(failures - 1, _MAX_DOUBLINGS)
    wait = min(ceiling, policy.maximum) * jitter
    # RFC 9110, section 10.2.3: not before; and not all at that very moment.
    return wait + _asked_for(error)


def _asked_for(error: MediaError) -> float:
    if isinstance(error, ServerBusy) and error.retry_after is not None:
        return error.retry_after
    return 0.0
