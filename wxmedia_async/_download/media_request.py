from __future__ import annotations

from typing import Any

import attrs

from .._events import Operation, Subject
from .._session.transfer import Exchange
from .._wire.ranges import ByteRange


def _check_media_id(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"media_id must be a str, not {type(value).__name__}")
    if not value:
        raise ValueError("media_id must not be empty")
    value.encode()  # a lone surrogate cannot be sent; the error is a ValueError


def _check_cap(_: object, __: object, value: Any) -> None:
    if not isinstance(value, int):
        raise TypeError(f"max_bytes must be an int, not {type(value).__name__}")
    if value < 0:
        raise ValueError("max_bytes must not be negative")


@attrs.frozen
class MediaRequest:
    """Which media, and how much of it at most."""

    media_id: str = attrs.field(validator=_check_media_id)
    max_bytes: int = attrs.field(validator=_check_cap)
    hd_voice: bool = False

    def subject(self, operation: Operation) -> Subject:
        """Tell what the transfer of it is about, if nothing of a user's has part in it."""
        return Subject(operation, self.media_id, only_ours=True)

    def exchange(self, part: ByteRange | None = None) -> Exchange:
        """Ask for it, or for a part of it."""
        # https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/kf-mgnt/kf-message/getTempMedia.html
        path = "/cgi-bin/media/get/jssdk" if self.hd_voice else "/cgi-bin/media/get"
        return Exchange(
            method="GET",
            path=path,
            params={"media_id": self.media_id},
            headers={} if part is None else {"Range": part.header},
        )
