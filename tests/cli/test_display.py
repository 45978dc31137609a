from __future__ import annotations

from io import StringIO

from rich.console import Console

from wxmedia_async import Outcome, Progress
from wxmedia_async.cli._display import drawn, totals
from wxmedia_async.cli._tally import Tally


def text_of(tally: Tally) -> list[str]:
    console = Console(file=StringIO(), width=100)
    with console.capture() as captured:
        console.print(drawn(tally))
    return captured.get().splitlines()


def test_rows_and_total() -> None:
    """Each transfer on its way has a row with its bytes; the total is the last."""
    tally = Tally(3)
    tally.note(Progress("cat.jpg", 500, 2000))
    tally.note(Progress("dog.jpg", 70, None))

    rows = text_of(tally)

    assert len(rows) == 3
    assert "cat.jpg" in rows[0]
    assert "500 bytes of 2.0 kB" in rows[0]
    assert "70 bytes" in rows[1]
    assert rows[2].startswith("0/3 files · 0 failed · 570 bytes")


def test_at_most_sixteen_rows() -> None:
    """However many transfers there are, at most 15 and the total are drawn."""
    tally = Tally(None)
    names = [f"{index}.jpg" for index in range(200)]
    for name in names:
        tally.note(Progress(name, 1, 10))

    rows = text_of(tally)

    assert len(rows) == 16
    assert "200 bytes" in rows[-1]


def test_long_names_keep_their_end() -> None:
    """Of a long name the end is shown, where paths differ."""
    tally = Tally(1)
    tally.note(Progress("/very" * 20 + "/cat.jpg", 1, 10))

    row = text_of(tally)[0]

    assert row.startswith("…")
    assert "/very/cat.jpg" in row


def test_names_are_no_markup() -> None:
    """A name with brackets and control characters is shown, not obeyed."""
    tally = Tally(1)
    tally.note(Progress("[red]a\x1b[2J.jpg", 1, 10))

    assert "[red]a\\x1b[2J.jpg" in text_of(tally)[0]


def test_totals_with_time_left() -> None:
    """The total tells failures and the time left once that can be told."""
    times = iter([0.0, *[2.0] * 9])
    tally = Tally(2, lambda: next(times))
    tally.count(Outcome("one", None, 0, error=OSError("no"), attempts=1))

    line = totals(tally)

    assert line == "1/2 files · 1 failed · 0 bytes · 0 bytes/s · 0:00:02 left"


def test_totals_of_a_list_without_end() -> None:
    """Where nobody knows how many there will be, no number is made up."""
    tally = Tally(None)

    assert totals(tally).startswith("0 files · 0 failed")
    assert "left" not in totals(tally)
