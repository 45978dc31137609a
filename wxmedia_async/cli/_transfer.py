"""One batch of the command line, from its credentials to its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import attrs
from rich.filesize import decimal

from .._client import MediaClient
from .._models import Outcome, Progress, Rate, SavedMedia, UploadedMedia
from .._platforms import MINI_PROGRAM, OFFICIAL_ACCOUNT, WECOM, Platform
from . import _lines
from ._credentials import token_from
from ._interrupt import interruptible
from ._lines import AnyOutcome
from ._screen import PlainScreen, Screen, open_screen
from ._tally import Tally

PlatformName: TypeAlias = Literal["mini_program", "official_account", "wecom"]

PLATFORMS: dict[PlatformName, Platform] = {
    "mini_program": MINI_PROGRAM,
    "official_account": OFFICIAL_ACCOUNT,
    "wecom": WECOM,
}

Outcomes: TypeAlias = (
    AsyncIterator[Outcome[object, UploadedMedia]]
    | AsyncIterator[Outcome[object, SavedMedia]]
)
OpenBatch: TypeAlias = Callable[
    [MediaClient, Callable[[Progress], None]],
    AbstractAsyncContextManager[Outcomes],
]
"""Begins a batch on a client, and has its progress reported."""


@attrs.frozen(kw_only=True)
class Settings:
    """What the options common to uploads and downloads say."""

    platform: Platform
    base_url: str | None
    concurrency: int
    rate: Rate | None
    manifest: Path | None
    line: Callable[[AnyOutcome], str | None]


async def transfer(settings: Settings, files: int | None, batch: OpenBatch) -> int:
    """Run *batch* of so many *files*, and return the exit code."""
    try:
        client = _client(settings)
    except ValueError as error:
        PlainScreen().complain(str(error))
        return 2
    tally = Tally(files)
    with open_screen(tally) as screen:
        run = partial(_run, client, batch, tally, screen, settings.line)
        code = await interruptible(run)
    if code > 2:
        PlainScreen().complain(_interrupted(tally, settings.manifest))
    elif sys.stderr.isatty():
        PlainScreen().complain(_summary(tally))
    return code


async def _run(
    client: MediaClient,
    batch: OpenBatch,
    tally: Tally,
    screen: Screen,
    line: Callable[[AnyOutcome], str | None],
) -> int:
    async with client, AsyncExitStack() as stack:
        try:
            outcomes = await stack.enter_async_context(batch(client, tally.note))
        # The manifest cannot be opened, or is something else.
        except (OSError, ValueError) as error:
            screen.complain(_lines.described(error))
            return 2
        try:
            await _report(outcomes, tally, screen, line)
        except BrokenPipeError:
            _discard_output()
            return 1
        # Standard input cannot be read, or standard output not be written.
        except OSError as error:
            screen.complain(_lines.described(error))
            return 1
    return 1 if tally.failed else 0


async def _report(
    outcomes: Outcomes,
    tally: Tally,
    screen: Screen,
    line: Callable[[AnyOutcome], str | None],
) -> None:
    async for outcome in outcomes:
        tally.count(outcome)
        if (text := line(outcome)) is not None:
            screen.say(text)
        if not outcome.ok:
            screen.complain(_lines.failure(outcome))


def line_format(*, json: bool) -> Callable[[AnyOutcome], str | None]:
    """Choose how outcomes are written to standard output."""
    if json:
        return _lines.as_json
    if sys.stdout.isatty() and sys.stderr.isatty():
        return _lines.success_as_text
    return _lines.as_text


def _client(settings: Settings) -> MediaClient:
    return MediaClient(
        token_from(os.environ, settings.platform),
        platform=settings.platform,
        base_url=settings.base_url,
        max_concurrency=settings.concurrency,
        rate=settings.rate,
    )


def _summary(tally: Tally) -> str:
    return (
        f"{tally.done} done, {tally.failed} failed, {tally.skipped} skipped, "
        f"{decimal(tally.moved)} in {tally.elapsed:.1f} s"
    )


def _interrupted(tally: Tally, manifest: Path | None) -> str:
    left = "" if tally.files is None else f", {tally.files - tally.settled} left"
    advice = "" if manifest is None else "; the same command carries on"
    return f"interrupted: {_summary(tally)}{left}{advice}"


def _discard_output() -> None:
    """Have the interpreter not stumble over the closed pipe when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
