"""What the lines of a manifest mean, and what they are made of."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import cast

import attrs

from .._errors import MediaError, MediaNotFound, MediaRejected, TooLarge
from .._files.draft import Identity, identity_of, is_same
from .._models import SavedMedia, UploadedMedia, lives_long_enough
from . import old_records
from .lines import Facts, is_new
from .order import Order

_UPLOADED = [field.name for field in attrs.fields(UploadedMedia)]
_SAVED = [field.name for field in attrs.fields(SavedMedia)]
_TIMES = ("created_at", "expires_at")

_REFUSALS: Mapping[str, type[MediaError]] = {
    cls.__name__: cls for cls in (MediaNotFound, MediaRejected, TooLarge)
}


def is_about(facts: Facts, order: Order) -> bool:
    """Tell whether a record is about an item, by what it says itself."""
    if _key(facts["key"]) != order.key:
        return False
    if not is_new(facts):
        return old_records.is_about(facts, order)
    same = facts["operation"] == order.operation
    return bool(same and facts["scope"] == order.scope.facts)


def result_of(facts: Facts, order: Order) -> UploadedMedia | SavedMedia | None:
    """Return the result, if it is still what it was."""
    result = _result_facts(facts)
    if facts["kind"] == "uploaded":
        return _uploaded(result)
    if result["path"] is None:
        return SavedMedia(**result) if facts["kind"] == "saved" else None
    part = facts.get("part")
    if not _is_there(result, part and tuple(part)):
        return None
    # The file is named as the caller names its folder.
    name = os.path.basename(result["path"])
    location = os.path.join(order.folder or "", name)
    result.update(location=location, path=Path(location))
    return SavedMedia(**result)


def _uploaded(result: Facts) -> UploadedMedia | None:
    for name in _TIMES:
        result[name] = datetime.fromisoformat(result[name])
    media = UploadedMedia(**result)
    return media if lives_long_enough(media.expires_at) else None


def _is_there(result: Facts, part: Identity | None) -> bool:
    try:
        status = os.stat(result["path"])
    except OSError:
        return False
    if status.st_size != result["size"]:
        return False
    return part is None or is_same(part, identity_of(status))


def refusal_of(facts: Facts, order: Order) -> MediaError | None:
    """Return the refusal, if it would be the same today."""
    made = _REFUSALS[facts["error"]](**facts["facts"])
    if isinstance(made, TooLarge):
        # What was asked for was that much, and is to be no more now.
        most = order.max_bytes
        return made if most is not None and most <= made.limit else None
    if not is_new(facts):
        # A refusal by ourselves has no status.
        return made if facts["facts"].get("status") is not None else None
    return made if facts["terms"] == order.terms else None


def publishing(saved: SavedMedia, part: Identity) -> tuple[str, Facts]:
    """A file is about to appear, which is not known by its name alone."""
    return "publishing", {"part": list(part), **finished(saved)[1]}


def finished(result: object) -> tuple[str, Facts]:
    """An item is done."""
    if isinstance(result, UploadedMedia):
        facts = _facts(result, _UPLOADED)
        for name in _TIMES:
            facts[name] = facts[name].isoformat()
        return "uploaded", {"result": facts}
    facts = _facts(result, _SAVED)
    if facts["path"] is not None:
        # It is to be found from any folder of work; its location says no more.
        facts["path"] = os.path.abspath(facts["path"])
        del facts["location"]
    return "saved", {"result": facts}


def _facts(result: object, names: Sequence[str]) -> Facts:
    return {name: getattr(result, name) for name in names}


def is_refusal(error: MediaError) -> bool:
    """Tell whether WeChat said that no further try would change anything."""
    return type(error).__name__ in _REFUSALS and error.attempts > 0


def refused(error: MediaError, order: Order) -> tuple[str, Facts]:
    """An item is not to be had."""
    names = ("code", "message", "rid", "hint", "status", "limit", "size")
    said = vars(error)
    return "refused", {
        "error": type(error).__name__,
        "facts": {name: said[name] for name in names if name in said},
        "terms": order.terms,
    }


def _key(value: object) -> object:
    """JSON has no tuples."""
    return tuple(cast("list[object]", value)) if isinstance(value, list) else value


def _result_facts(facts: Facts) -> Facts:
    return dict(facts["result"]) if is_new(facts) else old_records.result_facts(facts)
