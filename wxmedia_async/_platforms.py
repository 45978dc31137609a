"""The platforms that speak the protocol, as values."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType

import attrs

KIB = 1024
MIB = 1024 * KIB


@attrs.frozen
class Limit:
    """
    What the platform accepts for one type of media.

    Attributes:
        max_bytes: The largest file, in bytes.

        min_bytes: The smallest file, in bytes.

        suffixes: The filename suffixes that fit, each with its dot; the first
            is used where a name lacks one. Empty: every name will do.
    """

    max_bytes: int
    min_bytes: int = 1
    suffixes: tuple[str, ...] = ()


def _read_only(limits: Mapping[str, Limit]) -> Mapping[str, Limit]:
    return MappingProxyType(dict(limits))


@attrs.frozen
class Platform:
    """
    One of WeChat's platforms: where it is, what it accepts, how it answers.

    The documentation contradicts itself about sizes, so the limits are a
    policy that can be changed: ``attrs.evolve(MINI_PROGRAM, limits={})``
    checks nothing and leaves the last word to the server.

    Attributes:
        name: ``mini_program``, ``official_account`` or ``wecom``.

        hosts: Base URLs, tried in order when one cannot be reached.

        limits: Type of media to what is accepted. Empty: nothing is checked.

        max_bytes: The cap of a download where the caller gives none, in bytes.

        wecom: Whether it speaks WeCom's dialect: other errcodes, byte ranges.
    """

    name: str
    hosts: tuple[str, ...]
    limits: Mapping[str, Limit] = attrs.field(converter=_read_only, hash=False)
    max_bytes: int = 64 * MIB
    wecom: bool = False

    def __reduce__(self) -> tuple[object, ...]:
        # A read-only view can be neither pickled nor copied; what it shows can.
        fields = attrs.fields(type(self))
        values = {field.alias: getattr(self, field.name) for field in fields}
        values["limits"] = dict(self.limits)
        return partial(type(self), **values), ()


_IMAGE = Limit(10 * MIB, suffixes=(".jpg", ".jpeg", ".png", ".gif", ".bmp"))

# https://developers.weixin.qq.com/doc/offiaccount/Basic_Information/Interface_field_description.html
_HOSTS = (
    "https://api.weixin.qq.com",
    "https://api2.weixin.qq.com",
    "https://sh.api.weixin.qq.com",
    "https://sz.api.weixin.qq.com",
    "https://hk.api.weixin.qq.com",
)

# https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/kf-mgnt/kf-message/uploadTempMedia.html
MINI_PROGRAM = Platform("mini_program", _HOSTS, {"image": _IMAGE})

# https://developers.weixin.qq.com/doc/offiaccount/Asset_Management/New_temporary_materials.html
OFFICIAL_ACCOUNT = Platform(
    "official_account",
    _HOSTS,
    {
        "image": _IMAGE,
        "voice": Limit(2 * MIB, suffixes=(".amr", ".mp3")),
        "video": Limit(10 * MIB, suffixes=(".mp4",)),
        "thumb": Limit(64 * KIB, suffixes=(".jpg", ".jpeg")),
    },
)

# https://developer.work.weixin.qq.com/document/path/90253
WECOM = Platform(
    "wecom",
    ("https://qyapi.weixin.qq.com",),
    {
        "image": attrs.evolve(_IMAGE, min_bytes=6),
        "voice": Limit(2 * MIB, min_bytes=6, suffixes=(".amr",)),
        "video": Limit(10 * MIB, min_bytes=6, suffixes=(".mp4",)),
        "file": Limit(20 * MIB, min_bytes=6),
    },
    max_bytes=256 * MIB,
    wecom=True,
)
