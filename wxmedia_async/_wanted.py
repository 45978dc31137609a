from __future__ import annotations

import attrs
from attrs.validators import and_, ge, instance_of, min_len

from ._transfer import Exchange
from ._wire.ranges import ByteRange


def _encodable(_: object, __: object, value: str) -> None:
    """A lone surrogate cannot be sent; the error is a ValueError."""
    value.encode()


@attrs.frozen
class Wanted:
    """Which media, and how much of it at most."""

    media_id: str = attrs.field(
        validator=and_(instance_of(str), min_len(1), _encodable)
    )
    max_bytes: int = attrs.field(validator=and_(instance_of(int), ge(0)))
    hd_voice: bool = False

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
