"""The body of an upload, read from its source while it is sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import attrs
import httpx

from .._errors import MediaError, Phase
from .._progress import Reporter
from .._session.speed import Speed
from .._sources.source import OpenSource
from .._wire import multipart


@attrs.define(eq=False, repr=False)
class MultipartBody(httpx.AsyncByteStream):
    """
    The body of an upload, read from its source while it is sent.

    Can be iterated again where the source can be read again.
    """

    envelope: multipart.Envelope
    source: OpenSource
    reporter: Reporter
    _begun: bool = attrs.field(default=False, init=False)
    _earlier: MediaError | None = attrs.field(default=None, init=False)

    @property
    def replayable(self) -> bool:
        """Whether a transport may send it once more."""
        return self.source.replayable or not self._begun

    def obstacle(self, failure: MediaError) -> str | None:
        """Tell why it must not be sent again, if so."""
        if self.source.failure is not None:
            return "not tried again: the source could not be read again"
        if not self.replayable:
            return "not tried again: the source cannot be read twice"
        self._earlier = failure
        return None

    def begin(self) -> None:
        """Take note of another try."""
        self.reporter.begin(self.source.size)

    def raise_failure(self) -> None:
        """
        Raise what the source itself has failed with, if it has.

        Whoever wants to read a source again has a failure already, and that counts.
        """
        if self.source.failure is not None:
            raise self._earlier or self.source.failure

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._begun = True
        return _Pass(self)


class FromFile(httpx.AsyncByteStream):
    """
    The same body, for transports that send a file without reading it.

    See `transport.FileBody`; for all others it is an ordinary stream.
    """

    def __init__(self, body: MultipartBody) -> None:
        assert body.source.fileno is not None
        self.head = body.envelope.head
        self.tail = body.envelope.tail
        self.fileno = body.source.fileno
        self.offset = body.source.offset or 0
        self.size = body.source.size
        self.replayable = True
        self._body = body
        self._sent = 0
        self._since = 0.0
        self._speed = Speed(Phase.SEND)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._body)

    def progress(self, sent: int) -> None:
        """Take note of how many of the file's bytes have been sent."""
        now = time.monotonic()
        if sent <= self._sent:  # another try
            self._sent, self._since, self._speed = 0, now, Speed(Phase.SEND)
        waited = now - self._since if self._sent else 0.0
        self._speed.moved(sent - self._sent, waited)
        self._sent, self._since = sent, now
        self._body.reporter.report(sent, self.size)

    def check(self) -> None:
        """Raise SourceChanged if the file is another by now."""
        self._body.source.check()


class _Pass(AsyncIterator[bytes]):
    """
    One sending of the body.

    Not an async generator: transports abandon those when a write fails, and
    then nobody closes them.
    """

    def __init__(self, body: MultipartBody) -> None:
        self._body = body
        self._head, self._tail = body.envelope.head, body.envelope.tail
        self._chunks = body.source.chunks()
        self._size = body.source.size
        self._speed = Speed(Phase.SEND)
        self._handed = 0
        self._last: tuple[float, int] | None = None

    async def __anext__(self) -> bytes:
        self._account()
        if self._handed == self._size and not self._tail:
            raise StopAsyncIteration
        chunk = await anext(self._chunks, b"")
        self._handed += len(chunk)
        wrapped = self._wrapped(chunk)
        self._last = time.monotonic(), len(chunk)
        return wrapped

    def _wrapped(self, chunk: bytes) -> bytes:
        """Head and tail travel with the first and last bytes: fewer packets."""
        head, self._head = self._head, b""
        if self._handed < self._size:
            return head + chunk if head else chunk
        tail, self._tail = self._tail, b""
        return head + chunk + tail

    def _account(self) -> None:
        """Whoever comes for the next chunk has sent the last one."""
        if self._last is None:
            return
        handed_at, size = self._last
        self._body.reporter.report(self._handed, self._size)
        self._speed.moved(size, time.monotonic() - handed_at)
