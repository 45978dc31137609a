"""The commands. What each of them needs is imported when it runs, for the help's sake."""

from __future__ import annotations

import sys
from collections.abc import Coroutine, Sequence
from pathlib import Path

from cyclopts import App, CycloptsError

from ._literal import marked
from ._options import (
    PLATFORMS,
    Bytes,
    Common,
    Concurrency,
    File,
    Flag,
    MediaId,
    MediaType,
    PlatformName,
    Port,
)

# A paragraph is a line here: it is wrapped where it is shown.
_HELP = (
    "Upload and download WeChat temporary media, many at a time.\n\n"
    "Credentials come from the environment: WXMEDIA_APPID and WXMEDIA_SECRET (in"
    " WeCom the corpid and its secret), or WXMEDIA_TOKEN. Exit codes: 0 all done,"
    " 1 some failed or was not written, 2 usage, 130 interrupted."
)


def _version() -> str:
    from importlib.metadata import version

    return version("wxmedia_async")


app = App(
    name="wxmedia",
    help=_HELP,
    # Markdown would load a parser of it.
    help_format="plaintext",
    version=_version,
    suppress_keyboard_interrupt=False,
)

_COMMON = Common()


@app.command
def upload(
    *files: File,
    type: MediaType = "image",
    cache: Path | None = None,
    common: Common = _COMMON,
) -> int:
    """
    Upload files; each gets a media_id, good for three days.

    Args:
        files: The files. A - stands for names on standard input, one in each line.
            After -- everything is a file.

        type: What the files are. Not every platform takes every type.

        cache: A file that remembers uploads. The same bytes are not sent again while
            WeChat keeps them.
    """
    from ._transfer import transfer
    from ._work import Uploads

    return _finished(transfer(files, Uploads(type=type, cache=cache), common))


@app.command
def download(
    *ids: MediaId,
    to: Path,
    overwrite: Flag = False,
    max_bytes: Bytes | None = None,
    hd_voice: Flag = False,
    common: Common = _COMMON,
) -> int:
    """
    Download media into a folder, which is made if there is none.

    Args:
        ids: The media_ids. A - stands for ids on standard input, one in each line.
            After -- everything is a media_id.

        to: The folder.

        overwrite: Replace files that exist.

        max_bytes: Refuse media that have more bytes, instead of the platform's cap.

        hd_voice: Ask for voices in high quality (speex).
    """
    from ._transfer import transfer
    from ._work import Downloads

    work = Downloads(to=to, overwrite=overwrite, max_bytes=max_bytes, hd_voice=hd_voice)
    return _finished(transfer(ids, work, common))


@app.command
def simulate(
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
        port: The port to listen on; 0 takes a free one.

        platform: Which platform to behave like.

        max_bytes: The largest file of any type, instead of the platform's limits.
    """
    from ._simulate import serve_until_signal

    return _finished(serve_until_signal(port, PLATFORMS[platform], max_bytes))


@app.command
def demo(
    *,
    platform: PlatformName = "mini_program",
    concurrency: Concurrency = 16,
    json: Flag = False,
) -> int:
    """
    Upload made-up images to a simulated WeChat, download them, and compare.

    Args:
        platform: Which platform to behave like.

        concurrency: Transfers in flight.

        json: Write the figures as one JSON object.
    """
    from ._demo import run_demo

    return _finished(run_demo(PLATFORMS[platform], concurrency, json=json))


def _finished(command: Coroutine[object, object, int]) -> int:
    import asyncio

    return asyncio.run(command)


def run(arguments: Sequence[str] | None) -> int:
    """Run one command and return its exit code."""
    given = marked(sys.argv[1:] if arguments is None else arguments)
    try:
        code: int | None = app(given, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        return 2
    except KeyboardInterrupt:
        return 130
    return code or 0
