"""Several processes that share one list, one manifest, one token and one display."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import anyio
import attrs
from anyio.abc import ByteReceiveStream, Process

from .. import Progress
from . import _lines
from ._options import Common
from ._screen import Screen, has_room
from ._share import END, Message, Share, parts_of
from ._tally import Tally
from ._transfer import Form
from ._work import Work

# Seconds that a worker has for its end.
_PATIENCE = 5.0

# Items that a worker has for each transfer in flight, so that it need not wait.
_AHEAD = 2


async def share(
    items: AsyncIterator[str],
    work: Work,
    common: Common,
    tally: Tally,
    screen: Screen,
    form: Form,
) -> int:
    """Have workers do *work* for all *items*, and return the exit code."""
    with tempfile.TemporaryDirectory(prefix="wxmedia-") as name:
        folder = Path(name)
        # What a worker was doing when it was killed may be done, and is known then.
        known = attrs.evolve(common, manifest=common.manifest or folder / "manifest")
        shares = [
            Share(
                work=work,
                common=part,
                folder=folder,
                private=common.manifest is None,
                form=form,
                live=sys.stderr.isatty() and not common.quiet,
            )
            for part in parts_of(known)
        ]
        crew = Crew(tally, screen, len(shares))
        with crew.scope:
            await crew.run(items, shares)
        return crew.code or int(tally.failed > 0)


@attrs.frozen(eq=False)
class Numbered:
    """An item, and what it is called between processes."""

    number: int
    text: str

    def __str__(self) -> str:
        return self.text

    def line(self) -> bytes:
        return json.dumps([self.number, self.text]).encode() + b"\n"


@attrs.frozen
class _Settled:
    item: Numbered
    ok: bool
    skipped: bool
    attempts: int


@attrs.define(eq=False)
class Worker:
    """A process, what it was given and has not settled, and what it may be given."""

    process: Process
    room: anyio.Semaphore
    orders: dict[int, Numbered] = attrs.field(factory=dict[int, Numbered], init=False)

    async def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        # It may be dead, which whoever listens to it finds out.
        try:
            await self.process.stdin.send(line)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            await anyio.sleep_forever()


@attrs.define(eq=False)
class Crew:
    """
    Gives items to workers as they settle others, and tells what became of them.

    Attributes:
        code: The exit code, if it does not follow from the files.

        scope: Ends all of it.
    """

    _tally: Tally
    _screen: Screen
    _alive: int
    code: int = attrs.field(default=0, init=False)
    scope: anyio.CancelScope = attrs.field(factory=anyio.CancelScope, init=False)
    _waiting: deque[Numbered] = attrs.field(factory=deque[Numbered], init=False)
    _unsettled: int = attrs.field(default=0, init=False)
    _all_given: bool = attrs.field(default=False, init=False)
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    async def run(self, items: AsyncIterator[str], shares: list[Share]) -> None:
        """Go on until every item is settled."""
        widths = [share.common.concurrency * _AHEAD for share in shares]
        room = anyio.Semaphore(sum(widths))
        async with anyio.create_task_group() as tasks:
            for share, width in zip(shares, widths, strict=True):
                tasks.start_soon(self._employ, share, width, room)
            try:
                await self._read(items, room)
            # Standard input cannot be read.
            except OSError as error:
                self._end(1, _lines.described(error))

    async def _read(self, items: AsyncIterator[str], room: anyio.Semaphore) -> None:
        number = 0
        async for text in items:
            await room.acquire()
            number += 1
            self._unsettled += 1
            self._put(Numbered(number, text))
        self._all_given = True
        self._wake()

    async def _employ(self, share: Share, width: int, room: anyio.Semaphore) -> None:
        process = await anyio.open_process(
            command(share),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,
            env=environment(),
            # Ctrl-C is for this process; it tells the others.
            start_new_session=True,
        )
        worker, asked = Worker(process, anyio.Semaphore(width)), True
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._feed, worker)
                assert process.stdout is not None
                await self._listen(process.stdout, partial(self._settle, worker, room))
                asked = False
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await ended(process, asked=asked)
        self._lose(worker)

    async def _feed(self, worker: Worker) -> None:
        while True:
            await worker.room.acquire()
            order = await self._next()
            if order is None:
                await worker.send(f"{END}\n".encode())
                return
            worker.orders[order.number] = order
            await worker.send(order.line())

    async def _next(self) -> Numbered | None:
        """Return what is to be done next; None: all is settled."""
        while not self._waiting:
            if self._all_given and not self._unsettled:
                return None
            await self._changed.wait()
        return self._waiting.popleft()

    async def _listen(
        self, output: ByteReceiveStream, hear: Callable[[Message], Awaitable[None]]
    ) -> None:
        rest = b""
        async for chunk in output:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                await hear(json.loads(line))

    async def _settle(
        self, worker: Worker, room: anyio.Semaphore, message: Message
    ) -> None:
        if "settled" not in message:
            self._hear(worker, message)
            return
        order = worker.orders.pop(message["settled"])
        self._tally.note(Progress(order, message["moved"], None))
        counted = (message["ok"], message["skipped"], message["attempts"])
        self._tally.count(_Settled(order, *counted))
        await self._tell(message)
        room.release()
        worker.room.release()
        self._unsettled -= 1
        self._wake()

    def _hear(self, worker: Worker, message: Message) -> None:
        for number, done, total in message.get("moving", ()):
            if number in worker.orders:
                self._tally.note(Progress(worker.orders[number], done, total))
        if "warning" in message:
            self._screen.complain(message["warning"])
        if "refused" in message:
            self._end(2, message["refused"])

    async def _tell(self, message: Message) -> None:
        if message["line"] is not None:
            await has_room(sys.stdout)
            self._screen.say(message["line"])
        if message["failure"] is not None:
            await has_room(sys.stderr)
            self._screen.complain(message["failure"])

    def _lose(self, worker: Worker) -> None:
        """A worker has ended, perhaps before it was to."""
        self._alive -= 1
        for order in worker.orders.values():
            self._put(order)
        if self._alive == 0 and not (self._all_given and not self._unsettled):
            self._end(1, "all workers have ended, and files are left")

    def _put(self, order: Numbered) -> None:
        self._waiting.append(order)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _end(self, code: int, complaint: str) -> None:
        if not self.code:
            self.code = code
            self._screen.complain(complaint)
        self.scope.cancel()


def command(share: Share) -> list[str]:
    """Return what starts a worker, with the same interpreter and its warnings."""
    flags = [f"-W{option}" for option in sys.warnoptions]
    # -P: not whatever the folder of work has by that name.
    return [
        sys.executable,
        *flags,
        "-P",
        "-m",
        f"{__package__}._worker",
        share.encoded(),
    ]


def environment() -> dict[str, str]:
    """Return the environment of a worker, which finds the same modules."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


async def ended(process: Process, *, asked: bool) -> None:
    """
    Wait for the end of *process*, for a while.

    Args:
        asked: Whether it is to end before its work is done.
    """
    if asked and process.returncode is None:
        # Not terminate(): asyncio would lose its exit code, and say so.
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
    with anyio.move_on_after(_PATIENCE):
        await process.wait()
    if process.returncode is None:
        process.kill()
    await process.aclose()
