"""A multipart body with one file, read as it comes."""

from __future__ import annotations

import re
from typing import IO

import attrs

_MAX_HEAD = 16 * 1024
_FILENAME = re.compile(rb';\s*filename="((?:[^"\\]|\\.)*)"', re.DOTALL)
_NAME = re.compile(rb';\s*name="?media"?(?=[;\r\s]|$)')
_BOUNDARY = re.compile(r'boundary="?([^";,\s]{1,70})"?', re.IGNORECASE)


class NotAForm(Exception):
    """The body is no form with a file named media."""


@attrs.define(eq=False)
class MediaForm:
    """
    Finds the part named ``media``, and writes its bytes to a file.

    What might be the beginning of a boundary is held back until the next bytes
    tell, so memory does not grow with the file.
    """

    _delimiter: bytes
    file: IO[bytes]
    filename: str = attrs.field(default="", init=False)
    content_type: str = attrs.field(default="", init=False)
    _pending: bytes = attrs.field(default=b"\r\n", init=False)
    _state: str = attrs.field(default="before", init=False)

    @classmethod
    def of(cls, content_type: str, file: IO[bytes]) -> MediaForm:
        """Begin with the Content-Type of the request."""
        found = _BOUNDARY.search(content_type)
        if found is None or not content_type.lower().startswith("multipart/form-data"):
            raise NotAForm
        return cls(b"\r\n--" + found[1].encode("latin-1"), file)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the body."""
        self._pending += chunk
        while self._step():
            pass

    def finish(self) -> None:
        """
        Make sure that the part was there, and ended.

        Raises:
            NotAForm: It was not.
        """
        if self._state != "after":
            raise NotAForm

    def _step(self) -> bool:
        if self._state == "before":
            return self._find_part()
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
        self._pending, self._state = rest, "head"
        return True

    def _read_head(self) -> bool:
        head, found, rest = self._pending.partition(b"\r\n\r\n")
        if not found:
            if len(head) > _MAX_HEAD:
                raise NotAForm
            return False
        self._pending = rest
        self._state = "content" if self._is_media(head) else "before"
        return True

    def _is_media(self, head: bytes) -> bool:
        disposition = _header(head, b"content-disposition")
        if _NAME.search(disposition) is None:
            return False
        name = _FILENAME.search(disposition)
        if name is None:
            # filename*= alone is not understood, as in the real service.
            return False
        self.filename = name[1].decode("utf-8", "replace")
        self.content_type = _header(head, b"content-type").decode("latin-1")
        return True

    def _copy(self) -> bool:
        content, found, rest = self._pending.partition(self._delimiter)
        if found:
            self.file.write(content)
            self._pending, self._state = rest, "after"
            return True
        keep = len(self._delimiter) - 1
        self.file.write(self._pending[:-keep])
        self._pending = self._pending[-keep:]
        return False


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        found, _, value = line.partition(b":")
        if found.strip().lower() == name:
            return value.strip()
    return b""
