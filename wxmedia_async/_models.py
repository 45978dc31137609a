"""The frozen values that users see."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Awaitable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar, runtime_checkable

import attrs
from attrs.validators import ge, gt

LIFETIME = timedelta(days=3)
"""How long WeChat keeps a temporary media."""

# A media_id that is handed out now must live long enough to be used.
_MARGIN = timedelta(hours=1)


def lives_long_enough(expires_at: datetime) -> bool:
    """Tell whether a media_id of an earlier upload may still be handed out."""
    return expires_at - _MARGIN > datetime.now(UTC)


class BinaryFile(Protocol):
    """A file opened for reading bytes, such as ``open(path, "rb")``."""

    def read(self, size: int = ..., /) -> bytes: ...


class AsyncBinaryFile(Protocol):
    """A file whose reads are awaited: anyio's, aiofiles', Starlette's uploads."""

    def read(self, size: int = ..., /) -> Awaitable[bytes]: ...


Source: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryFile
    | AsyncBinaryFile
    | AsyncIterable[bytes]
)
"""
Whatever can be uploaded; a str is a path.

Where nothing is given for them, attributes ``size`` (bytes, of what has no position),
``filename`` and ``replayable`` of a source are used. An upload that ends while it
waits for a pipe or a socket has taken nothing of it; what a file that is neither, and
has no position, gives to a read that was given up is lost.
"""


@runtime_checkable
class Destination(Protocol):
    """
    Where downloads go, if not to a file: object storage, a database.

    An optional attribute ``identity``, a str, says in a manifest what it is: equal
    ones are one destination, in later processes too. Without it another object is
    another destination, and what an earlier process noted counts for its class.
    """

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        """
        Store *body* whole or not at all, and return its location.

        Args:
            name: A safe file name made of the media_id and a suffix.

            body: The bytes, once. An error raised while it is read must leave
                nothing behind, and must be let through.

            content_type: As WeChat sent it, or None.

            size: Length in bytes, or None where WeChat did not tell.

        Raises:
            DestinationUnusable: Nothing at all can be stored: a batch ends by it.

            Exception: Whatever else it is, that one item fails with it, as raised.
        """
        ...


class RateLimiter(Protocol):
    """Decides when one more call may start, for one process or for many."""

    async def acquire(self) -> None:
        """Return when one more call may start."""
        ...


@attrs.frozen
class UploadedMedia:
    """
    What WeChat made of an upload.

    Attributes:
        media_id: What to send to customers; belongs to the account.

        type: ``image``, ``voice``, ``video``, ``thumb`` or ``file``.

        created_at: When WeChat stored it, in UTC.

        expires_at: When WeChat forgets it, three days later, in UTC.
    """

    media_id: str
    type: str
    created_at: datetime
    expires_at: datetime


@attrs.frozen
class SavedMedia:
    """
    A media that was downloaded to a file or a `Destination`.

    Attributes:
        media_id: The media that was asked for.

        path: The file, or None where it went to a `Destination`.

        location: The file as a str, or what the `Destination` returned.

        size: Length in bytes.

        content_type: As WeChat sent it, or None. It is often wrong: trust the bytes.

        filename: The name that WeChat sent, made safe, or None.

        verified: Whether the reply said its length, and that many bytes came. False:
            nobody can know whether some are missing.
    """

    media_id: str
    path: Path | None
    location: str
    size: int
    content_type: str | None
    filename: str | None
    verified: bool


@attrs.frozen
class MediaContent:
    """
    A media in memory.

    Attributes:
        media_id: The media that was asked for.

        content: All its bytes.

        content_type: As WeChat sent it, or None. It is often wrong: trust the bytes.

        filename: The name that WeChat sent, made safe, or None.
    """

    media_id: str
    content: bytes = attrs.field(repr=lambda content: f"<{len(content)} bytes>")
    content_type: str | None
    filename: str | None


@attrs.frozen
class Progress:
    """
    How far a transfer is.

    Attributes:
        item: The media_id or source; in a batch, the item as it was given.

        done: Bytes so far. Only grows, but for going back to 0 when the
            transfer is tried again.

        total: Bytes in all; None while that is not known.
    """

    item: object
    done: int
    total: int | None


def _aware(_: object, __: object, value: datetime) -> None:
    if value.utcoffset() is None:
        raise ValueError("expires_at must be an aware datetime")


@attrs.frozen
class AccessToken:
    """
    A token, and when it ends.

    Attributes:
        value: The secret; never shown.

        expires_at: An aware datetime.
    """

    value: str = attrs.field(repr=False)
    expires_at: datetime = attrs.field(validator=_aware)


@attrs.frozen
class RetryPolicy:
    """
    How often, and how patiently, a failed transfer is tried again.

    Attributes:
        attempts: Tries in all, the first one included.

        initial: Bound of the wait before the second try, in seconds; doubles
            with each further try. The wait is drawn between 0 and the bound.

        maximum: Upper bound of a single wait, in seconds.
    """

    attempts: int = attrs.field(default=4, validator=ge(1))
    initial: float = attrs.field(default=0.2, validator=ge(0))
    maximum: float = attrs.field(default=10.0, validator=ge(0))


@attrs.frozen
class Rate:
    """
    How many calls may start within some time.

    Attributes:
        calls: The number of calls.

        per: The time, in seconds.
    """

    calls: int = attrs.field(validator=ge(1))
    per: float = attrs.field(validator=gt(0))


@attrs.frozen
class Adaptive:
    """
    A bound on concurrency that finds by itself how much the service copes with.

    It grows while transfers go well, and shrinks when the service is too busy.

    Attributes:
        low: The fewest transfers in flight. It starts here, and never goes below.

        high: The most transfers in flight.
    """

    low: int = attrs.field(validator=ge(1))
    high: int

    def __attrs_post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError("high must not be below low")


@attrs.frozen
class Upload:
    """
    One item of `upload_many`, with options of its own.

    Attributes:
        source: What to upload.

        type: Instead of the batch's type.

        filename: The name that WeChat sees.

        content_type: The type of the bytes, which WeChat ignores.

        size: Length in bytes, for sources that cannot tell.

        replayable: Whether an async iterable can be gone through again, and so be
            sent again where a try fails. Without it, or an attribute of that name
            that is True, one is read once. All else that can be read again is.

        key: Anything that you want back in the outcome. With a manifest it must be
            a str or an int.
    """

    source: Source = attrs.field(repr=False)
    type: str | None = attrs.field(default=None, kw_only=True)
    filename: str | None = attrs.field(default=None, kw_only=True)
    content_type: str | None = attrs.field(default=None, kw_only=True)
    size: int | None = attrs.field(default=None, kw_only=True)
    replayable: bool = attrs.field(default=False, kw_only=True)
    key: object = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Download:
    """
    One item of `download_many`, with options of its own.

    Attributes:
        media_id: What to download.

        to: A folder or a `Destination`, instead of the batch's.

        max_bytes: Instead of the platform's cap.

        hd_voice: Ask for the speex recording of a voice.

        key: Anything that you want back in the outcome. With a manifest it must be
            a str or an int.
    """

    media_id: str
    to: str | os.PathLike[str] | Destination | None = attrs.field(
        default=None, kw_only=True
    )
    max_bytes: int | None = attrs.field(default=None, kw_only=True)
    hd_voice: bool = attrs.field(default=False, kw_only=True)
    key: object = attrs.field(default=None, kw_only=True)


Item_co = TypeVar("Item_co", covariant=True)
Result_co = TypeVar("Result_co", covariant=True)


@attrs.frozen
class Outcome(Generic[Item_co, Result_co]):
    """
    What became of one item of a batch: a result or an error, never both.

    Attributes:
        item: The item as it was given.

        key: The item's own key, or None.

        index: Its place among the items, from 0.

        result: What came of it, or None.

        error: Why nothing came of it, or None. What code of the caller's raised
            is here as it was raised, a cancellation of something of its own too.

        attempts: How many times it was tried.

        elapsed: Seconds from its start to its end.

        skipped: Whether the manifest or a cache had its result already.
    """

    item: Item_co
    key: object
    index: int
    result: Result_co | None = None
    error: BaseException | None = None
    attempts: int = 0
    elapsed: float = 0.0
    skipped: bool = False

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None

    def unwrap(self) -> Result_co:
        """Return the result, or raise the error."""
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result
