"""
What 0.1.0 noted: by the key alone, so that much of it may be about something else.

Left out is what plainly is, by what the line itself says.
"""

from __future__ import annotations

import os

from .._errors import MediaRejected
from .lines import Facts
from .order import Order

_NOT_RESULT = frozenset({"key", "kind"})
_VOICES = frozenset({".amr", ".mp3", ".speex"})


def is_about(facts: Facts, order: Order) -> bool:
    """Tell whether a line with an item's key may be about that item."""
    if facts["kind"] == "uploaded":
        return _upload(facts, order)
    if facts["kind"] == "refused":
        return _refusal(facts, order)
    return facts["kind"] != "failed" and _download(facts, order)


def _upload(facts: Facts, order: Order) -> bool:
    return bool(facts["type"] == order.operation.get("type"))


def _download(facts: Facts, order: Order) -> bool:
    if order.operation["name"] != "download":
        return False
    suffix = os.path.splitext(facts["location"])[1]
    if suffix in _VOICES and order.operation["hd_voice"] != (suffix == ".speex"):
        return False
    if facts["path"] is None or order.folder is None:
        return facts["path"] is None and order.folder is None
    folder = os.path.realpath(os.path.dirname(facts["path"]))
    return bool(folder == order.operation["to"])


def _refusal(facts: Facts, order: Order) -> bool:
    rejected = bool(facts["error"] == MediaRejected.__name__)
    return rejected == bool(order.operation["name"] == "upload")


def result_facts(facts: Facts) -> Facts:
    """Return what the line says of the result."""
    return {name: value for name, value in facts.items() if name not in _NOT_RESULT}
