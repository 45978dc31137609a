"""
What a reply says: media, a link, an object or an error.

WeChat answers nearly everything with status 200 and a Content-Type that means
nothing, so the bytes decide.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeAlias

import attrs

from .._errors import APIError, ServerBusy, UnexpectedReply
from .._models import LIFETIME, UploadedMedia
from .errcodes import api_error
from .filenames import from_disposition
from .kinds import ENOUGH, kind_of
from .lenient import json_object, plain_text, whole_number
from .redaction import excerpt

MAX_JSON = 64 * 1024
"""The largest body that is taken for JSON, in bytes."""

_TOKEN_LIFETIME = 7200

_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_DISPOSITION = b"content-disposition"

# All that is read of a head; servers send as many more.
_READ = frozenset(
    {
        *(b"content-length", b"content-type", _DISPOSITION, b"content-encoding"),
        *(b"transfer-encoding", b"content-range", b"location"),
        *(b"retry-after", b"date"),
    }
)

Values: TypeAlias = dict[bytes, list[bytes]]

_FIRST_CHAR = re.compile(rb"(?:\xef\xbb\xbf)?\s*(\S)")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_SECONDS = re.compile(rb"[0-9]{1,9}")

_MEDIA_TYPE = re.compile(
    r"(?:image|voice|audio|video)/.+"
    r"|application/(?!(?:.+\+)?(?:json|xml)$|(?:x-)?javascript$).+"
)


def _is_attachment(head: ReplyHead) -> bool:
    kind, _, _ = (head.disposition or b"").partition(b";")
    return kind.strip().lower() == b"attachment"


@attrs.frozen
class ReplyHead:
    """
    What a reply's head says about the body.

    Attributes:
        status: The HTTP status.

        content_type: As it was sent, or None.

        disposition: The raw ``Content-Disposition``, or None.

        length: Content-Length in bytes, or None.

        chunked: Whether the framing is chunked.

        encoding: Content-Encoding in lower case; None where there is none.

        location: Where a redirect leads, or None.

        content_range: Which part of the media this is, or None.

        retry_after: Seconds after which a busy service wants to be asked again, or
            None.

        attachment: Whether the body is a media, whatever else it looks like.
    """

    status: int
    content_type: str | None
    disposition: bytes | None
    length: int | None
    chunked: bool
    encoding: str | None
    location: str | None = attrs.field(default=None, repr=False)
    content_range: str | None = None
    retry_after: float | None = None
    attachment: bool = attrs.field(
        init=False, default=attrs.Factory(_is_attachment, takes_self=True)
    )

    @property
    def verified(self) -> bool:
        """Whether the framing shows where the body ends."""
        return self.length is not None or self.chunked


@attrs.frozen
class Media:
    """
    The body is the media.

    Attributes:
        content_type: As WeChat sent it, or None.

        filename: The name that WeChat sent, made safe, or None.
    """

    content_type: str | None
    filename: str | None


@attrs.frozen
class VideoLink:
    """The media is elsewhere, at *url*, which holds a key of its own."""

    url: str = attrs.field(repr=False)


def parse_head(status: int, headers: Sequence[tuple[bytes, bytes]]) -> ReplyHead:
    """
    Read a reply's head.

    Raises:
        UnexpectedReply: The head does not say for certain where the body ends:
            several lengths, an invalid one, or one beside another framing.
    """
    values: Values = {}
    for name, value in headers:
        if (lower := name.lower()) in _READ:
            values.setdefault(lower, []).append(value.strip())
    length = _length(status, values)
    chunked = b"transfer-encoding" in values and _is_chunked(status, values)
    if chunked and length is not None:
        raise UnexpectedReply(
            "the reply has a Content-Length and chunked framing", status=status
        )
    return ReplyHead(
        status=status,
        content_type=_first(values, b"content-type"),
        disposition=values[_DISPOSITION][0] if _DISPOSITION in values else None,
        length=length,
        chunked=chunked,
        encoding=_encoding(values) if b"content-encoding" in values else None,
        location=_location(values) if status in _REDIRECTS else None,
        content_range=_first(values, b"content-range"),
        retry_after=_retry_after(values) if b"retry-after" in values else None,
    )


def check_status(
    head: ReplyHead, body: bytes, *, secrets: Collection[str] = ()
) -> None:
    """
    Let the statuses 200 and 206 pass.

    Args:
        head: The reply's head.

        body: The body, or its beginning, to be quoted.

        secrets: What must not be quoted.

    Raises:
        ServerBusy: 429 or 5xx.
        APIError: 412, which WeChat answers to a chunked request.
        UnexpectedReply: Everything else.
    """
    status = head.status
    if status in (200, 206):
        return
    text = excerpt(body, secrets)
    if status == 429 or 500 <= status < 600:
        busy = ServerBusy(text, status=status)
        busy.retry_after = head.retry_after
        raise busy
    if status == 412:
        raise APIError(text, status=status)
    raise UnexpectedReply(f"HTTP {status}", status=status, excerpt=text)


def enough(head: ReplyHead, first: bytes) -> bool:
    """
    Whether *first* is enough of an unfinished body for `media_or_link`.

    What may be an error or a link is needed whole, unless it is too large for
    either; of anything else, as many bytes as tell its kind. An attachment
    needs none where its name has a suffix.
    """
    if head.encoding or _is_named_attachment(head):
        return True
    if not head.attachment and _first_char(first) in (b"", b"{"):
        return max(head.length or 0, len(first)) > MAX_JSON
    return len(first) >= ENOUGH


def media_or_link(
    head: ReplyHead,
    first: bytes,
    *,
    complete: bool,
    wecom: bool,
    secrets: Collection[str] = (),
) -> Media | VideoLink:
    """
    Tell what the reply to a download is.

    Args:
        head: The reply's head.

        first: The beginning of the body, `enough` of it.

        complete: Whether it is the whole body.

        wecom: Whether the errcodes are WeCom's.

        secrets: What no error may show.

    Raises:
        APIError: Or the subclass that the errcode or the status asks for.
        UnexpectedReply: Neither media, nor a link, nor a documented error.
    """
    check_status(head, first, secrets=secrets)
    check_encoding(head)
    if head.attachment:
        return media_of(head)
    if _first_char(first) != b"{":
        return _media_by_kind(head, first, secrets)
    reply = json_object(first, MAX_JSON) if complete else None
    if reply is None:
        return _media_unless_error(head, first, secrets)
    link = _link(head, first, reply, wecom, secrets)
    return link or _media_by_kind(head, first, secrets)


def parse_object(
    head: ReplyHead,
    body: bytes,
    *,
    wecom: bool,
    token_call: bool = False,
    secrets: Collection[str] = (),
    limit: int = MAX_JSON,
) -> dict[str, object]:
    """
    Read a reply that must be a JSON object without an error in it.

    Args:
        head: The reply's head.

        body: The whole body.

        wecom: Whether the errcodes are WeCom's.

        token_call: Whether a token was asked for.

        secrets: What no error may show.

        limit: The largest body that is parsed, in bytes.

    Raises:
        APIError: Or the subclass that the errcode or the status asks for.
        UnexpectedReply: No such object.
    """
    check_status(head, body, secrets=secrets)
    check_encoding(head)
    reply = json_object(body, limit)
    if reply is None:
        raise _unexpected("the reply is not a JSON object", head, body, secrets)
    code = whole_number(reply.get("errcode", 0))
    if code is None:
        raise _unexpected("the reply's errcode is not a number", head, body, secrets)
    if code:
        raise api_error(
            code,
            reply.get("errmsg"),
            wecom=wecom,
            token_call=token_call,
            secrets=secrets,
        )
    return reply


def uploaded(reply: Mapping[str, object], *, type: str, now: datetime) -> UploadedMedia:
    """
    Read the reply to an upload.

    Args:
        reply: The object that `parse_object` gave.

        type: The type that was asked for, where the reply names none.

        now: The time of the upload, where the reply names none.

    Raises:
        UnexpectedReply: There is no media_id in it.
    """
    # type=thumb is answered with thumb_media_id alone (seen).
    names = (reply.get("media_id"), reply.get("thumb_media_id"))
    media_id = next(filter(None, map(plain_text, names)), None)
    if media_id is None:
        raise UnexpectedReply("the reply to an upload has no media_id", status=200)
    seconds = whole_number(reply.get("created_at")) or 0
    created_at = datetime.fromtimestamp(seconds, UTC) if seconds > 0 else now
    return UploadedMedia(
        media_id=media_id,
        type=plain_text(reply.get("type")) or type,
        created_at=created_at,
        expires_at=created_at + LIFETIME,
    )


def access_token(reply: Mapping[str, object]) -> tuple[str, float]:
    """
    Read the reply to a request for a token.

    Returns:
        The token, and the seconds that it will live.

    Raises:
        UnexpectedReply: There is no usable token in it. The error does not
            quote the reply.
    """
    token = plain_text(reply.get("access_token"))
    if token is None or not token.isascii():
        raise UnexpectedReply("the reply has no usable access_token", status=200)
    seconds = whole_number(reply.get("expires_in"))
    if seconds is None:
        return token, float(_TOKEN_LIFETIME)
    if seconds <= 0:
        raise UnexpectedReply("the reply's access_token has ended already", status=200)
    return token, float(seconds)


def _first(values: Values, name: bytes) -> str | None:
    return values[name][0].decode("latin-1") or None if name in values else None


def _encoding(values: Values) -> str | None:
    encoding = b", ".join(values[b"content-encoding"]).decode("latin-1").lower()
    return None if encoding in ("", "identity") else encoding


def _retry_after(values: Values) -> float | None:
    """Read seconds, or a date, which is compared with the reply's own."""
    # https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3
    value = values[b"retry-after"][0]
    if _SECONDS.fullmatch(value):
        return float(value)
    until, now = _date(value), _date(values.get(b"date", [b""])[0])
    if until is None or now is None:
        return None
    return max((until - now).total_seconds(), 0.0)


def _date(value: bytes) -> datetime | None:
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
    except (ValueError, OverflowError):  # a year, or a zone, of many digits
        return None
    # "-0000" gives one without a zone; HTTP knows no other than UTC.
    return date.replace(tzinfo=date.tzinfo or UTC)


def _location(values: Values) -> str | None:
    if b"location" not in values:
        return None
    value = values[b"location"][0]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _length(status: int, values: Values) -> int | None:
    lengths = values.get(b"content-length")
    if lengths is None:
        return None
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise UnexpectedReply(
            "the reply's Content-Length is not one number", status=status
        )
    return int(lengths[0])


def _is_chunked(status: int, values: Values) -> bool:
    coding = b", ".join(values[b"transfer-encoding"]).lower()
    if coding not in (b"", b"identity", b"chunked"):
        raise UnexpectedReply(
            "the reply has an unknown Transfer-Encoding", status=status
        )
    return coding == b"chunked"


def check_encoding(head: ReplyHead) -> None:
    """Raise UnexpectedReply for a body that is encoded."""
    # We ask for identity: an encoding is a mistake, or a bomb.
    if head.encoding:
        text = f"a body encoded as {head.encoding[:40]!r}"
        raise UnexpectedReply(text, status=head.status)


def _is_named_attachment(head: ReplyHead) -> bool:
    return head.attachment and "." in (from_disposition(head.disposition) or "")


def _first_char(first: bytes) -> bytes:
    match = _FIRST_CHAR.match(first)
    return match[1] if match else b""


def media_of(head: ReplyHead) -> Media:
    """Return what the head of a media says."""
    return Media(head.content_type, from_disposition(head.disposition))


def _media_by_kind(head: ReplyHead, first: bytes, secrets: Collection[str]) -> Media:
    media_type = (head.content_type or "").partition(";")[0].strip().lower()
    if first and (kind_of(first) or _MEDIA_TYPE.fullmatch(media_type)):
        return media_of(head)
    raise _unexpected(
        "the reply is neither media nor a documented error", head, first, secrets
    )


def _media_unless_error(
    head: ReplyHead, first: bytes, secrets: Collection[str]
) -> Media:
    # An error may be broken, and its Content-Type that of an image: it must
    # not become the user's file.
    if b"errcode" in first:
        raise _unexpected(
            "the reply looks like an error, but is not valid JSON", head, first, secrets
        )
    return _media_by_kind(head, first, secrets)


def _link(
    head: ReplyHead,
    first: bytes,
    reply: dict[str, object],
    wecom: bool,
    secrets: Collection[str],
) -> VideoLink | None:
    code = whole_number(reply.get("errcode", 0))
    if code:
        raise api_error(code, reply.get("errmsg"), wecom=wecom, secrets=secrets)
    url = plain_text(reply.get("video_url"))
    if code == 0 and url:
        return VideoLink(url)
    if "errcode" in reply or "video_url" in reply:
        raise _unexpected(
            "the reply has neither a link nor an error", head, first, secrets
        )
    return None


def _unexpected(
    message: str, head: ReplyHead, body: bytes, secrets: Collection[str]
) -> UnexpectedReply:
    text = excerpt(body, secrets)
    return UnexpectedReply(message, status=head.status, excerpt=text)
