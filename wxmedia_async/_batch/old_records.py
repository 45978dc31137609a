"""
What 0.1.0 noted: by the key alone, so that much of it may be about something else.

Left out is what plainly is, by what the line itself says.
"""

from __future__ import annotations

import os

from .._errors import MediaRejected
from .lines import Facts
from .wanted import Wanted

_NOT_RESULT = frozenset({"key", "kind"})
_VOICES = frozenset({".amr", ".mp3", ".speex"})


def is_about(facts: Facts, wanted: Wanted) -> bool:
    """Tell whether a line with an item's key may be about that item."""
    if facts["kind"] == "uploaded":
        return _upload(facts, wanted)
    if facts["kind"] == "refused":
        return _refusal(facts, wanted)
    return facts["kind"] != "failed" and _download(facts, wanted)


def _upload(facts: Facts, wanted: Wanted) -> bool:
    return bool(facts["type"] == wanted.operation.get("type"))


def _download(facts: Facts, wanted: Wanted) -> bool:
    if wanted.operation["name"] != "download":
        return False
    suffix = os.path.splitext(facts["location"])[1]
    if suffix in _VOICES and wanted.operation["hd_voice"] != (suffix == ".speex"):
        return False
    if facts["path"] is None or wanted.folder is None:
        return facts["path"] is None and wanted.folder is None
    folder = os.path.realpath(os.path.dirname(facts["path"]))
    return bool(folder == wanted.operation["to"])


def _refusal(facts: Facts, wanted: Wanted) -> bool:
    rejected = bool(facts["error"] == MediaRejected.__name__)
    return rejected == bool(wanted.operation["name"] == "upload")


def result_facts(facts: Facts) -> Facts:
    """Return what the line says of the result."""
    return {name: value for name, value in facts.items() if name not in _NOT_RESULT}
