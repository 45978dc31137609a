"""Several processes that share one list, one manifest, one token and one display."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import attrs
from anyio.abc import Process

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
    with tempfile.TemporaryDirectory(prefix="wxmedia-") as folder:
        shares = [
            Share(
                work=work,
                common=part,
                folder=Path(folder),
                form=form,
                live=sys.stderr.isatty() and not common.quiet,
            )
            for part in parts_of(common)
        ]
        crew = Crew(tally, screen, len(shares))
        with crew.scope:
            await crew.run(items, shares)
        return crew.code or int(tally.failed > 0)


@attrs.frozen(eq=False)
class Numbered:
    """
    An item, and what it is called between processes.

    Attributes:
        again: Whether a worker that is gone was given it.
    """

    number: int
    text: str
    again: bool = False

    def __str__(self) -> str:
        return self.text

    def line(self) -> bytes:
        return json.dumps([self.number, self.text, self.again]).encode() + b"\n"


@attrs.frozen
class _Settled:
    item: Numbered
    ok: bool
    skipped: bool
    attempts: int


@attrs.define(eq=False)
class Worker:
    """
    A process, and what it was given and has not settled.

    Attributes:
        most: How many items it may have.
    """

    process: Process
    most: int
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
    _all_read: bool = attrs.field(default=False, init=False)
    _changed: anyio.Event = attrs.field(factory=anyio.Event, init=False)

    async def run(self, items: AsyncIterator[str], shares: list[Share]) -> None:
        """Go on until every item is settled."""
        async with anyio.create_task_group() as tasks:
            for share in shares:
                tasks.start_soon(self._employ, share)
            try:
                most = sum(share.common.concurrency for share in shares) * _AHEAD
                await self._read(items, most)
            # Standard input cannot be read.
            except OSError as error:
                self._end(1, _lines.described(error))

    async def _read(self, items: AsyncIterator[str], most: int) -> None:
        number = 0
        async for text in items:
            number += 1
            self._unsettled += 1
            self._waiting.append(Numbered(number, text))
            self._wake()
            while self._unsettled >= most:
                await self._changed.wait()
        self._all_read = True
        self._wake()

    async def _employ(self, share: Share) -> None:
        with anyio.CancelScope(shield=True) as starting:
            # Nobody would have what was started, and cancelled before it was here.
            worker = Worker(await started(share), share.common.concurrency * _AHEAD)
            starting.shield = False
            await self._lead(worker)
            self._lose(worker)

    async def _lead(self, worker: Worker) -> None:
        """Have it work until all is done, or it ends."""
        asked = True
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._feed, worker)
                await self._listen(worker)
                asked = False
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await ended(worker.process, asked=asked)

    async def _feed(self, worker: Worker) -> None:
        while not self._is_over():
            given = self._given(worker)
            if given:
                await worker.send(b"".join(item.line() for item in given))
            else:
                await self._changed.wait()
        await worker.send(f"{END}\n".encode())

    def _given(self, worker: Worker) -> list[Numbered]:
        """Give a worker what it has room for."""
        count = min(worker.most - len(worker.orders), len(self._waiting))
        given = [self._waiting.popleft() for _ in range(count)]
        worker.orders.update((item.number, item) for item in given)
        return given

    def _is_over(self) -> bool:
        return self._all_read and not self._unsettled

    async def _listen(self, worker: Worker) -> None:
        assert worker.process.stdout is not None
        rest = b""
        async for chunk in worker.process.stdout:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                await self._settle(worker, json.loads(line))
            self._wake()

    async def _settle(self, worker: Worker, message: Message) -> None:
        if "settled" not in message:
            self._hear(worker, message)
            return
        order = worker.orders.pop(message["settled"])
        self._unsettled -= 1
        self._tally.note(Progress(order, message["moved"], None))
        counted = (message["ok"], message["skipped"], message["attempts"])
        self._tally.count(_Settled(order, *counted))
        await self._tell(message)

    def _hear(self, worker: Worker, message: Message) -> None:
        for number, done, total in message.get("moving", ()):
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
        for item in worker.orders.values():
            self._waiting.append(attrs.evolve(item, again=True))
        self._wake()
        if self._alive == 0 and not self._is_over():
            self._end(1, "all workers have ended, and files are left")

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    def _end(self, code: int, complaint: str) -> None:
        if not self.code:
            self.code = code
            self._screen.complain(complaint)
        self.scope.cancel()


async def started(share: Share) -> Process:
    """Start a worker, whose errors go where ours go."""
    return await anyio.open_process(
        command(share),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None,
        env=environment(),
        # Ctrl-C is for this process; it tells the others.
        start_new_session=True,
    )


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
