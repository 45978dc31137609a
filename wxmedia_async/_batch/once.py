"""Each item of a batch with a manifest is done once, however often it comes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar, cast

import anyio
import attrs

from .._download.save import Publishing
from .._errors import MediaError
from .._files.part import Part
from .._models import SavedMedia
from . import records
from .manifest import FileManifest
from .order import Order

Result = TypeVar("Result")

logger = logging.getLogger("wxmedia_async")


@attrs.frozen
class Done(Generic[Result]):
    """What became of an item: a result or an error, and whether it was known."""

    result: Result | None = None
    error: BaseException | None = None
    skipped: bool = False


@attrs.define(eq=False)
class _UnderWay(Generic[Result]):
    over: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    result: Result | None = attrs.field(default=None, init=False)


class Once(Generic[Result]):
    """
    Looks an item up in a manifest, or waits for its equal, or has it done.

    A manifest that cannot be written takes no result from anybody: the batch
    ends by that failure, with what is under way.
    """

    def __init__(
        self, manifest: FileManifest, end_by: Callable[[Exception], None]
    ) -> None:
        self._manifest = manifest
        self._end_by = end_by
        self._broken = False
        self._under_way: dict[str, _UnderWay[Result]] = {}

    async def do(
        self, order: Order, run: Callable[[Publishing], Awaitable[Result]]
    ) -> Done[Result]:
        """Return what is known of an item by now, or what *run* gives."""
        name = order.name
        while (equal := self._under_way.get(name)) is not None:
            await equal.over.wait()
            if equal.result is not None:
                return Done(equal.result, skipped=True)
        own = self._under_way[name] = _UnderWay[Result]()
        try:
            done = await self._looked_up(order) or await self._new(order, run)
            own.result = done.result
            return done
        finally:
            del self._under_way[name]
            own.over.set()

    async def _looked_up(self, order: Order) -> Done[Result] | None:
        known = await self._manifest.recall(order)
        if known is None:
            return None
        if isinstance(known, MediaError):
            return Done(error=known, skipped=True)
        return Done(cast("Result", known), skipped=True)

    async def _new(
        self, order: Order, run: Callable[[Publishing], Awaitable[Result]]
    ) -> Done[Result]:
        async def publishing(saved: SavedMedia, part: Part) -> None:
            await self._note(order, *records.publishing(saved, await part.identity()))

        try:
            result = await run(publishing)
        except FileExistsError:
            # Another process that shares the manifest may have done it just now.
            if (known := await self._looked_up(order)) is None:
                raise
            return known
        except MediaError as error:
            if records.is_refusal(error):
                await self._note(order, *records.refused(error, order))
            raise
        await self._note(order, *records.finished(result))
        return Done(result)

    async def _note(self, order: Order, kind: str, facts: dict[str, object]) -> None:
        if self._broken:
            return
        try:
            await self._manifest.note(order, kind, facts)
        except OSError as error:
            self._broken = True
            logger.error("the manifest cannot be written, so the batch ends: %s", error)
            self._end_by(error)
