"""One batch of the command line, from its credentials to its exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from rich.filesize import decimal

from .. import FileUploadCache, MediaClient, RetryPolicy, TokenStore
from . import _lines
from ._credentials import account_from, token_from
from ._given import STDIN, given
from ._interrupt import interruptible
from ._lines import AnyOutcome
from ._options import PLATFORMS, Common
from ._screen import PlainScreen, Screen, has_room, open_screen
from ._streams import descriptor_of
from ._tally import Tally
from ._work import Outcomes, Work

Form: TypeAlias = Literal["json", "text", "success"]

LINES: dict[Form, Callable[[AnyOutcome], str | None]] = {
    "json": _lines.as_json,
    "text": _lines.as_text,
    "success": _lines.success_as_text,
}
"""How an outcome is written to standard output."""


async def transfer(names: Sequence[str], work: Work, common: Common) -> int:
    """Do *work* for all that is named, and return the exit code."""
    try:
        client = client_of(common, work)
    # Credentials, options, or what the environment says of proxies and certificates.
    except (OSError, ValueError) as error:
        PlainScreen().complain(_lines.reason(error))
        return 2
    tally = Tally(None if STDIN in names else len(names))
    form = form_for(json=common.json)
    with open_screen(tally, quiet=common.quiet) as screen:
        if common.workers == 1:
            run = partial(
                _run, client, work, names, common.manifest, tally, screen, form
            )
        else:
            run = partial(_share, work, names, common, tally, screen, form)
        code = await interruptible(run)
    if not common.quiet:
        _sum_up(code, tally, common.manifest)
    return code


def client_of(
    common: Common, work: Work, store: TokenStore | None = None
) -> MediaClient:
    """
    Make the client of a command.

    Args:
        store: Shares the token among several.

    Raises:
        ValueError: Credentials are missing, or the environment cannot be obeyed.
    """
    platform = PLATFORMS[common.platform]
    return MediaClient(
        token_from(os.environ, platform, store),
        platform=platform,
        base_url=common.base_url,
        max_concurrency=common.concurrency,
        rate=common.rate,
        timeout=common.timeout,
        deadline=common.deadline,
        retry=RetryPolicy(attempts=common.retries + 1),
        upload_cache=None if work.cache is None else FileUploadCache(work.cache),
        account=None if work.cache is None else account_from(os.environ),
    )


async def _run(
    client: MediaClient,
    work: Work,
    names: Sequence[str],
    manifest: Path | None,
    tally: Tally,
    screen: Screen,
    form: Form,
) -> int:
    async with client, AsyncExitStack() as stack:
        items = given(names, descriptor_of(sys.stdin), work.item)
        await stack.enter_async_context(aclosing(items))
        batch = work.begin(client, items, manifest, tally.note)
        try:
            outcomes = await stack.enter_async_context(batch)
        # The manifest cannot be opened, or is something else.
        except (OSError, ValueError) as error:
            screen.complain(_lines.described(error))
            return 2
        try:
            await _report(outcomes, tally, screen, form)
        # Standard input cannot be read.
        except OSError as error:
            screen.complain(_lines.described(error))
            return 1
    return 1 if tally.failed else 0


async def _share(
    work: Work,
    names: Sequence[str],
    common: Common,
    tally: Tally,
    screen: Screen,
    form: Form,
) -> int:
    # Few want several processes, and this one is to be there soon.
    from ._crew import share

    async with aclosing(given(names, descriptor_of(sys.stdin), str)) as items:
        return await share(items, work, common, tally, screen, form)


async def _report(
    outcomes: Outcomes,
    tally: Tally,
    screen: Screen,
    form: Form,
) -> None:
    line = LINES[form]
    async for outcome in outcomes:
        tally.count(outcome)
        if (text := line(outcome)) is not None:
            await has_room(sys.stdout)
            screen.say(text)
        if not outcome.ok:
            await has_room(sys.stderr)
            screen.complain(_lines.failure(outcome))


def form_for(*, json: bool) -> Form:
    """Choose how outcomes are written to standard output."""
    if json:
        return "json"
    return "success" if sys.stdout.isatty() and sys.stderr.isatty() else "text"


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
