"""The lines of a manifest: which item each is about, mostly without parsing it."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, TypeAlias, cast

import attrs

from .order import Order, digest

Facts: TypeAlias = dict[str, Any]

VERSION = 2

_HEAD = re.compile(
    rb'\{"version": 2, "id": "([0-9a-f]{16})", "kind": "(\w+)", (?:"by": "([^"]+)", )?'
)
_END = b"}}\n"
_BEGINNINGS = (b'{"version": ', b'{"key": ')
_OLD_KINDS = frozenset({"publishing", "saved", "uploaded", "refused", "failed"})


@attrs.frozen
class Entry:
    """
    Which item a line is about, and what happened to it.

    Attributes:
        id: A number for the item.

        kind: What happened.

        old: Whether 0.1.0 has written it, which noted only the key.
    """

    id: int
    kind: str = ""
    old: bool = False


def entries(order: Order, process: str) -> list[Entry]:
    """Return under which numbers an item may be found, the best one first."""
    name = order.digest
    found = [Entry(int(name, 16)), Entry(_old_id(order.key), old=True)]
    if order.by is not None:
        found.insert(0, Entry(_id(name, f"{process}-{order.by}", process)))
    return found


def line_of(order: Order, kind: str, facts: Facts, process: str) -> bytes:
    """Return the line that says what happened to an item."""
    by = {} if order.by is None else {"by": f"{process}-{order.by}"}
    line = {
        "version": VERSION,
        "id": order.digest,
        "kind": kind,
        **by,
        "scope": order.scope.facts,
        "operation": order.operation,
        "key": order.key,
        **facts,
    }
    text = json.dumps(line, ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass") + b"\n"


def understood(line: bytes, process: str) -> Entry | None:
    """Tell where a line belongs; None for what is no record, or none of ours."""
    head = _HEAD.match(line)
    if head is not None and line.endswith(_END):
        name, kind, by = (group or b"" for group in head.groups())
        return Entry(_id(name.decode(), by.decode(), process), kind.decode())
    # Somebody may have written anything.
    with suppress(TypeError, ValueError, AttributeError):
        return _understood(parse(line), process)
    return None


def _understood(parsed: Facts | None, process: str) -> Entry | None:
    if parsed is None:
        return None
    if not is_new(parsed):
        return Entry(_old_id(parsed["key"]), parsed["kind"], old=True)
    if parsed["version"] != VERSION:
        return None
    number = _id(parsed["id"], parsed.get("by", ""), process)
    return Entry(number, str(parsed["kind"]))


def parse(line: bytes) -> Facts | None:
    """Return what a line holds; None for what is no record of any version."""
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parsed, dict):
        return None
    facts = cast("Facts", parsed)
    if isinstance(facts.get("version"), int):
        known = facts["version"] != VERSION or facts.keys() >= {"id", "kind", "key"}
        return facts if known else None
    old = "key" in facts and facts.get("kind") in _OLD_KINDS
    return facts if old else None


def is_new(facts: Facts) -> bool:
    """Tell a record from those of 0.1.0."""
    return "version" in facts


def may_be_torn(line: bytes) -> bool:
    """Tell whether a line that is no record may be the beginning of one."""
    text = line.strip()
    like = [one for one in _BEGINNINGS if text.startswith(one) or one.startswith(text)]
    if not text or not like:
        return False
    try:
        json.loads(text)
    except ValueError:
        return True
    return False  # whole, and something else


def _id(name: str, by: str, process: str) -> int:
    """Only within a process can it be told which object has done it."""
    mine = by.startswith(f"{process}-")
    return int(digest(name + by) if mine else name, 16)


def _old_id(key: object) -> int:
    return int(digest(json.dumps(["0.1.0", key])), 16)
