from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from wxmedia_async import MediaNotFound, Outcome, SavedMedia, UploadedMedia
from wxmedia_async.cli import _lines
from wxmedia_async.cli._lines import AnyOutcome

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
EXPIRES = datetime(2026, 1, 4, tzinfo=UTC)


def uploaded(item: object = Path("cat.jpg"), *, skipped: bool = False) -> AnyOutcome:
    media = UploadedMedia("ID", "image", CREATED, EXPIRES)
    return Outcome(item, None, 0, media, attempts=2, elapsed=0.12345, skipped=skipped)


def saved() -> AnyOutcome:
    path = Path("inbox/ID.jpg")
    media = SavedMedia("ID", path, str(path), 7, "image/jpeg", None, verified=True)
    return Outcome("ID", None, 0, media, attempts=1)


def failed(error: Exception, item: object = "ID") -> AnyOutcome:
    return Outcome(item, None, 0, error=error, attempts=1)


def test_upload_as_json() -> None:
    """An upload in JSON holds the item, how it went, and all that WeChat said."""
    shown = json.loads(_lines.as_json(uploaded()))

    assert shown == {
        "item": "cat.jpg",
        "ok": True,
        "skipped": False,
        "attempts": 2,
        "elapsed": 0.123,
        "media_id": "ID",
        "type": "image",
        "created_at": "2026-01-01T00:00:00+00:00",
        "expires_at": "2026-01-04T00:00:00+00:00",
    }


def test_download_as_json() -> None:
    """A download in JSON holds the path, the size and whether it was verified."""
    shown = json.loads(_lines.as_json(saved()))

    assert shown["media_id"] == "ID"
    assert shown["path"] == str(Path("inbox/ID.jpg"))
    assert (shown["size"], shown["verified"]) == (7, True)


def test_failure_as_json() -> None:
    """A failure in JSON holds the class, the errcode and the text."""
    error = MediaNotFound("invalid media_id", code=40007)

    shown = json.loads(_lines.as_json(failed(error)))

    assert shown["ok"] is False
    assert (shown["error"], shown["code"]) == ("MediaNotFound", 40007)
    assert shown["message"] == "errcode 40007: invalid media_id"


def test_failure_without_errcode_as_json() -> None:
    """A failure that WeChat has no part in has null for an errcode."""
    shown = json.loads(_lines.as_json(failed(FileNotFoundError(2, "no such file"))))

    assert (shown["error"], shown["code"]) == ("FileNotFoundError", None)


def test_json_is_one_line_of_ascii() -> None:
    """No name of a file breaks a JSON line, or the encoding of a terminal."""
    line = _lines.as_json(uploaded("a\nb\u2028猫\udcff.jpg"))

    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line)["item"] == "a\nb\u2028猫\udcff.jpg"


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (uploaded(), "uploaded\tcat.jpg\tID"),
        (uploaded(skipped=True), "skipped\tcat.jpg\tID"),
        (saved(), f"saved\tID\t{Path('inbox/ID.jpg')}"),
        (failed(MediaNotFound(code=40007)), "failed\tID\tMediaNotFound: errcode 40007"),
    ],
    ids=["uploaded", "skipped", "saved", "failed"],
)
def test_text(outcome: AnyOutcome, line: str) -> None:
    """A line of text says what became of which item, with tabs between."""
    assert _lines.as_text(outcome) == line


def test_text_of_successes() -> None:
    """On a terminal a failure is told once: by standard error."""
    assert _lines.success_as_text(saved()) == _lines.as_text(saved())
    assert _lines.success_as_text(failed(OSError("no"))) is None


def test_failure_names_item_and_reason() -> None:
    """Each failure is named with the item, the class and the text."""
    line = _lines.failure(failed(PermissionError("not yours"), Path("x.jpg")))

    assert line == "x.jpg: PermissionError: not yours"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("猫.jpg", "猫.jpg"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\rb\nc\td", "a\\rb\\nc\\td"),
        ("a\u202egpj.exe", "a\\u202egpj.exe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    """What a file or WeChat is called cannot move the cursor or fake a line."""
    assert _lines.printable(text) == shown
