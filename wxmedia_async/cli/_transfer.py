"""One batch of the command line, from its credentials to its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import TypeAlias

import attrs
from rich.filesize import decimal

from .. import (
    Download,
    FileUploadCache,
    MediaClient,
    Outcome,
    Progress,
    RetryPolicy,
    SavedMedia,
    UploadedMedia,
)
from . import _lines
from ._credentials import account_from, token_from
from ._given import STDIN, given
from ._interrupt import interruptible
from ._lines import AnyOutcome
from ._options import PLATFORMS, Common
from ._screen import PlainScreen, Screen, has_room, open_screen
from ._streams import descriptor_of
from ._tally import Tally

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
class Wanted:
    """What the options of downloads alone say."""

    to: Path
    overwrite: bool
    max_bytes: int | None
    hd_voice: bool

    def item(self, media_id: str) -> str | Download:
        """Return the item for what a line or an argument says."""
        # The bytes that are no text, as file names have them, are none of an id.
        known = media_id.encode("utf-8", "surrogateescape")
        media_id = known.decode("utf-8", "replace").strip()
        return Download(media_id, hd_voice=True) if self.hd_voice else media_id


async def upload_files(
    files: Sequence[str], type: str, cache: Path | None, common: Common
) -> int:
    """Upload *files*, and return the exit code."""
    async with aclosing(given(files, descriptor_of(sys.stdin), Path)) as sources:
        return await _transfer(
            partial(_client, common, cache),
            common,
            None if STDIN in files else len(files),
            lambda client, progress: client.upload_many(
                sources, type, progress=progress, manifest=common.manifest
            ),
        )


async def download_media(ids: Sequence[str], wanted: Wanted, common: Common) -> int:
    """Download media, and return the exit code."""
    async with aclosing(given(ids, descriptor_of(sys.stdin), wanted.item)) as media_ids:
        return await _transfer(
            partial(_client, common),
            common,
            None if STDIN in ids else len(ids),
            lambda client, progress: client.download_many(
                media_ids,
                wanted.to,
                overwrite=wanted.overwrite,
                max_bytes=wanted.max_bytes,
                progress=progress,
                manifest=common.manifest,
            ),
        )


async def _transfer(
    make_client: Callable[[], MediaClient],
    common: Common,
    files: int | None,
    batch: OpenBatch,
) -> int:
    try:
        client = make_client()
    # Credentials, options, or what the environment says of proxies and certificates.
    except (OSError, ValueError) as error:
        PlainScreen().complain(_lines.reason(error))
        return 2
    tally = Tally(files)
    line = line_format(json=common.json)
    with open_screen(tally, quiet=common.quiet) as screen:
        code = await interruptible(partial(_run, client, batch, tally, screen, line))
    if not common.quiet:
        _sum_up(code, tally, common.manifest)
    return code


def _client(common: Common, cache: Path | None = None) -> MediaClient:
    platform = PLATFORMS[common.platform]
    return MediaClient(
        token_from(os.environ, platform),
        platform=platform,
        base_url=common.base_url,
        max_concurrency=common.concurrency,
        rate=common.rate,
        timeout=common.timeout,
        deadline=common.deadline,
        retry=RetryPolicy(attempts=common.retries + 1),
        upload_cache=None if cache is None else FileUploadCache(cache),
        account=None if cache is None else account_from(os.environ),
    )


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
        # Standard input cannot be read.
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
            await has_room(sys.stdout)
            screen.say(text)
        if not outcome.ok:
            await has_room(sys.stderr)
            screen.complain(_lines.failure(outcome))


def line_format(*, json: bool) -> Callable[[AnyOutcome], str | None]:
    """Choose how outcomes are written to standard output."""
    if json:
        return _lines.as_json
    if sys.stdout.isatty() and sys.stderr.isatty():
        return _lines.success_as_text
    return _lines.as_text


def _sum_up(code: int, tally: Tally, manifest: Path | None) -> None:
    if code > 2:
        PlainScreen().complain(_interrupted(tally, manifest))
    elif sys.stderr.isatty():
        PlainScreen().complain(_summary(tally))


def _summary(tally: Tally) -> str:
    return (
        f"{tally.done} done, {tally.failed} failed, {tally.skipped} skipped, "
        f"{decimal(tally.moved)} in {tally.elapsed:.1f} s"
    )


def _interrupted(tally: Tally, manifest: Path | None) -> str:
    left = "" if tally.files is None else f", {tally.files - tally.settled} left"
    advice = "" if manifest is None else "; the same command carries on"
    return f"interrupted: {_summary(tally)}{left}{advice}"
