"""
JSON as WeChat writes it, and no more of it than that.

A BOM, raw control characters and broken UTF-8 are tolerated, and numbers may
stand in quotes. What is not a whole object is not repaired.
"""

from __future__ import annotations

import json
import re
from typing import cast

_DECODER = json.JSONDecoder(strict=False)

_DIGITS = re.compile(r"-?[0-9]{1,10}")


def json_object(body: bytes, limit: int) -> dict[str, object] | None:
    """
    Parse *body*, if it is a JSON object of at most *limit* bytes.

    Returns:
        None for everything else, however odd: long numbers and deep nesting
        make the parser raise as well.
    """
    if len(body) > limit:
        return None
    try:
        parsed = _DECODER.decode(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        # Not raised from here: the exception holds the whole document.
        return None
    return cast("dict[str, object]", parsed) if isinstance(parsed, dict) else None


def whole_number(value: object) -> int | None:
    """Read an integer or a str of digits; None for all else, ``true`` included."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 10**10 else None
    return None


def plain_text(value: object) -> str | None:
    """Read a str that can stand in a URL: printable, and not empty."""
    if isinstance(value, str) and value and value.isprintable():
        return value
    return None
