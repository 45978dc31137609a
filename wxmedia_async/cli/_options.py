"""What the options of the commands are called, and what they take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import attrs
from cyclopts import CycloptsError, Parameter, Token
from cyclopts.validators import Number

from .. import MINI_PROGRAM, OFFICIAL_ACCOUNT, WECOM, Platform, Rate

PlatformName: TypeAlias = Literal["mini_program", "official_account", "wecom"]

PLATFORMS: dict[PlatformName, Platform] = {
    "mini_program": MINI_PROGRAM,
    "official_account": OFFICIAL_ACCOUNT,
    "wecom": WECOM,
}

MediaType: TypeAlias = Literal["image", "voice", "video", "thumb", "file"]
Concurrency: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
Workers: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
Port: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))]
Bytes: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
Seconds: TypeAlias = Annotated[float, Parameter(validator=Number(gt=0))]
Tries: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0))]
Flag: TypeAlias = Annotated[bool, Parameter(negative="")]


def _rate(_: object, tokens: Sequence[Token]) -> Rate:
    calls, _, per = tokens[0].value.partition("/")
    return Rate(int(calls), float(per or 1))


# Not a ValueError: cyclopts would show all the other files with it.
def _no_long_option(_: object, media_id: object) -> None:
    # WeChat makes ids that begin with one hyphen.
    if str(media_id).startswith("--"):
        raise CycloptsError(
            f"{media_id} is not an option. If it is a media_id, write -- before it."
        )


def _no_option(_: object, file: object) -> None:
    if str(file).startswith("-") and file != "-":
        raise CycloptsError(
            f"{file} is not an option. If it is a file, write -- before it."
        )


Calls: TypeAlias = Annotated[
    Rate, Parameter(converter=_rate, accepts_keys=False, n_tokens=1)
]
File: TypeAlias = Annotated[
    str, Parameter(allow_leading_hyphen=True, required=True, validator=_no_option)
]
MediaId: TypeAlias = Annotated[
    str, Parameter(allow_leading_hyphen=True, required=True, validator=_no_long_option)
]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Common:
    """
    What uploads and downloads have in common.

    Attributes:
        platform: Which of WeChat's platforms.

        base_url: The address to call instead of WeChat: of a simulator or a gateway.

        concurrency: How many files are on their way at a time.

        workers: How many processes share the files; concurrency and rate are those of
            all of them together.

        rate: The most calls that start within some time: 600/60 is 600 calls in any
            60 seconds, 10 is ten a second.

        timeout: The most seconds for each single connect, read and write.

        deadline: The most seconds for one file, with all its tries.

        retries: How often a file that failed is tried again.

        manifest: A file that remembers what is finished. The same command, run again,
            does only the rest.

        json: Write one JSON object for each file to standard output.

        quiet: Write results and failures only, without the live display.
    """

    platform: PlatformName = "mini_program"
    base_url: str | None = None
    concurrency: Concurrency = 16
    workers: Workers = 1
    rate: Calls | None = None
    timeout: Seconds = 30.0
    deadline: Seconds = 300.0
    retries: Tries = 3
    manifest: Path | None = None
    json: Flag = False
    quiet: Flag = False
