"""The frame of an upload: a ``multipart/form-data`` body with exactly one part."""

from __future__ import annotations

import re

import attrs

_LINE_BREAKERS = re.compile(r"[\r\n\0]")

# A backslash too: before the closing quote it would escape that quote.
_UNQUOTABLE = re.compile(r'["\\\x01-\x1f\x7f]')

# Of the lone surrogates, these stand for no byte of a file's name.
_NO_BYTE = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PARAMETER = rf'[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[ !#-\[\]-~]*")'
_MEDIA_TYPE = re.compile(rf"{_TOKEN}/{_TOKEN}(?:{_PARAMETER})*")


@attrs.frozen
class Envelope:
    """
    The bytes around the file in the body of an upload.

    Attributes:
        head: Everything before the file's first byte.

        tail: Everything after the file's last byte.

        content_type: The request's ``Content-Type``.
    """

    head: bytes
    tail: bytes
    content_type: str

    def length(self, size: int) -> int:
        """Length of the whole body around *size* bytes: its ``Content-Length``."""
        return len(self.head) + size + len(self.tail)


def envelope(
    *, filename: str, content_type: str, boundary: str, field: str = "media"
) -> Envelope:
    """
    Wrap one file for an upload.

    Args:
        filename: What WeChat sees. Sent as UTF-8; quotes, backslashes and
            control characters are percent-encoded, as browsers do it.

        content_type: Media type of the file, which WeChat ignores.

        boundary: Separator; must not occur in the file. 16 random bytes in
            hex, drawn for this upload alone, cannot be known to who made the
            file, and are at a given place of it with a chance of 2**-128: for
            all the 2**28 places of the longest file that WeCom takes, 2**-100.
            To look for it beforehand would read the file once more for nothing.

        field: Name of the form's field.

    Raises:
        ValueError: CR, LF or NUL in *filename*, or *content_type* is no media
            type. See `media_type` for one that nobody here has written.
    """
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise ValueError(f"not a media type: {content_type!r}")
    # Never filename*: WeChat then finds no file at all (errcode 41005).
    # https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
    head = (
        b'--%b\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n'
        b"Content-Type: %b\r\n\r\n"
    ) % (boundary.encode(), field.encode(), _quoted(filename), content_type.encode())
    return Envelope(
        head=head,
        tail=f"\r\n--{boundary}--\r\n".encode(),
        content_type=f"multipart/form-data; boundary={boundary}",
    )


def media_type(label: str | None) -> str | None:
    """
    Return the media type that a label means; None where it means none.

    Browsers and clients send ``image/*``, ``jpg``, ``image/jpeg;`` and nothing.
    """
    meant = (label or "").strip(" \t;")
    return meant if _MEDIA_TYPE.fullmatch(meant) and "*" not in meant else None


def _quoted(filename: str) -> bytes:
    if _LINE_BREAKERS.search(filename):
        raise ValueError(f"CR, LF or NUL in a filename: {filename!r}")
    plain = _UNQUOTABLE.sub(lambda char: f"%{ord(char[0]):02X}", filename)
    return _NO_BYTE.sub("?", plain).encode(errors="surrogateescape")
