"""What happens to transfers, told to whoever watches: logs, metrics, spans."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal, TypeAlias

import attrs

from ._errors import MediaError
from ._foreign import Raised, tell

Operation: TypeAlias = Literal["upload", "download", "stream", "token", "call"]

# Of the whole process, so that one watcher may watch many clients.
_ids = itertools.count(1)


@attrs.frozen(kw_only=True)
class Event:
    """
    Something that happened to one transfer.

    Attributes:
        transfer: A number that all events of the transfer have, and no others.

        operation: ``upload``, ``download``, ``stream``, ``token`` or ``call``.

        platform: The platform's name.

        media_id: What was asked for; None where there is none.

        attempt: The try that this is about, from 1.
    """

    transfer: int
    operation: Operation
    platform: str
    media_id: str | None
    attempt: int


@attrs.frozen(kw_only=True)
class Started(Event):
    """A transfer has begun. Exactly one `Finished` or `Failed` will follow."""


@attrs.frozen(kw_only=True)
class Retried(Event):
    """
    A try has failed, and there will be another.

    Attributes:
        error: Why it failed.

        wait: Seconds until the next one.
    """

    error: BaseException
    wait: float


@attrs.frozen(kw_only=True)
class Renewed(Event):
    """WeChat has refused the token, and there is another one now."""


@attrs.frozen(kw_only=True)
class Paused(Event):
    """
    The transfer waits since WeChat wants fewer calls of its account.

    Attributes:
        wait: Seconds until it may go on.
    """

    wait: float


@attrs.frozen(kw_only=True)
class Finished(Event):
    """
    A transfer has succeeded.

    Attributes:
        bytes: Those of the media that were moved.

        seconds: From its start to now.

        slot_wait: Seconds of these in which it waited for leave to send.
    """

    bytes: int
    seconds: float
    slot_wait: float


@attrs.frozen(kw_only=True)
class Failed(Event):
    """
    A transfer has failed, or was cancelled.

    Attributes:
        error: Why; free of secrets.

        bytes: Those of the media that were moved in the last try, as far as known.

        seconds: From its start to now.

        slot_wait: Seconds of these in which it waited for leave to send.
    """

    error: BaseException
    bytes: int
    seconds: float
    slot_wait: float


@attrs.frozen
class Subject:
    """
    What a transfer is about.

    Attributes:
        only_ours: Whether it awaits no code of a user's: no source, no destination.
    """

    operation: Operation
    media_id: str | None = None
    only_ours: bool = False


EventCallback: TypeAlias = Callable[[Event], object]


@attrs.define(eq=False)
class Story:
    """
    Tells a callback of one transfer, and survives its errors.

    Attributes:
        attempt: The try that is under way.

        bytes: Those of the media that were moved.

        slot_wait: Seconds in which it waited for leave to send.
    """

    _callback: EventCallback
    _platform: str
    _subject: Subject
    attempt: int = attrs.field(default=0, init=False)
    bytes: int = attrs.field(default=0, init=False)
    slot_wait: float = attrs.field(default=0.0, init=False)
    _transfer: int = attrs.field(factory=_ids.__next__, init=False)
    _began: float | None = attrs.field(default=None, init=False)

    def __enter__(self) -> None:
        """Surround the transfer, whose end is told then."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.failed(error)
        elif self._subject.operation != "stream":
            # A stream has only begun: it ends with its reader's block.
            self.finished()

    def start(self) -> None:
        """Tell that it begins, unless that was told."""
        self.attempt += 1
        if self._began is None:
            self._began = time.monotonic()
            self._tell(Started(**self._common()))

    def retried(self, error: MediaError, wait: float) -> None:
        """Tell that there will be another try, and why."""
        # Error reporters print the frames of an error, and these hold tokens.
        shown = error.with_traceback(None)
        self._tell(Retried(error=shown, wait=wait, **self._common()))

    def renewed(self) -> None:
        """Tell that there is another token."""
        self._tell(Renewed(**self._common()))

    def paused(self, wait: float) -> None:
        """Tell that it waits for the end of a pause."""
        self._tell(Paused(wait=wait, **self._common()))

    def finished(self) -> None:
        """Tell the good end."""
        if self._began is not None:
            self._tell(Finished(**self._ending(), **self._common()))

    def failed(self, error: BaseException) -> None:
        """Tell the bad end."""
        if self._began is not None:
            told = error.error if isinstance(error, Raised) else error
            self._tell(Failed(error=told, **self._ending(), **self._common()))

    def _common(self) -> dict[str, Any]:
        return {
            "transfer": self._transfer,
            "operation": self._subject.operation,
            "platform": self._platform,
            "media_id": self._subject.media_id,
            "attempt": self.attempt,
        }

    def _ending(self) -> dict[str, Any]:
        began, self._began = self._began, None
        return {
            "bytes": self.bytes,
            "seconds": time.monotonic() - (began or 0.0),
            "slot_wait": self.slot_wait,
        }

    def _tell(self, event: Event) -> None:
        tell(self._callback, event, "on_event")
