"""
What a browser may be told of a media, and of a failure; for any framework.

What customers send may be HTML or SVG with scripts inside. So a browser shows only
what a look at the bytes confirms as image, audio or video; everything else it saves.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from http import HTTPStatus
from types import MappingProxyType
from typing import TypeAlias
from urllib.parse import quote

from .. import MediaStream
from .._errors import (
    ClientClosed,
    CredentialsError,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerBusy,
    SourceChanged,
    TokenRejected,
    TooLarge,
    TransferTimeout,
)
from .._models import MediaContent, SavedMedia
from .._wire.filenames import safe_name, saved_name
from .._wire.kinds import ENOUGH, kind_of

Media: TypeAlias = MediaStream | MediaContent | SavedMedia

_UNKNOWN = "application/octet-stream"

# Media never change, and who may see them is for the application to say.
_CACHE_CONTROL = "private, max-age=86400, immutable"

_STATUSES: Mapping[type[Exception], int] = MappingProxyType(
    {
        SourceChanged: 400,
        MediaNotFound: 404,
        TooLarge: 413,
        MediaRejected: 422,
        RateLimited: 429,
        TokenRejected: 500,
        CredentialsError: 500,
        PermissionDenied: 500,
        QuotaExceeded: 503,
        ServerBusy: 503,
        ClientClosed: 503,
        TransferTimeout: 504,
    }
)
_FAILED_BEHIND_US = 502
_OURS = 500

# Seconds, where nobody says how long.
_SOON = 5

# WeChat counts its days in China. https://developers.weixin.qq.com/doc/offiaccount/Message_Management/API_Call_Limits.html
_CHINA = timezone(timedelta(hours=8))

# Quotes and backslashes are read in several ways, and so are percent signs.
_NOT_PLAIN = re.compile(r'[^ -~]|["\\%]')
# https://www.rfc-editor.org/rfc/rfc8187#section-3.2.1
_ATTRIBUTE_CHARS = "!#$&+-.^_`|~"


def headers_of(media: Media, *, hd_voice: bool = False) -> dict[str, str]:
    """
    Give the headers with which a browser may have *media*.

    Args:
        media: Of a file that was saved, the first bytes are read from the disk;
            what went to a `Destination` is unknown here, and so never shown.

        hd_voice: Whether it was asked for by ``hd_voice=True``.

    Returns:
        Content-Type, Content-Length where it is known, Content-Disposition,
        X-Content-Type-Options, Cache-Control and ETag. Every value is ASCII.

    Raises:
        OSError: The file that was saved cannot be read.
    """
    kind = _kind(media)
    headers = {
        "Content-Type": kind or _UNKNOWN,
        "Content-Disposition": _disposition(_name(media, kind), shown=kind is not None),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": _CACHE_CONTROL,
        "ETag": etag_of(media.media_id, hd_voice=hd_voice),
    }
    size = _size(media)
    return headers if size is None else {**headers, "Content-Length": str(size)}


def unchanged_headers(etag: str) -> dict[str, str]:
    """Give the headers of a reply that says: what you have is still right."""
    return {"ETag": etag, "Cache-Control": _CACHE_CONTROL}


def etag_of(media_id: str, *, hd_voice: bool = False) -> str:
    """Name a media for caches: media never change, so its id is enough."""
    asked = f"{media_id}\n{hd_voice:d}".encode(errors="surrogatepass")
    return f'"{hashlib.sha256(asked).hexdigest()[:32]}"'


def status_of(error: Exception) -> tuple[int, dict[str, str]]:
    """
    Give the HTTP status of a failure, and the headers that belong to it.

    Returns:
        The status, and Retry-After in whole seconds where waiting helps. From 500
        on a browser is not to be told more than that; see `detail_of`.
    """
    status = _status(error)
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        return status, {"Retry-After": str(math.ceil(_wait(error)))}
    return status, {}


def detail_of(error: Exception) -> str:
    """Say what a browser may know: of failures that are not its own, no details."""
    status = _status(error)
    return str(error) if status < _OURS else HTTPStatus(status).phrase


def _status(error: Exception) -> int:
    for cls in type(error).__mro__:
        if cls in _STATUSES:
            return _STATUSES[cls]
    return _FAILED_BEHIND_US


def _wait(error: Exception) -> float:
    if isinstance(error, QuotaExceeded):
        return _until_midnight(datetime.now(UTC))
    said = error.retry_after if isinstance(error, (RateLimited, ServerBusy)) else None
    return _SOON if said is None else said


def _until_midnight(now: datetime) -> float:
    there = now.astimezone(_CHINA)
    today = there.replace(hour=0, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1) - there).total_seconds()


def _kind(media: Media) -> str | None:
    if isinstance(media, MediaStream):
        return media.kind
    kind = kind_of(_first(media))
    return None if kind is None else kind.content_type


def _first(media: MediaContent | SavedMedia) -> bytes:
    if isinstance(media, MediaContent):
        return media.content[:ENOUGH]
    if media.path is None:
        return b""
    with media.path.open("rb") as file:
        return file.read(ENOUGH)


def _size(media: Media) -> int | None:
    return len(media.content) if isinstance(media, MediaContent) else media.size


def _name(media: Media, kind: str | None) -> str:
    """Call it what WeChat calls it, or else by its id."""
    named = safe_name(media.filename or "")
    return named or saved_name(
        media.media_id, filename=None, content_type=kind, first=b""
    )


def _disposition(name: str, *, shown: bool) -> str:
    """
    Name a file for old and new browsers.

    https://www.rfc-editor.org/rfc/rfc6266#appendix-D
    """
    disposition = "inline" if shown else "attachment"
    plain = _NOT_PLAIN.sub("_", name)
    value = f'{disposition}; filename="{plain}"'
    if plain == name:
        return value
    return f"{value}; filename*=UTF-8''{quote(name, safe=_ATTRIBUTE_CHARS)}"
