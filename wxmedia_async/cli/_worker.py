"""One of several processes that share a list; started by `_crew`, not by people."""

from __future__ import annotations

import json
import logging
import math
import sys
from contextlib import AsyncExitStack, aclosing, suppress
from functools import partial

import anyio
import attrs
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from anyio.lowlevel import checkpoint

from .. import FileTokenStore, MediaClient, Progress
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


class Voice:
    """
    Says what there is to say, as much as there is at a time.

    Each piece takes its time in both processes.
    """

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._has_some = anyio.Event()

    def say(self, message: Message) -> None:
        self._lines.append(json.dumps(message).encode() + b"\n")
        self._has_some.set()

    async def run(self) -> None:
        while True:
            await self._has_some.wait()
            await checkpoint()  # others may have more
            self.flush()

    def flush(self) -> None:
        said, self._lines, self._has_some = self._lines, [], anyio.Event()
        # Whoever is gone has closed our input as well, which ends the work.
        with suppress(BrokenPipeError):
            write_all(_OUTPUT, b"".join(said))


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

    async def come(
        self, new: ObjectSendStream[object], repeated: ObjectSendStream[object]
    ) -> None:
        """Read what is to be done, for the first time or once more."""
        async with new, repeated, aclosing(given([STDIN], _INPUT, str)) as lines:
            async for line in lines:
                if line == END:
                    return
                number, text, again = json.loads(line)
                item = self._work.item(text)
                self._open.setdefault(id(item), []).append(_Numbered(number, item))
                await (repeated if again else new).send(item)
        # Whoever gave them is gone.
        self.end()

    def end(self) -> None:
        """End the work before it is done."""
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
    def __init__(self, voice: Voice) -> None:
        super().__init__(logging.WARNING)
        self._voice = voice

    def emit(self, record: logging.LogRecord) -> None:
        self._voice.say({"warning": printable(record.getMessage())})


async def _run(share: Share) -> int:
    voice = Voice()
    logging.getLogger("wxmedia_async").addHandler(_Warnings(voice))
    with anyio.CancelScope() as scope:
        orders = Orders(share.work, scope)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(voice.run)
            if share.live:
                tasks.start_soon(_tell_often, orders, voice)
            await _work_off(share, orders, voice)
            tasks.cancel_scope.cancel()
    voice.flush()
    return 0


async def _tell_often(orders: Orders, voice: Voice) -> None:
    while True:
        await anyio.sleep(_OFTEN)
        if moving := orders.moving():
            voice.say({"moving": moving})


async def _work_off(share: Share, orders: Orders, voice: Voice) -> None:
    client = client_of(share.common, share.work, FileTokenStore(share.folder / "token"))
    # As many as are given at a time, which whoever gives them bounds.
    new, to_do = anyio.create_memory_object_stream[object](math.inf)
    repeated, to_repeat = anyio.create_memory_object_stream[object](math.inf)
    async with client, anyio.create_task_group() as tasks:
        tasks.start_soon(orders.come, new, repeated)
        for work, items in (
            (share.work, to_do),
            (share.work.repeated(), to_repeat),
        ):
            tasks.start_soon(_batch, client, work, items, share, orders, voice)


async def _batch(
    client: MediaClient,
    work: Work,
    items: ObjectReceiveStream[object],
    share: Share,
    orders: Orders,
    voice: Voice,
) -> None:
    async with items, AsyncExitStack() as stack:
        batch = work.begin(client, items, share.common.manifest, orders.note)
        try:
            outcomes = await stack.enter_async_context(batch)
        # The manifest cannot be opened, or is something else.
        except (OSError, ValueError) as error:
            voice.say({"refused": _lines.described(error)})
            orders.end()
            return
        async for outcome in outcomes:
            voice.say(_message(share, orders, outcome))


def _message(share: Share, orders: Orders, outcome: AnyOutcome) -> Message:
    order, moved = orders.settled(outcome.item)
    return {
        "settled": order.number,
        "ok": outcome.ok,
        "skipped": outcome.skipped,
        "attempts": outcome.attempts,
        "moved": moved,
        "line": LINES[share.form](outcome),
        "failure": None if outcome.ok else _lines.failure(outcome),
    }


if __name__ == "__main__":  # pragma: no branch  - it is nothing else
    main()
