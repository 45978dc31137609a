"""One of several processes that share a list; started by `_crew`, not by people."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, suppress
from functools import partial

import anyio
import attrs

from .. import FileTokenStore, Progress
from . import _lines
from ._given import STDIN, given
from ._interrupt import interruptible
from ._lines import AnyOutcome, printable
from ._share import END, Message, Share, decoded
from ._streams import write_all
from ._transfer import LINES, client_of
from ._work import Work

_INPUT, _OUTPUT = 0, 1

# Seconds between two words about what is on its way.
_OFTEN = 0.2


def main() -> None:
    share = decoded(sys.argv[1])
    anyio.run(interruptible, partial(_run, share))


def say(message: Message) -> None:
    # Whoever is gone has closed our input as well, which ends the work.
    with suppress(BrokenPipeError):
        write_all(_OUTPUT, json.dumps(message).encode() + b"\n")


@attrs.frozen(eq=False)
class _Numbered:
    number: int
    item: object  # held, so that no other gets its identity


@attrs.define(eq=False)
class Orders:
    """The items that come, and how far they are."""

    _work: Work
    _scope: anyio.CancelScope
    # By identity; equal short texts may be one object, and are in one list.
    _open: dict[int, list[_Numbered]] = attrs.field(
        factory=dict[int, list[_Numbered]], init=False
    )
    _moving: dict[int, Progress] = attrs.field(factory=dict[int, Progress], init=False)

    async def items(self) -> AsyncGenerator[object]:
        async with aclosing(given([STDIN], _INPUT, str)) as lines:
            async for line in lines:
                if line == END:
                    return
                number, text = json.loads(line)
                item = self._work.item(text)
                orders = self._open.setdefault(id(item), [])
                orders.append(_Numbered(number, item))
                yield item
        self._scope.cancel()

    def note(self, progress: Progress) -> None:
        self._moving[id(progress.item)] = progress

    def moving(self) -> list[tuple[int, int, int | None]]:
        return [
            (self._open[key][0].number, progress.done, progress.total)
            for key, progress in self._moving.items()
        ]

    def settled(self, item: object) -> tuple[_Numbered, int]:
        """Return what was ordered, and how many bytes it took."""
        orders = self._open[id(item)]
        order = orders.pop(0)
        if not orders:
            del self._open[id(item)]
        last = self._moving.pop(id(item), None)
        return order, 0 if last is None else last.done


class _Warnings(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say({"warning": printable(record.getMessage())})


async def _run(share: Share) -> int:
    logging.getLogger("wxmedia_async").addHandler(_Warnings(logging.WARNING))
    with anyio.CancelScope() as scope:
        orders = Orders(share.work, scope)
        async with anyio.create_task_group() as tasks:
            if share.live:
                tasks.start_soon(_tell_often, orders)
            await _work_off(share, orders)
            tasks.cancel_scope.cancel()
    return 0


async def _tell_often(orders: Orders) -> None:
    while True:
        await anyio.sleep(_OFTEN)
        if moving := orders.moving():
            say({"moving": moving})


async def _work_off(share: Share, orders: Orders) -> None:
    client = client_of(share.common, share.work, FileTokenStore(share.folder / "token"))
    async with client, AsyncExitStack() as stack:
        items = await stack.enter_async_context(aclosing(orders.items()))
        batch = share.work.begin(client, items, share.common.manifest, orders.note)
        try:
            outcomes = await stack.enter_async_context(batch)
        # The manifest cannot be opened, or is something else.
        except (OSError, ValueError) as error:
            say({"refused": _lines.described(error)})
            return
        async for outcome in outcomes:
            say(_message(share, orders, outcome))


def _message(share: Share, orders: Orders, outcome: AnyOutcome) -> Message:
    order, moved = orders.settled(outcome.item)
    if share.private:
        # What is in a manifest that the user has not given was done just now.
        outcome = attrs.evolve(outcome, skipped=False)
    return {
        "settled": order.number,
        "ok": outcome.ok,
        "skipped": outcome.skipped,
        "attempts": outcome.attempts,
        "moved": moved,
        "line": LINES[share.form](outcome),
        "failure": None if outcome.ok else _lines.failure(outcome),
    }


if __name__ == "__main__":
    main()
