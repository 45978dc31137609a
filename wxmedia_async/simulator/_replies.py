"""How the service answers, in both of its dialects."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import attrs

from .._platforms import Platform
from ._media import StoredMedia
from ._requests import Message

TEXTS: Mapping[int, str] = {
    -1: "system error",
    40001: "invalid credential, access_token is invalid or not latest",
    40002: "invalid grant_type",
    40004: "invalid media type",
    40005: "invalid file type",
    40006: "invalid file size",
    40007: "invalid media_id",
    40013: "invalid appid",
    40014: "invalid access_token",
    40113: "unsupported file type",
    40125: "invalid appsecret",
    40164: "invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1, not in whitelist",
    41001: "access_token missing",
    41002: "appid missing",
    41004: "appsecret missing",
    41005: "media data missing",
    41006: "media_id missing",
    42001: "access_token expired",
    44001: "empty media data",
    45001: "media size out of limit",
    45002: "content size out of limit",
    45009: "reach max api daily quota limit",
    45011: "api minute-quota reach limit, please retry next minute",
    45033: "api concurrent out of limit",
    48001: "api unauthorized",
    830002: "file too large, use Range",
}

_CONTENT_TYPES: Mapping[str, str] = {
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".png": "image/png",
    ".gif": "image/gif",
    ".bmp": "image/bmp",
    ".amr": "audio/amr",
    ".mp3": "audio/mp3",
    ".mp4": "video/mp4",
}

_UNQUOTABLE = re.compile(r'["\\\x00-\x1f\x7f]')


@attrs.frozen
class Answer:
    """
    A reply, with the bytes of its body still to come.

    Attributes:
        status: The HTTP status.

        headers: All but the length.

        length: Length of the body in bytes.

        pieces: The body; none for an answer to HEAD.
    """

    status: int
    headers: tuple[tuple[str, str | bytes], ...]
    length: int
    pieces: Iterable[bytes] = attrs.field(repr=False)

    @property
    def start(self) -> Message:
        """The message that begins it."""
        headers = [*self.headers, ("content-length", str(self.length))]
        return {
            "type": "http.response.start",
            "status": self.status,
            "headers": [(name.encode(), _raw(value)) for name, value in headers],
        }


def _raw(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")


def document(value: Mapping[str, Any]) -> Answer:
    """JSON, under the content type that real replies have."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return Answer(200, (("content-type", "text/plain"),), len(body), (body,))


def failure(code: int, *, wecom: bool) -> Answer:
    """An error: status 200, and an errmsg that nobody should match."""
    text = TEXTS.get(code, "error")
    if wecom:
        hint = secrets.randbelow(10**12)
        text += (
            f", hint: [{hint}], from ip: 127.0.0.1, more info at"
            f" https://open.work.weixin.qq.com/devtool/query?e={code}"
        )
    else:
        parts = (secrets.token_hex(4) for _ in range(3))
        text += f" rid: {'-'.join(parts)}"
    return document({"errcode": code, "errmsg": text})


def success(value: Mapping[str, Any], *, wecom: bool) -> Answer:
    """A success, in which WeCom says so."""
    return document({"errcode": 0, "errmsg": "ok", **value} if wecom else value)


def uploaded(media_id: str, stored: StoredMedia, *, wecom: bool) -> Answer:
    """What an upload is answered with."""
    if wecom:
        created_at: int | str = str(int(stored.created_at))
        extra: Mapping[str, Any] = {}
    else:
        created_at, extra = int(stored.created_at), {"item": []}
    name = "thumb_media_id" if stored.type == "thumb" and not wecom else "media_id"
    value = {"type": stored.type, name: media_id, "created_at": created_at, **extra}
    return success(value, wecom=wecom)


def status_page(status: int) -> Answer:
    """What a gateway in front of the service says."""
    body = f"<html><body><h1>{status}</h1></body></html>".encode()
    return Answer(status, (("content-type", "text/html"),), len(body), (body,))


def media(
    media_id: str, stored: StoredMedia, platform: Platform, *, hd_voice: bool
) -> Answer:
    """A media, whole."""
    name = stored.filename if platform.wecom else media_id + suffix_of(stored.filename)
    content_type = "voice/speex" if hd_voice else _content_type(stored)
    ranges = (("accept-ranges", "bytes"),) if platform.wecom else ()
    return Answer(
        200,
        (
            *ranges,
            # https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/kf-mgnt/kf-message/getTempMedia.html
            ("connection", "close"),
            ("content-type", content_type),
            ("content-disposition", _disposition(name, wecom=platform.wecom)),
            ("cache-control", "no-cache, must-revalidate"),
        ),
        stored.size,
        stored.pieces(0, stored.size),
    )


def part(whole: Answer, stored: StoredMedia, asked: range) -> Answer:
    """A range of a media, or what is said of one that lies beyond its end."""
    if not asked:
        shown = ("content-range", f"bytes */{stored.size}")
        page = status_page(416)
        return attrs.evolve(page, headers=(*page.headers, shown))
    shown = ("content-range", f"bytes {asked[0]}-{asked[-1]}/{stored.size}")
    return Answer(
        206,
        (*whole.headers, shown),
        len(asked),
        stored.pieces(asked.start, asked.stop),
    )


def linked(stored: StoredMedia) -> Answer:
    """A video, where a link leads to it."""
    headers = (("content-type", "video/mp4"),)
    return Answer(200, headers, stored.size, stored.pieces(0, stored.size))


def suffix_of(filename: str) -> str:
    """The part of a name that tells the kind, with its dot."""
    _, dot, suffix = filename.rpartition(".")
    return f".{suffix.lower()}" if dot else ""


def _content_type(stored: StoredMedia) -> str:
    return _CONTENT_TYPES.get(
        suffix_of(stored.filename), stored.content_type or "application/octet-stream"
    )


def _disposition(name: str, *, wecom: bool) -> bytes:
    # What would end the value or the header is left to filename*.
    plain = _UNQUOTABLE.sub("_", name)
    if not wecom:
        return f'attachment; filename="{plain}"'.encode()
    encoded = quote(name, safe="")
    return f"attachment; filename*=utf-8''{encoded}; filename=\"{plain}\"".encode()
