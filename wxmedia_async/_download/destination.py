"""Where a download goes: to a file of ours, or to what a user has plugged in."""

from __future__ import annotations

import inspect
import os
from collections.abc import AsyncIterator
from typing import TypeGuard

from .._errors import MediaError
from .._events import Subject
from .._files.target import Target, resolve_target
from .._foreign import Raised, sealed
from .._models import Destination, SavedMedia
from .._progress import Reporter
from .._session.session import Session
from .._session.transfer import Transfer
from .incoming import Incoming, open_media
from .media_request import MediaRequest
from .save import name_of, saved


def target_of(
    to: str | os.PathLike[str] | Destination, *, overwrite: bool
) -> Target | Destination:
    """
    Tell where a single download goes.

    Raises:
        TypeError: It is neither a path nor a `Destination`.

        OSError, ValueError: See `resolve_target`.
    """
    if is_destination(to):
        return to
    if isinstance(to, (str, os.PathLike)):
        return resolve_target(to, overwrite=overwrite)
    raise TypeError(
        "a download goes to a path or to a Destination, which has a method"
        f" put(name, body, *, content_type, size); not to {type(to).__name__}"
    )


def is_destination(to: object) -> TypeGuard[Destination]:
    """Tell whether *to* has the method of a `Destination`, and not one of that name."""
    # A class has the methods of its objects, but is none.
    if inspect.isclass(to) or not callable(put := getattr(to, "put", None)):
        return False
    try:
        inspect.signature(put).bind("name", None, content_type=None, size=None)
    except TypeError:
        return False
    except ValueError:  # what is compiled may not tell
        return True
    return True


async def put(
    session: Session,
    wanted: MediaRequest,
    destination: Destination,
    *,
    reporter: Reporter,
) -> SavedMedia:
    """Download to a `Destination`, as `MediaClient.download` promises."""

    async def attempt(transfer: Transfer) -> SavedMedia:
        reporter.begin(None)
        async with await open_media(session, transfer, wanted) as incoming:
            body = _Body(incoming, reporter)
            with session.pace.bound.inside(transfer):
                location = await _put(destination, name_of(incoming, wanted), body)
        transfer.moved(incoming.received)
        return saved(wanted, incoming, None, location)

    result = await session.run(attempt, Subject("download", wanted.media_id))
    reporter.report(result.size, result.size)
    return result


async def _put(destination: Destination, name: str, body: _Body) -> str:
    incoming = body.incoming
    try:
        with sealed:
            location = await destination.put(
                name, body, content_type=incoming.content_type, size=incoming.size
            )
    except Raised:
        # Whatever became of it on the way: it was ours, and may be worth a try.
        body.raise_failure()
        raise
    body.raise_failure()
    body.check_read()
    return location


class _Body(AsyncIterator[bytes]):
    """What a `Destination` reads."""

    def __init__(self, incoming: Incoming, reporter: Reporter) -> None:
        self.incoming = incoming
        self._reporter = reporter
        self._failure: MediaError | None = None
        self._ended = False
        self._is_read = False

    async def __anext__(self) -> bytes:
        if self._is_read:
            raise RuntimeError("another task is waiting for this body's next chunk")
        self._is_read = True
        try:
            chunk = await self.incoming.chunk()
        except MediaError as error:
            self._failure = error
            raise
        finally:
            self._is_read = False
        self._reporter.report(self.incoming.received, self.incoming.size)
        if chunk:
            return chunk
        self._ended = True
        raise StopAsyncIteration

    def raise_failure(self) -> None:
        """Raise what has ended the body, also where a destination swallowed it."""
        if self._failure is not None:
            raise self._failure

    def check_read(self) -> None:
        """A destination that stopped half-way has not stored the media."""
        # Whoever counts need not ask for the end.
        if not self._ended and self.incoming.received != self.incoming.size:
            raise RuntimeError("the destination did not read the body to its end")
