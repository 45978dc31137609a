"""Arguments after ``--``, which are what they are, whatever they look like."""

from __future__ import annotations

from collections.abc import Sequence

_DELIMITER = "--"
# No argument of a process can hold it.
_MARK = "\0"


def marked(arguments: Sequence[str]) -> list[str]:
    """Mark those after ``--`` that would be taken for an option, or for ``-``."""
    if _DELIMITER not in arguments:
        return list(arguments)
    after = arguments.index(_DELIMITER) + 1
    marks = (_MARK if one.startswith("-") else "" for one in arguments[after:])
    rest = map("".join, zip(marks, arguments[after:], strict=True))
    return [*arguments[:after], *rest]


def plain(argument: str) -> str:
    """Return the argument as it was given."""
    return argument.removeprefix(_MARK)
