"""What a batch has finished, on disk, so that a second run does only the rest."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import attrs

from .._errors import MediaError, MediaNotFound, MediaRejected, TooLarge
from .._models import SavedMedia, UploadedMedia, lives_long_enough

Key: TypeAlias = str | int | tuple[str, int, int]
"""The caller's key, a media_id, or a path's absolute name, size and mtime."""

Result = TypeVar("Result")

_REFUSALS: Mapping[str, type[MediaError]] = {
    cls.__name__: cls for cls in (MediaNotFound, MediaRejected, TooLarge)
}


class Entry(Protocol[Result]):
    """One item's place in the manifest."""

    @property
    def settled(self) -> bool:
        """Whether an earlier run has finished it."""
        ...

    def recall(self) -> Result:
        """Return what an earlier run got, or raise what it was refused with."""
        ...

    def publishing(self, result: Result) -> None:
        """Note that the result's file is about to appear."""
        ...

    def failed(self, error: Exception) -> None:
        """Note a refusal that no further try would change."""
        ...

    def finished(self, result: Result) -> None:
        """Note the result."""
        ...


class Manifest(Protocol):
    """Where a batch notes what it has finished."""

    def entry(self, known_by: Callable[[], Key]) -> Entry[Any]:
        """Find an item's place."""
        ...

    def close(self) -> None:
        """Note nothing any more."""
        ...


class NoManifest:
    """Notes nothing, and so knows nothing; it is its own only entry."""

    settled = False

    def entry(self, known_by: Callable[[], Key]) -> NoManifest:
        return self

    def recall(self) -> Any:
        raise LookupError("nothing was noted")

    def publishing(self, result: object) -> None:
        return

    def failed(self, error: Exception) -> None:
        return

    def finished(self, result: object) -> None:
        return

    def close(self) -> None:
        return


class FileManifest:
    """
    A file of JSON lines, of which only keys and places are kept in memory.

    Each line is written whole and flushed. A kill can tear the last one; its
    item is then done again. A line is also written before a file appears, so
    that a kill right after it is told from a file that was there all along.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "a+b")  # noqa: SIM115
        try:
            self._places = _read_places(self._file)
        except BaseException:
            self._file.close()
            raise

    def entry(self, known_by: Callable[[], Key]) -> FileEntry[Any]:
        key = known_by()
        return FileEntry(self, key, self._recorded(key))

    def write(self, key: Key, kind: str, facts: Mapping[str, object]) -> None:
        """Append one line."""
        place = self._file.seek(0, io.SEEK_END)
        line = json.dumps({"key": key, "kind": kind, **facts}, ensure_ascii=False)
        self._file.write(line.encode("utf-8", "surrogatepass") + b"\n")
        self._file.flush()
        self._places[key] = place

    def _recorded(self, key: Key) -> dict[str, Any] | None:
        place = self._places.get(key)
        if place is None:
            return None
        self._file.seek(place)
        return _parsed(self._file.readline())

    def close(self) -> None:
        self._file.close()


@attrs.frozen
class FileEntry(Generic[Result]):
    """One item's place in a `FileManifest`."""

    _manifest: FileManifest
    _key: Key
    _line: dict[str, Any] | None

    @property
    def settled(self) -> bool:
        if self._line is None:
            return False
        return _still_holds(self._line)

    def recall(self) -> Result:
        assert self._line is not None
        if self._line["kind"] == "refused":
            raise _refusal(self._line)
        return cast("Result", _result(self._line))

    def publishing(self, result: Result) -> None:
        # What is there by now is somebody else's, and must not be taken for
        # ours if we are killed before we find out.
        if not os.path.lexists(cast("SavedMedia", result).location):
            self._manifest.write(self._key, "publishing", _facts(result))

    def failed(self, error: Exception) -> None:
        name = type(error).__name__
        if name in _REFUSALS:
            facts = _error_facts(error)
            self._manifest.write(self._key, "refused", {"error": name, "facts": facts})
        elif self._line is not None or isinstance(error, OSError):
            # Whatever was noted for this item before does not hold any more.
            self._manifest.write(self._key, "failed", {"error": name})

    def finished(self, result: Result) -> None:
        kind = "saved" if isinstance(result, SavedMedia) else "uploaded"
        self._manifest.write(self._key, kind, _facts(result))


def _read_places(file: io.BufferedRandom) -> dict[Key, int]:
    """Return where the last line of each key begins, and end a torn last line."""
    places: dict[Key, int] = {}
    file.seek(0)
    place, line = 0, b""
    for line in file:
        if (parsed := _parsed(line)) is not None:
            places[_key(parsed["key"])] = place
        place += len(line)
    if line and not places:
        raise ValueError("the file given as manifest is something else")
    if line and not line.endswith(b"\n"):
        file.write(b"\n")
        file.flush()
    return places


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    if not isinstance(parsed, dict) or "key" not in parsed or "kind" not in parsed:
        return None
    return cast("dict[str, Any]", parsed)


def _key(value: object) -> Key:
    if isinstance(value, list):  # JSON has no tuples
        value = tuple(cast("Iterable[object]", value))
    return cast("Key", value)


def _still_holds(line: Mapping[str, Any]) -> bool:
    kind = line["kind"]
    if kind == "uploaded":
        return lives_long_enough(datetime.fromisoformat(line["expires_at"]))
    if kind in ("saved", "publishing"):
        return line["path"] is None or _is_there(line, exact=kind == "publishing")
    return bool(kind == "refused")


def _is_there(line: Mapping[str, Any], *, exact: bool) -> bool:
    try:
        size = os.stat(line["path"]).st_size
    except OSError:
        return False
    return size == line["size"] or not exact


def _facts(result: object) -> dict[str, object]:
    facts = attrs.asdict(cast("Any", result))
    for name, value in facts.items():
        if isinstance(value, datetime):
            facts[name] = value.isoformat()
        elif isinstance(value, Path):
            facts[name] = str(value.absolute())
    return facts


def _result(line: Mapping[str, Any]) -> UploadedMedia | SavedMedia:
    facts = {name: value for name, value in line.items() if name not in ("key", "kind")}
    if line["kind"] == "uploaded":
        for name in ("created_at", "expires_at"):
            facts[name] = datetime.fromisoformat(facts[name])
        return UploadedMedia(**facts)
    facts["path"] = None if facts["path"] is None else Path(facts["path"])
    return SavedMedia(**facts)


def _error_facts(error: Exception) -> dict[str, object]:
    names = ("code", "message", "rid", "hint", "status", "limit", "size")
    return {name: vars(error)[name] for name in names if name in vars(error)}


def _refusal(line: Mapping[str, Any]) -> MediaError:
    return _REFUSALS[line["error"]](**line["facts"])
