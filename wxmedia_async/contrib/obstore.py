"""
Object storage by obstore: where downloads go, and where uploads come from.

S3, its many likes, GCS, Azure, a local folder, memory. asyncio only.

.. code-block:: python

    bucket = Objects(S3Store("media", region="eu-central-1"), "inbox/")
    saved = await client.download(media_id, bucket)
    await client.upload(await Object.at(S3Store("media"), "outbox/cat.jpg"))
"""

from __future__ import annotations

import asyncio
import atexit
import re
import time
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Generator,
)
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import cache
from posixpath import basename
from typing import ClassVar, TypeVar

import anyio
import attrs

from .._errors import DestinationUnusable, SourceChanged

try:
    import obstore
    from obstore.exceptions import (
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )
    from obstore.store import LocalStore, ObjectStore
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        'obstore is missing: pip install "wxmedia_async[obstore]"', name=_error.name
    ) from None

# The least that S3 takes for a part, and the most that goes in one request.
_PART = 5 * 1024 * 1024
_PARTS_AT_ONCE = 2
_CHUNK = 64 * 1024

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Seconds that a request which is under way has to come to its end.
_PATIENCE = 10.0

# Seconds, of which they need some microseconds.
_FAREWELL = 0.02

# A bucket that is not there is a file that is not found.
_UNUSABLE = (FileNotFoundError, PermissionDeniedError, UnauthenticatedError)

T = TypeVar("T")


def _check_prefix(_: object, __: object, prefix: object) -> None:
    """A mistake here would be found out by each media, after it was fetched."""
    if not isinstance(prefix, str):
        raise TypeError(f"a prefix is a str, not {type(prefix).__name__}")
    folders = prefix.split("/")[:-1]
    if {"", ".", ".."} & set(folders) or _CONTROL.search(prefix):
        raise ValueError(f"{prefix!r} is no beginning of a path in object storage")


@cache
def _let_threads_end() -> None:
    """
    Wait for obstore's threads before the interpreter goes.

    One that still has a hand on it as it ends aborts the process, though all is done.
    https://github.com/PyO3/pyo3-async-runtimes/issues/40
    """
    atexit.register(time.sleep, _FAREWELL)


@attrs.frozen
class Objects:
    """
    Puts downloads into object storage; a `Destination`.

    An object appears whole or not at all, replaces one of its name, and nothing of
    it stays behind when the transfer fails or is cancelled: no parts either, for
    which clouds charge. Up to 5 MiB are one request. More are sent in parts, and
    take some 15 MiB of memory, however large the media is.

    Attributes:
        store: Where to.

        prefix: What each object's path begins with; end it in a slash for a folder.

    Raises:
        DestinationUnusable: There is no such bucket, or it is not ours to write to.

        OSError, obstore.exceptions.BaseError: The store failed in another way.
    """

    store: ObjectStore = attrs.field(repr=False)
    prefix: str = attrs.field(default="", validator=_check_prefix)

    def __attrs_post_init__(self) -> None:
        _let_threads_end()

    @property
    def identity(self) -> str:
        """What a manifest knows it by, in every process; stores show no secret."""
        return f"{self.store!r} {self.prefix}"

    async def put(
        self,
        name: str,
        body: AsyncIterable[bytes],
        *,
        content_type: str | None,
        size: int | None,
    ) -> str:
        """Store *body* as one object, and return its path."""
        path, chunks = self.prefix + name, aiter(body)
        attributes = self._attributes(content_type)
        beginning, is_all = await _beginning(chunks)
        if is_all:
            await self._put_whole(path, b"".join(beginning), attributes)
        else:
            await self._put_in_parts(path, beginning, chunks, attributes)
        return path

    def _attributes(self, content_type: str | None) -> obstore.Attributes | None:
        # A folder has no place for them, and obstore refuses to forget them.
        if content_type is None or isinstance(self.store, LocalStore):
            return None
        return {"Content-Type": content_type}

    async def _put_whole(
        self, path: str, content: bytes, attributes: obstore.Attributes | None
    ) -> None:
        with _usable():
            await _to_its_end(
                obstore.put_async(
                    self.store,
                    path,
                    content,
                    attributes=attributes,
                    use_multipart=False,
                )
            )

    async def _put_in_parts(
        self,
        path: str,
        beginning: deque[bytes],
        chunks: AsyncIterator[bytes],
        attributes: obstore.Attributes | None,
    ) -> None:
        writer = obstore.open_writer_async(
            self.store,
            path,
            attributes=attributes,
            buffer_size=_PART,
            max_concurrency=_PARTS_AT_ONCE,
        )
        try:
            with _usable():
                while beginning:
                    await _to_its_end(writer.write(beginning.popleft()))
            async for chunk in chunks:
                await _to_its_end(writer.write(chunk))
        except BaseException as error:
            await _abort(writer, error)
            raise
        # It aborts by itself if this fails, and cannot be told to any more.
        await _to_its_end(writer.close())


@attrs.frozen(eq=False)
class Object:
    """
    An object that can be uploaded, and read again for another try; a `Source`.

    It is never held in memory. Make it by `at`.

    Attributes:
        path: Where it is in its store.

        size: Length in bytes.

        filename: The last part of its path.
    """

    replayable: ClassVar[bool] = True

    _store: ObjectStore = attrs.field(repr=False)
    path: str
    size: int
    filename: str
    _etag: str | None = attrs.field(repr=False)

    @classmethod
    async def at(cls, store: ObjectStore, path: str) -> Object:
        """
        Look up the object at *path*.

        Raises:
            FileNotFoundError: There is none, or no such bucket.

            OSError, obstore.exceptions.BaseError: The store failed in another way.
        """
        _let_threads_end()
        found = await obstore.head_async(store, path)
        return cls(store, path, found["size"], basename(path), found["e_tag"])

    def __aiter__(self) -> AsyncIterator[bytes]:
        """
        Read it from its beginning.

        Raises:
            SourceChanged: It has been replaced since it was looked up.
        """
        return self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        found = await self._opened()
        async for chunk in found.stream(min_chunk_size=_CHUNK):
            yield bytes(chunk)

    async def _opened(self) -> obstore.GetResult:
        options: obstore.GetOptions = {"if_match": self._etag} if self._etag else {}
        try:
            return await obstore.get_async(self._store, self.path, options=options)
        except PreconditionError:
            raise SourceChanged(f"{self.path!r} has been replaced") from None


async def _beginning(chunks: AsyncIterator[bytes]) -> tuple[deque[bytes], bool]:
    """Read more than goes in one request, or all there is; and tell which."""
    beginning, size = deque[bytes](), 0
    async for chunk in chunks:
        beginning.append(chunk)
        size += len(chunk)
        if size > _PART:
            return beginning, False
    return beginning, True


async def _abort(
    writer: AbstractAsyncContextManager[object], error: BaseException
) -> None:
    """Leave it with an error: that aborts what it has begun."""
    with anyio.move_on_after(_PATIENCE, shield=True):
        await writer.__aexit__(type(error), error, None)


@contextmanager
def _usable() -> Generator[None]:
    """Around the first request, which shows whether there is any use in others."""
    try:
        yield
    except _UNUSABLE as error:
        raise DestinationUnusable(error) from error


async def _to_its_end(request: Awaitable[T]) -> T:
    """
    Await *request* to its end, though we be cancelled.

    One that is broken off in the middle leaves behind what nobody knows of, and what
    so cannot be aborted.
    """
    running = asyncio.ensure_future(request)
    # Nobody may be left to look at how it ended, and asyncio complains of that.
    running.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        with anyio.move_on_after(_PATIENCE, shield=True):
            await asyncio.wait([running])
        raise
