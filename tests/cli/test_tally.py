from __future__ import annotations

import attrs
import pytest

from wxmedia_async import Outcome, Progress
from wxmedia_async.cli._lines import AnyOutcome
from wxmedia_async.cli._tally import Tally


@attrs.define
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def tally_of(clock: Clock, files: int | None = 4) -> Tally:
    return Tally(files, clock)


def good(item: str, attempts: int = 1) -> AnyOutcome:
    return Outcome(item, None, 0, "result", attempts=attempts)


def bad(item: str) -> AnyOutcome:
    return Outcome(item, None, 0, error=OSError("no"), attempts=4)


def known(item: str) -> AnyOutcome:
    return Outcome(item, None, 0, "result", skipped=True)


def test_counts(clock: Clock) -> None:
    """Each file is counted once: done or failed, and skipped besides."""
    tally = tally_of(clock)

    for outcome in (good("one", attempts=3), bad("two"), known("three")):
        tally.count(outcome)

    assert (tally.done, tally.failed, tally.skipped) == (2, 1, 1)
    assert tally.settled == 3
    assert tally.retries == 2 + 3


def test_bytes_on_their_way_count(clock: Clock) -> None:
    """Bytes count as they move, and go on counting when their file is done."""
    tally = tally_of(clock)

    tally.note(Progress("one", 100, 100))
    tally.note(Progress("two", 10, 50))
    tally.count(good("one"))

    assert tally.moved == 110
    assert [progress.item for progress in tally.moving()] == ["two"]


def test_bytes_of_a_failure_do_not_count(clock: Clock) -> None:
    """Bytes of a file that failed are of no use to anybody."""
    tally = tally_of(clock)

    tally.note(Progress("one", 100, 200))
    tally.count(bad("one"))

    assert tally.moved == 0


def test_speed_is_of_the_last_seconds(clock: Clock) -> None:
    """The rate is that of the last few seconds, not of the whole batch."""
    tally = tally_of(clock)
    tally.speed()

    clock.now += 10
    tally.note(Progress("one", 0, 1000))
    tally.speed()
    clock.now += 2
    tally.note(Progress("one", 400, 1000))

    assert tally.speed() == 200


def test_speed_when_a_transfer_starts_again(clock: Clock) -> None:
    """A transfer that goes back to 0 does not make the rate negative."""
    tally = tally_of(clock)
    tally.note(Progress("one", 500, 1000))
    tally.speed()

    clock.now += 1
    tally.note(Progress("one", 0, 1000))

    assert tally.speed() == 0


def test_time_left(clock: Clock) -> None:
    """Time left goes by the files that were worked on, parts of them included."""
    tally = tally_of(clock, files=4)
    tally.count(known("one"))
    tally.count(good("two"))
    tally.note(Progress("three", 50, 100))
    tally.note(Progress("four", 7, None))

    clock.now += 3

    assert tally.time_left() == pytest.approx(3.0)


def test_time_left_of_nobody_knows_how_many(clock: Clock) -> None:
    """Nobody can tell the time left of a list that is still being read."""
    tally = tally_of(clock, files=None)
    tally.count(good("one"))

    assert tally.time_left() is None


def test_time_left_before_anything_is_done(clock: Clock) -> None:
    """Nobody can tell the time left before the first bytes, or of skipped files."""
    tally = tally_of(clock)
    tally.count(known("one"))

    clock.now += 1

    assert tally.time_left() is None
