"""The commands and their options."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import aclosing
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import attrs
from cyclopts import App, CycloptsError, Parameter, Token
from cyclopts.validators import Number

from .._models import Rate
from ._transfer import PLATFORMS, PlatformName, Settings, line_format, transfer

_HELP = """
Upload and download WeChat temporary media, many at a time.

Credentials come from the environment: WXMEDIA_APPID and WXMEDIA_SECRET (in WeCom the
corpid and its secret), or WXMEDIA_TOKEN. Exit codes: 0 all done, 1 some failed, 2
usage, 130 interrupted.
"""

app = App(
    name="wxmedia",
    help=_HELP,
    help_format="markdown",
    version=lambda: version("wxmedia_async"),
    suppress_keyboard_interrupt=False,
)

MediaType: TypeAlias = Literal["image", "voice", "video", "thumb", "file"]
Concurrency: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
Port: TypeAlias = Annotated[int, Parameter(validator=Number(gte=0, lte=65_535))]
Bytes: TypeAlias = Annotated[int, Parameter(validator=Number(gte=1))]
Flag: TypeAlias = Annotated[bool, Parameter(negative="")]


def _rate(_: object, tokens: Sequence[Token]) -> Rate:
    calls, _, per = tokens[0].value.partition("/")
    return Rate(int(calls), float(per or 1))


def _no_option(_: object, media_id: object) -> None:
    if str(media_id).startswith("--"):
        raise ValueError(f"{media_id} is no option")


File: TypeAlias = Annotated[Path, Parameter(required=True)]
MediaId: TypeAlias = Annotated[
    str,
    Parameter(allow_leading_hyphen=True, required=True, validator=_no_option),
]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Common:
    """
    What uploads and downloads have in common.

    Attributes:
        platform: Which of WeChat's platforms.

        base_url: Instead of the platform's hosts: a simulator, a gateway.

        concurrency: Transfers in flight.

        rate: The most calls per time: CALLS/SECONDS, or calls per second.

        manifest: A file that remembers what is finished; run again, the same
            command does only the rest.

        json: Write one JSON object per file.
    """

    platform: PlatformName = "mini_program"
    base_url: str | None = None
    concurrency: Concurrency = 16
    rate: Annotated[
        Rate | None, Parameter(converter=_rate, accepts_keys=False, n_tokens=1)
    ] = None
    manifest: Path | None = None
    json: Flag = False

    def settings(self) -> Settings:
        """Return what they mean."""
        return Settings(
            platform=PLATFORMS[self.platform],
            base_url=self.base_url,
            concurrency=self.concurrency,
            rate=self.rate,
            manifest=self.manifest,
            line=line_format(json=self.json),
        )


_COMMON = Common()


@app.command
async def upload(
    *files: File,
    type: MediaType = "image",
    common: Common = _COMMON,
) -> int:
    """
    Upload files; each gets a media_id, good for three days.

    Args:
        files: The files.

        type: What they are. Not every platform has every type.
    """
    return await transfer(
        common.settings(),
        len(files),
        lambda client, progress: client.upload_many(
            files, type, progress=progress, manifest=common.manifest
        ),
    )


@app.command
async def download(
    *ids: MediaId,
    to: Path,
    overwrite: Flag = False,
    common: Common = _COMMON,
) -> int:
    """
    Download media into a folder, which is made if need be.

    Args:
        ids: The media_ids; a - stands for the lines of standard input.

        to: The folder.

        overwrite: Replace files that exist.
    """
    from ._ids import STDIN, given_ids

    stdin = sys.stdin.fileno() if STDIN in ids else -1
    async with aclosing(given_ids(ids, stdin)) as media_ids:
        return await transfer(
            common.settings(),
            None if STDIN in ids else len(ids),
            lambda client, progress: client.download_many(
                media_ids,
                to,
                overwrite=overwrite,
                progress=progress,
                manifest=common.manifest,
            ),
        )


@app.command
async def simulate(
    *,
    port: Port = 0,
    platform: PlatformName = "official_account",
    max_bytes: Bytes | None = None,
) -> int:
    """
    Serve a simulated WeChat on 127.0.0.1, and print its base URL when it is ready.

    Any appid and secret will do, unless the environment has WXMEDIA_SIM_APPID and
    WXMEDIA_SIM_SECRET.

    Args:
        port: Where to listen; 0 takes a free one.

        platform: Whose rules and dialect.

        max_bytes: The largest file of any type, instead of the platform's limits.
    """
    from ._simulate import serve_until_signal

    return await serve_until_signal(port, PLATFORMS[platform], max_bytes)


@app.command
async def demo(
    *,
    platform: PlatformName = "mini_program",
    concurrency: Concurrency = 16,
    json: Flag = False,
) -> int:
    """
    Upload and download images that are made up, by a simulated WeChat, and compare.

    Args:
        platform: Whose rules and dialect.

        concurrency: Transfers in flight.

        json: Write the figures as one JSON object.
    """
    from ._demo import run_demo

    return await run_demo(PLATFORMS[platform], concurrency, json=json)


def run(arguments: Sequence[str] | None) -> int:
    """Run one command and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code: int | None = app(given, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return 2
    except KeyboardInterrupt:
        return 130
    return code or 0
