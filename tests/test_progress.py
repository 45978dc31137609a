from __future__ import annotations

import logging

import pytest

from wxmedia_async import Progress
from wxmedia_async._progress import Reporter


def test_reports() -> None:
    """The callback gets the item, the bytes so far, and the total."""
    seen: list[Progress] = []
    reporter = Reporter(seen.append, "ID")

    reporter.report(5, None)
    reporter.report(10, 10)

    assert seen == [Progress("ID", 5, None), Progress("ID", 10, 10)]


def test_same_twice_is_told_once() -> None:
    """What was told is not told again."""
    seen: list[Progress] = []
    reporter = Reporter(seen.append, "ID")

    reporter.report(10, 10)
    reporter.report(10, 10)

    assert len(seen) == 1


def test_another_try_goes_back_to_nothing() -> None:
    """When a transfer is tried again its bytes count from 0."""
    seen: list[Progress] = []
    reporter = Reporter(seen.append, "ID")

    reporter.begin(10)
    reporter.report(7, 10)
    reporter.begin(10)
    reporter.report(10, 10)

    assert [progress.done for progress in seen] == [7, 0, 10]
    assert reporter.attempts == 2


def test_try_that_moved_nothing() -> None:
    """A try after one that moved nothing has nothing to take back."""
    seen: list[Progress] = []
    reporter = Reporter(seen.append, "ID")

    for _ in range(3):
        reporter.begin(10)

    assert seen == []
    assert reporter.attempts == 3


def test_no_callback() -> None:
    """Without a callback the tries are counted all the same."""
    reporter = Reporter(None, "ID")

    reporter.begin(10)
    reporter.report(10, 10)

    assert reporter.attempts == 1


def test_failing_callback(caplog: pytest.LogCaptureFixture) -> None:
    """Fault 32: what a callback raises is logged, and the transfer goes on."""

    def fails(_: Progress) -> None:
        raise ZeroDivisionError

    reporter = Reporter(fails, "ID")

    reporter.report(5, 10)
    reporter.report(10, 10)

    names = [(record.name, record.levelno) for record in caplog.records]
    assert names == [("wxmedia_async", logging.ERROR)] * 2
    assert "ZeroDivisionError" in caplog.text


def test_impatient_callback() -> None:
    """A callback may end the program: only errors are survived."""

    def interrupts(_: Progress) -> None:
        raise KeyboardInterrupt

    reporter = Reporter(interrupts, "ID")

    with pytest.raises(KeyboardInterrupt):
        reporter.report(5, 10)
