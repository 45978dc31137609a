"""
The whole client against a hostile server, over sockets, operation by operation.

Whatever the server says: a call ends in time, with a result or an error of ours that
shows no secret; no half of a file is left, no slot and no connection is held, and the
same client works with the same server as soon as that is sane.
"""

from __future__ import annotations

import contextlib
import math
import pickle
import socket
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Sequence,
)
from functools import partial
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import anyio
import attrs

from tests.destinations import Bucket
from tests.fakes import EAGER, JPEG, SECRET, TOKEN
from tests.sockets.hostile import KEY, hostile, sane
from tests.sockets.server import CONTEXT, Peer, Server
from wxmedia_async import (
    OFFICIAL_ACCOUNT,
    WECOM,
    AppToken,
    CorpToken,
    Event,
    Failed,
    Finished,
    MediaClient,
    MediaError,
    RetryPolicy,
    SavedMedia,
    Started,
)
from wxmedia_async._session.pace import AccountPace
from wxmedia_async.transport._own import OwnTransport

SECRETS = (TOKEN, SECRET, KEY)

DEADLINE = 0.4
# A machine that is busy, not a client that is slow.
MARGIN = 6.0

Operation = Callable[[MediaClient, Path], Awaitable[object]]


async def upload_bytes(client: MediaClient, folder: Path) -> object:
    return await client.upload(JPEG)


async def upload_much(client: MediaClient, folder: Path) -> object:
    return await client.upload(JPEG * 300, filename="\u732b.jpg")


async def upload_path(client: MediaClient, folder: Path) -> object:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        file.write(JPEG)
        file.flush()
        return await client.upload(file.name)


async def upload_iterable(client: MediaClient, folder: Path) -> object:
    return await client.upload(_pieces(), size=len(JPEG))


async def upload_spooled(client: MediaClient, folder: Path) -> object:
    return await client.upload(_pieces())


async def _pieces() -> AsyncIterator[bytes]:
    yield JPEG[:100]
    yield JPEG[100:]


async def download_to_file(client: MediaClient, folder: Path) -> object:
    return await client.download("ID", folder / "x.jpg")


async def download_to_folder(client: MediaClient, folder: Path) -> object:
    return await client.download("../ID", folder)


async def download_to_destination(client: MediaClient, folder: Path) -> object:
    return await client.download("ID", Bucket())


async def read(client: MediaClient, folder: Path) -> object:
    return await client.read("ID", hd_voice=True)


async def stream(client: MediaClient, folder: Path) -> object:
    async with client.stream("ID") as media:
        return [chunk async for chunk in media]


async def call_get(client: MediaClient, folder: Path) -> object:
    return await client.call("GET", "/cgi-bin/menu/get", params={"a": "b"})


async def call_post(client: MediaClient, folder: Path) -> object:
    return await client.call("POST", "/cgi-bin/message/send", json={"a": "\u732b"})


async def download_many(client: MediaClient, folder: Path) -> object:
    async with client.download_many(["a", "b", "c"], folder) as outcomes:
        return _first_error([one.error async for one in outcomes])


async def upload_many(client: MediaClient, folder: Path) -> object:
    async with client.upload_many([JPEG, JPEG]) as outcomes:
        return _first_error([one.error async for one in outcomes])


def _first_error(errors: Sequence[BaseException | None]) -> object:
    for error in filter(None, errors):
        raise error
    return errors


OPERATIONS: tuple[Operation, ...] = (
    *(upload_bytes, upload_much, upload_path, upload_iterable, upload_spooled),
    *(download_to_file, download_to_folder, download_to_destination, read, stream),
    *(call_get, call_post, download_many, upload_many),
)


class Found(AssertionError):
    """What does not hold, and how to see it again."""


@attrs.define(eq=False)
class Case:
    """One client, one server, and what it says; all of it by *number*."""

    number: int
    events: list[Event] = attrs.field(factory=list[Event], init=False)
    is_sane: bool = attrs.field(default=False, init=False)
    requests: int = attrs.field(default=0, init=False)
    said: list[str] = attrs.field(factory=list[str], init=False)
    # What these still send would be taken for the reply to the next request.
    spoiled: list[Peer] = attrs.field(factory=list[Peer], init=False)

    async def run(self, folder: Path) -> tuple[str, str]:
        """
        Run it, and tell which operation ended in what.

        Raises:
            Found: Something does not hold.
        """
        random = Random(self.number)
        operation = random.choice(OPERATIONS)
        try:
            with Server(self._script) as server:
                async with self._client(server.url, random) as client:
                    ended = await self._tried(client, operation, folder)
                    self._check_free(client)
                    await self._check_sane(client, operation, folder)
                self._check_links(server)
            self._check_events()
        except Found as found:
            story = "\n".join([str(found), *self.said])
            raise Found(f"case {self.number}, {operation.__name__}: {story}") from None
        return operation.__name__, ended

    def _client(self, url: str, random: Random) -> MediaClient:
        platform = random.choice((OFFICIAL_ACCOUNT, WECOM))
        tokens: tuple[Any, ...] = (
            TOKEN,
            AppToken("wx1", SECRET),
            AppToken("wx1", SECRET, endpoint="token"),
            CorpToken("ww1", SECRET),
        )
        return MediaClient(
            random.choice(tokens),
            platform=platform,
            base_url=url,
            max_concurrency=2,
            retry=random.choice((EAGER, RetryPolicy(attempts=1))),
            timeout=random.choice((0.1, 1.0)),
            deadline=DEADLINE,
            verify=CONTEXT,
            on_event=self.events.append,
        )

    def _script(self, peer: Peer) -> None:
        goes_on = True
        while goes_on:
            head = peer.read_head()
            if self.is_sane:
                sane(peer.read_body(head)).play(peer)
                continue
            goes_on = self._insane(peer, head)

    def _insane(self, peer: Peer, head: bytes) -> bool:
        self.requests += 1
        seed = f"{self.number}/{self.requests}"
        request = peer.read_body(head)
        reply = hostile(request, seed)
        peer._requests.append(request)
        self.said.append(f"  {head[:60]!r} -> {reply}")
        if reply.spoils:
            self.spoiled.append(peer)
        reply.play(peer)
        return not reply.spoils

    async def _tried(
        self, client: MediaClient, operation: Operation, folder: Path
    ) -> str:
        began = time.monotonic()
        ended = "a result"
        try:
            with anyio.fail_after(DEADLINE + MARGIN):
                result = await operation(client, folder)
        except MediaError as error:
            self._check_hidden(error)
            ended = type(error).__name__
            result = None
        except Exception as error:  # noqa: BLE001  # which is the question
            text = "".join(traceback.format_exception(error))
            raise Found(f"{type(error).__name__} leaves: {text}") from None
        took = time.monotonic() - began
        if took > DEADLINE + MARGIN:
            raise Found(f"it took {took:.1f} s")
        self._check_files(folder, result)
        return ended

    def _check_hidden(self, error: MediaError) -> None:
        for text in shown(error):
            if any(secret in text for secret in SECRETS):
                raise Found(f"a secret is shown: {text[:3000]}")
        pickled = pickle.dumps(error)
        if any(secret.encode() in pickled for secret in SECRETS):
            raise Found("a secret is pickled")

    def _check_files(self, folder: Path, result: Any) -> None:
        left = list(folder.iterdir())
        if any(path.name.endswith(".part") or path.is_dir() for path in left):
            raise Found(f"left: {left}")
        if isinstance(result, SavedMedia) and not _is_whole(result, left):
            raise Found(f"{result} but {left}")
        for path in left:
            path.unlink()

    def _check_free(self, client: MediaClient) -> None:
        session = client._session
        held = (
            session.pace.bound.used,
            len(session.lifetime._running),
            self._connections(client),
        )
        if any(held):
            raise Found(f"held: slots, scopes, connections {held}")

    def _connections(self, client: MediaClient) -> int:
        transport = client.http._transport
        assert isinstance(transport, OwnTransport)
        pool = transport.sockets._pool
        lanes = sum(len(each._busy) for each in transport._lanes.values())
        return pool._leased + len(pool._busy) + lanes

    async def _check_sane(
        self, client: MediaClient, operation: Operation, folder: Path
    ) -> None:
        self.is_sane = True
        for peer in self.spoiled:
            peer.finish()
        _forget_pauses(client)
        patient = client.with_options(deadline=MARGIN, timeout=MARGIN)
        ended = await self._tried(patient, operation, folder)
        if ended != "a result":
            raise Found(f"then, with a sane server: {ended}")

    def _check_links(self, server: Server) -> None:
        for request in server.requests:
            if request.target.startswith("/v/") and TOKEN.encode() in request.head:
                raise Found("a link was asked for with the token")

    def _check_events(self) -> None:
        begun = [one.transfer for one in self.events if isinstance(one, Started)]
        ended = [
            one.transfer for one in self.events if isinstance(one, Finished | Failed)
        ]
        if sorted(begun) != sorted(ended):
            raise Found(f"events: {self.events}")


def _forget_pauses(client: MediaClient) -> None:
    """A pause of the account lasts longer than anybody waits here."""
    client._session.pace.account._resumes = AccountPace()._resumes


def shown(error: BaseException) -> Iterator[str]:
    """All that people, loggers and error reporters make of an error."""
    yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
    library = error.__traceback__
    while (
        library is not None
        and "wxmedia_async" not in library.tb_frame.f_code.co_filename
    ):
        library = library.tb_next
    told = traceback.TracebackException(
        type(error), error, library, capture_locals=True
    )
    yield "".join(told.format())
    for other in (error.__cause__, error.__context__):
        if other is not None:
            yield from shown(other)


def _nowhere(ask: Callable[..., Any], host: Any, *args: Any, **kwargs: Any) -> Any:
    """Names and addresses of others lead back to this machine, or nowhere."""
    text = host.decode("latin-1") if isinstance(host, bytes) else str(host)
    if not text.startswith("127."):
        if len(text) % 2:
            raise socket.gaierror(socket.EAI_NONAME, "nobody knows")
        host = "127.0.0.1"
    return ask(host, *args, **kwargs)


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Ask nobody on the network for anything, whatever a server names."""
    with (
        mock.patch("socket.getaddrinfo", partial(_nowhere, socket.getaddrinfo)),
        mock.patch("anyio.getaddrinfo", partial(_nowhere, anyio.getaddrinfo)),
    ):
        yield


def _is_whole(saved: SavedMedia, left: list[Path]) -> bool:
    if saved.path is None:
        return left == []
    return left == [saved.path] and saved.path.stat().st_size == saved.size


@attrs.define(eq=False)
class Findings:
    """What cases ended in, by operation, and what does not hold."""

    ended: Counter[tuple[str, str]] = attrs.field(
        factory=Counter[tuple[str, str]], init=False
    )
    found: list[str] = attrs.field(factory=list[str], init=False)
    _held_up: float = attrs.field(default=-math.inf, init=False)

    async def run(self, numbers: Iterator[int], at_a_time: int = 8) -> None:
        """Run the cases of these *numbers*."""
        async with anyio.create_task_group() as watching:
            watching.start_soon(self._watch_the_machine)
            async with anyio.create_task_group() as tasks:
                for _ in range(at_a_time):
                    tasks.start_soon(self._run_all, numbers)
            watching.cancel_scope.cancel()

    async def _run_all(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            await self._run(number)

    async def _run(self, number: int) -> None:
        began = time.monotonic()
        try:
            with tempfile.TemporaryDirectory() as folder:
                self.ended[await Case(number).run(Path(folder))] += 1
        except Found as found:
            # A machine that stood still for seconds says nothing about the client.
            if self._held_up > began:
                await self._run(number)
            else:
                self.found.append(str(found))

    async def _watch_the_machine(self) -> None:
        while True:
            began = time.monotonic()
            await anyio.sleep(0.1)
            if time.monotonic() - began > 1.0:
                self._held_up = time.monotonic()
