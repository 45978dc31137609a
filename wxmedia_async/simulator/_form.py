"""A multipart body with one file, read as it comes."""

from __future__ import annotations

import re
from typing import IO

import attrs

_MAX_HEAD = 16 * 1024
_PARAMETER = re.compile(rb';\s*([\w*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)', re.DOTALL)
# They would come back in the head of a download, and break it.
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_BOUNDARY = re.compile(
    r'multipart/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))',
    re.IGNORECASE | re.DOTALL,
)


@attrs.define(eq=False)
class MediaForm:
    """
    Finds the part named ``media``, and writes its bytes to a file.

    What might be the beginning of a boundary is held back until the next bytes
    tell, so memory does not grow with the file. It takes a body to its end,
    whatever is wrong with it: an answer that comes earlier may be lost.

    Attributes:
        complete: Whether the part was there, and the form ended as forms do.
    """

    _delimiter: bytes
    file: IO[bytes]
    filename: str = attrs.field(default="", init=False)
    content_type: str = attrs.field(default="", init=False)
    complete: bool = attrs.field(default=False, init=False)
    _found: bool = attrs.field(default=False, init=False)
    _pending: bytes = attrs.field(default=b"\r\n", init=False, repr=False)
    _state: str = attrs.field(default="between", init=False)

    @classmethod
    def of(cls, content_type: str, file: IO[bytes]) -> MediaForm:
        """Begin with the Content-Type of the request."""
        found = _BOUNDARY.match(content_type)
        boundary = (found[1] or found[2]) if found else ""
        form = cls(b"\r\n--" + boundary.encode("latin-1"), file)
        form._state = "between" if found else "ended"
        return form

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._pending += chunk
        while self._step():
            pass

    def _step(self) -> bool:
        if self._state == "between":
            return self._find_part()
        if self._state == "begun":
            return self._begin_part()
        if self._state == "head":
            return self._read_head()
        if self._state == "content":
            return self._copy()
        self._pending = b""
        return False

    def _find_part(self) -> bool:
        before, found, rest = self._pending.partition(self._delimiter)
        if not found:
            self._pending = before[-len(self._delimiter) :]
            return False
        self._pending, self._state = rest, "begun"
        return True

    def _begin_part(self) -> bool:
        """Tell the boundary that ends the form from one that begins a part."""
        if len(self._pending) < 2:
            return False
        last = self._pending.startswith(b"--")
        self._state = "ended" if last else "head"
        self.complete = last and self._found
        return True

    def _read_head(self) -> bool:
        head, found, rest = self._pending.partition(b"\r\n\r\n")
        if len(head) > _MAX_HEAD:
            self._state = "ended"
            return True
        if not found:
            return False
        self._pending = rest
        self._state = "content" if self._is_media(head) else "between"
        return True

    def _is_media(self, head: bytes) -> bool:
        disposition = _header(head, b"content-disposition")
        if _CONTROL.search(disposition):
            return False
        given = _parameters(disposition)
        # filename*= alone is not understood, as in the real service.
        if self._found or given.get(b"name") != b"media" or b"filename" not in given:
            return False
        self._found = True
        self.filename = given[b"filename"].decode("utf-8", "replace")
        self.content_type = _header(head, b"content-type").decode("latin-1")
        return True

    def _copy(self) -> bool:
        content, found, rest = self._pending.partition(self._delimiter)
        if found:
            self.file.write(content)
            self._pending, self._state = rest, "begun"
            return True
        keep = len(self._delimiter) - 1
        self.file.write(self._pending[:-keep])
        self._pending = self._pending[-keep:]
        return False


def _parameters(header: bytes) -> dict[bytes, bytes]:
    return {
        name.lower(): value[1:-1] if value.startswith(b'"') else value
        for name, value in _PARAMETER.findall(header)
    }


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        found, _, value = line.partition(b":")
        if found.strip().lower() == name:
            return value.strip()
    return b""
