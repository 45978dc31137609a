"""One outcome as one line: for programs, and for people."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from .. import Download, Outcome, SavedMedia

AnyOutcome: TypeAlias = Outcome[Any, Any]
"""Of an upload or a download; an `Outcome` is invariant in its types."""


def as_json(outcome: AnyOutcome) -> str:
    """Return the outcome as one JSON object, in ASCII."""
    facts: dict[str, object] = {
        "item": named(outcome.item),
        "ok": outcome.ok,
        "skipped": outcome.skipped,
        "attempts": outcome.attempts,
        "elapsed": round(outcome.elapsed, 3),
    }
    if outcome.error is not None:
        return json.dumps(facts | _error_facts(outcome.error))
    return json.dumps(facts | attrs.asdict(outcome.unwrap()), default=_plain)


def as_text(outcome: AnyOutcome) -> str:
    """Return what became of the item, the item, and the result, tabs between."""
    columns = (_verdict(outcome), named(outcome.item), _result(outcome))
    return "\t".join(map(printable, columns))


def success_as_text(outcome: AnyOutcome) -> str | None:
    """Return the outcome as text, or None where standard error tells it anyway."""
    return as_text(outcome) if outcome.ok else None


def failure(outcome: AnyOutcome) -> str:
    """Name the item, and why it failed."""
    return printable(f"{named(outcome.item)}: {_result(outcome)}")


def named(item: object) -> str:
    """Return what the item is called on the command line."""
    return item.media_id if isinstance(item, Download) else str(item)


def reason(error: Exception) -> str:
    """Say in a line what is wrong; the text of a ValueError of ours says it all."""
    return printable(str(error) if isinstance(error, ValueError) else described(error))


def described(error: BaseException) -> str:
    """Return the error's class and text."""
    return f"{type(error).__name__}: {error}"


def printable(text: str) -> str:
    """Escape what would end the line, move the cursor or recolour the terminal."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _verdict(outcome: AnyOutcome) -> str:
    if not outcome.ok:
        return "failed"
    if outcome.skipped:
        return "skipped"
    return "saved" if isinstance(outcome.result, SavedMedia) else "uploaded"


def _result(outcome: AnyOutcome) -> str:
    if outcome.error is not None:
        return described(outcome.error)
    if isinstance(outcome.result, SavedMedia):
        return outcome.result.location
    return str(outcome.unwrap().media_id)


def _error_facts(error: BaseException) -> dict[str, object]:
    return {
        "error": type(error).__name__,
        "code": getattr(error, "code", None),
        "message": str(error),
    }


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
