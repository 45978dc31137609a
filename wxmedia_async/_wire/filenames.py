"""
Names of files: what WeChat suggests, what we save as, what we upload as.

A name from outside is a hint, never a path.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from posixpath import splitext
from urllib.parse import unquote_to_bytes

from .kinds import kind_of

LONGEST = 200
"""The longest name that we write, in UTF-8 bytes: most filesystems take 255."""

_HASH = 8
_LONGEST_SUFFIX = 16

# A quoted string first, so that a parameter inside one is not taken for another.
_PARAMETER = re.compile(
    rb'(?:\A|;)\s*([\w*-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.DOTALL
)
_QUOTED_PAIR = re.compile(rb'\\(["\\])')
_CHARSETS = frozenset({"utf-8", "iso-8859-1", "gbk", "gb18030"})

_RESERVED_CHARS = str.maketrans(dict.fromkeys('<>:"|?*', "_"))
# https://learn.microsoft.com/windows/win32/fileio/naming-a-file#naming-conventions
_DEVICE = re.compile(
    r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[0-9¹²³]) *(?:\.|$)",
    re.IGNORECASE,
)
_PLAIN_SUFFIX = re.compile(r"\.[0-9A-Za-z]{1,15}")

_LINE_BREAKERS = re.compile(r"[\r\n\0]")

_SUFFIX_OF_CONTENT = {
    "image/jpeg": ".jpg",
    "image/jpg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/webp": ".webp",
    "voice/amr": ".amr",
    "audio/amr": ".amr",
    "audio/amr-wb": ".awb",
    "voice/mp3": ".mp3",
    "audio/mp3": ".mp3",
    "audio/mpeg": ".mp3",
    "voice/speex": ".speex",
    "audio/speex": ".speex",
    "voice/silk": ".silk",
    "audio/silk": ".silk",
    "video/mp4": ".mp4",
    "video/mpeg4": ".mp4",
    "video/quicktime": ".mov",
    "video/3gpp": ".3gp",
    "audio/mp4": ".m4a",
    "image/heic": ".heic",
    "image/heif": ".heif",
    "image/avif": ".avif",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
}
# Nearly all names; what follows would return them as they are, only later.
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,150}(?:\.[A-Za-z0-9]{1,10})?", re.ASCII)

_SUFFIXES_OF_TYPE = {
    "image": (".jpg", ".jpeg", ".png", ".gif", ".bmp"),
    "voice": (".amr", ".mp3"),
    "video": (".mp4",),
    "thumb": (".jpg", ".jpeg"),
}

# What follows a dot may as well be a date, a version or a sentence.
_LIKE_A_SUFFIX = re.compile(r"\.(?:[A-Za-z][0-9A-Za-z]{0,9}|3g[p2]|7z)")


# A reply's header is looked at twice, and repeated by no other.
@lru_cache(maxsize=16)
def from_disposition(value: bytes | None) -> str | None:
    """
    Read the file's name from a ``Content-Disposition`` header.

    ``filename*`` counts before ``filename``; raw UTF-8 in the latter is
    understood, as WeCom sends it. https://www.rfc-editor.org/rfc/rfc6266

    Returns:
        A name that is safe to use, or None where there is none.
    """
    parameters = dict(reversed(list(_parameters(value or b""))))
    extended = _extended(parameters.get("filename*", b""))
    return safe_name(extended or _decoded(parameters.get("filename", b"")))


def safe_name(hint: str) -> str | None:
    """
    Make one path component of *hint* that means the same on every system.

    Returns:
        At most 200 bytes of UTF-8, the suffix kept; None where nothing
        remains. Safe names are returned as they are.
    """
    if _PLAIN.fullmatch(hint) and not _DEVICE.match(hint):
        return hint
    visible = "".join(filter(_is_visible, hint))
    component = re.split(r"[/\\]", visible)[-1]
    name = unicodedata.normalize("NFC", component).translate(_RESERVED_CHARS)
    name = _fitted(name.strip(". "))
    if _DEVICE.match(name):
        name = _fitted(f"_{name}")
    return name or None


def saved_name(
    media_id: str, *, filename: str | None, content_type: str | None, first: bytes
) -> str:
    """
    Name the file that a media is saved as: its id and a suffix.

    Args:
        media_id: Used as it is where that is safe; otherwise made safe, with
            part of its hash, so that two ids never meet in one name.

        filename: What the server calls it, for its suffix.

        content_type: What the server says it is, for its suffix.

        first: The beginning of the media, which counts more than either.

    Returns:
        At most 200 bytes of UTF-8.
    """
    return _stem(media_id) + _suffix(filename, content_type, first)


def upload_name(
    given: str | None,
    own: str | None,
    *,
    type: str,
    suffixes: tuple[str, ...],
    first: bytes,
) -> str:
    """
    Name an upload: the base name only, and a suffix where one is needed.

    Args:
        given: What the caller of the upload wants: its suffix is sent as it is.

        own: What the source calls itself, if nothing is given. Temporary files,
            archives and browsers have suffixes that WeChat does not take, so one
            that fits the bytes is added then.

        type: WeChat's type of media, such as ``image``.

        suffixes: Those that fit the type; empty where all do.

        first: The beginning of the media.

    Raises:
        ValueError: CR, LF or NUL in *given*.
    """
    if base := _base(given or ""):
        return base + _missing_suffix(base, type, suffixes, first)
    if base := _base(_LINE_BREAKERS.sub("_", own or "")).rstrip(". "):
        added = _missing_suffix(base, type, suffixes, first)
        return base + (added or _better_suffix(base, type, suffixes, first))
    return "media" + (_fitting_suffix(type, suffixes, first) or ".bin")


def _parameters(value: bytes) -> Iterator[tuple[str, bytes]]:
    for match in _PARAMETER.finditer(value):
        raw = match[2].strip()
        if raw.startswith(b'"'):
            # Only these two pairs: other backslashes are Windows' separators.
            raw = _QUOTED_PAIR.sub(rb"\1", raw[1:].removesuffix(b'"'))
        yield match[1].decode().lower(), raw


def _extended(value: bytes) -> str | None:
    # charset'language'percent-encoded, https://www.rfc-editor.org/rfc/rfc8187
    charset, _, rest = value.decode("latin-1").partition("'")
    _, _, encoded = rest.partition("'")
    if charset.lower() not in _CHARSETS:
        return None
    try:
        return unquote_to_bytes(encoded).decode(charset)
    except UnicodeDecodeError:
        return None


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _is_visible(char: str) -> bool:
    # Without control (Cc), format (Cf: bidi, zero width) and surrogate (Cs)
    # characters, and without line and paragraph separators (Zl, Zp).
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _fitted(name: str) -> str:
    if len(name.encode()) <= LONGEST:
        return name
    stem, suffix = splitext(name)
    if len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, suffix = name, ""
    return (_cut(stem, LONGEST - len(suffix.encode())) + suffix).rstrip(". ")


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def _stem(media_id: str) -> str:
    safe = safe_name(media_id)
    longest = LONGEST - _LONGEST_SUFFIX
    if safe == media_id and len(media_id.encode()) <= longest:
        return media_id
    digest = hashlib.sha256(media_id.encode(errors="surrogatepass")).hexdigest()
    if safe is None:
        return digest[: 2 * _HASH]
    return f"{_cut(safe, longest - 1 - _HASH)}-{digest[:_HASH]}"


def _suffix(filename: str | None, content_type: str | None, first: bytes) -> str:
    if kind := kind_of(first):
        return kind.suffix
    named = splitext(filename or "")[1]
    if _PLAIN_SUFFIX.fullmatch(named):
        return named
    media_type = (content_type or "").partition(";")[0].strip().lower()
    return _SUFFIX_OF_CONTENT.get(media_type, "")


def _base(name: str) -> str:
    if _LINE_BREAKERS.search(name):
        raise ValueError(f"CR, LF or NUL in a filename: {name!r}")
    base = re.split(r"[/\\]", name)[-1]
    return base if base.strip(". ") else ""


def _missing_suffix(
    base: str, type: str, suffixes: tuple[str, ...], first: bytes
) -> str:
    """Return what a name without any suffix lacks; a dot at its end is used."""
    if not (suffixes or type in _SUFFIXES_OF_TYPE):
        return ""
    suffix = splitext(base)[1]
    if suffix.lower() in suffixes or _LIKE_A_SUFFIX.fullmatch(suffix):
        return ""
    fitting = _fitting_suffix(type, suffixes, first)
    return fitting[1:] if base.endswith(".") else fitting


def _better_suffix(
    base: str, type: str, suffixes: tuple[str, ...], first: bytes
) -> str:
    """Return what bytes that WeChat takes need, where the name's own is another."""
    taken = suffixes or _SUFFIXES_OF_TYPE.get(type, ())
    kind = kind_of(first)
    if kind is None or kind.suffix not in taken:
        return ""
    return "" if splitext(base)[1].lower() in taken else kind.suffix


def _fitting_suffix(type: str, suffixes: tuple[str, ...], first: bytes) -> str:
    kind = kind_of(first)
    if kind and (not suffixes or kind.suffix in suffixes):
        return kind.suffix
    return next(iter(suffixes or _SUFFIXES_OF_TYPE.get(type, ())), "")
