"""MediaClient: what users hold."""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal, Self, cast

import anyio
import httpx

from . import _call
from ._assembly import UNCHANGED, Unchanged, assembled
from ._batch.batch import Batch, OnError
from ._batch.jobs import batch_target, download_jobs, upload_jobs
from ._batch.outcomes import open_batch
from ._download import save as _download
from ._download.destination import put, target_of
from ._download.media_request import MediaRequest
from ._download.stream import MediaStream, open_stream
from ._events import EventCallback
from ._files.target import Target
from ._foreign import unsealed
from ._models import (
    Adaptive,
    Destination,
    Download,
    MediaContent,
    Outcome,
    Rate,
    RateLimiter,
    RetryPolicy,
    SavedMedia,
    Source,
    Upload,
    UploadedMedia,
)
from ._platforms import MIB, MINI_PROGRAM, Platform
from ._progress import ProgressCallback, Reporter
from ._session.family import AsyncClient
from ._session.session import Session
from ._tokens.providers import TokenLike, TokenProvider
from ._upload import upload as _upload
from ._upload.caches import UploadCache


class MediaClient:
    """
    Uploads and downloads WeChat temporary media, many at a time.

    One client is to be shared by all tasks of an event loop, for as long as
    the service runs: it holds the connections, the token and the bound on
    concurrency. Use ``async with``, or call `aclose()` at the end.

    Args:
        token: A token, where to get one (`AppToken`, `CorpToken`, a
            `TokenProvider`, a coroutine function), or None to send none.

        platform: `MINI_PROGRAM`, `OFFICIAL_ACCOUNT` or `WECOM`, or one made of
            those by ``attrs.evolve``.

        base_url: The address to call instead of the platform's hosts: that of a
            simulator or a gateway.

        http: A client of your own, an `httpx.AsyncClient` or an `httpx2.AsyncClient`,
            used as it is and never closed.

        max_concurrency: Transfers in flight, over all calls on this client.

        retry: How often a failed transfer is tried again, and after which waits.

        timeout: The most seconds for each single connect, read and write.

        deadline: The most seconds that one transfer may take, with all its tries.
            Waiting for a slot does not count. None: no deadline.

        verify: How certificates are checked, where *http* is not given. False checks
            nothing, and is unsafe.

        rate: The most calls that may start within some time; or a limiter that
            other processes share.

        file_io: ``"thread"`` reads and writes files in threads, for disks that are
            slow or on a network. ``"inline"`` is faster on others.

        upload_cache: Remembers uploads, so that the same bytes are not sent
            again while WeChat keeps them.

        account: A name for the account, such as its appid. An upload cache needs
            it where the token does not tell: where that is a str or a function.

        on_event: Called with an `Event` as transfers start, are tried again, and
            end, in the task of the transfer. What it raises is logged and ignored.
    """

    def __init__(
        self,
        token: TokenLike,
        *,
        platform: Platform = MINI_PROGRAM,
        base_url: str | None = None,
        http: AsyncClient | None = None,
        max_concurrency: int | Adaptive = 16,
        retry: RetryPolicy = RetryPolicy(),
        timeout: float | httpx.Timeout = 30.0,
        deadline: float | None = 300.0,
        verify: ssl.SSLContext | bool = True,
        rate: Rate | RateLimiter | None = None,
        file_io: Literal["inline", "thread"] = "inline",
        upload_cache: UploadCache | None = None,
        account: str | None = None,
        on_event: EventCallback | None = None,
    ) -> None:
        self._parts = assembled(
            token,
            platform=platform,
            base_url=base_url,
            http=http,
            max_concurrency=max_concurrency,
            retry=retry,
            timeout=timeout,
            deadline=deadline,
            verify=verify,
            rate=rate,
            file_io=file_io,
            upload_cache=upload_cache,
            account=account,
            on_event=on_event,
        )
        self._is_child = False

    def __repr__(self) -> str:
        return f"<MediaClient of {self._session.platform.name}>"

    async def __aenter__(self) -> Self:
        self._session.lifetime.check()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """
        Cancel what runs, wait for its end, and close the connections we made.

        May be called twice. Calls that are cancelled by it raise `ClientClosed`.
        A client made by `with_options` owns nothing and closes nothing.
        """
        if self._is_child:
            return
        try:
            await self._session.lifetime.close()
        finally:
            if self._session.requests.owns_http:
                with anyio.CancelScope(shield=True):
                    await self._session.requests.http.aclose()

    @property
    def http(self) -> httpx.AsyncClient:
        """The httpx client that carries every request."""
        requests = self._session.requests
        if requests.shortcut is not None:
            requests.shortcut.seen()
        return cast("httpx.AsyncClient", requests.http)

    @property
    def transport(self) -> Literal["sockets", "httpx", "yours"]:
        """
        What carries the next request.

        ``"sockets"``: our own. ``"httpx"``: httpx's transport, one connection
        for each request. ``"yours"``: the client that was given as ``http=``.
        """
        requests = self._session.requests
        if requests.shortcut is None:
            return "yours"
        return requests.shortcut.stack(requests.hosts.current)

    @property
    def token(self) -> TokenProvider | None:
        """Where tokens come from, for another SDK to share; None for None."""
        tokens = self._session.tokens
        return None if tokens is None else tokens.provider

    def with_options(
        self,
        *,
        timeout: float | httpx.Timeout | Unchanged = UNCHANGED,
        deadline: float | Unchanged | None = UNCHANGED,
        retry: RetryPolicy | Unchanged = UNCHANGED,
        token: TokenLike | Unchanged = UNCHANGED,
        rate: Rate | RateLimiter | Unchanged | None = UNCHANGED,
    ) -> MediaClient:
        """
        Return a client with other options on the same connections and bound.

        It owns nothing: closing it closes nothing, and it ends with this one.

        Args:
            timeout: Seconds for each connect, read and write.

            deadline: Seconds for one transfer with all its tries.

            retry: How patiently failures are tried again.

            token: For another account. That account then pauses by itself when
                WeChat wants fewer calls of it, and has no rate unless *rate* is
                given. Accounts take turns at the slots.

            rate: The most calls per time of the new client alone. It takes the place
                of this client's rate.
        """
        parts = self._parts.with_limits(timeout, deadline)
        if not isinstance(retry, Unchanged):
            parts = parts.with_policy(retry)
        if not isinstance(token, Unchanged):
            parts = parts.with_token(token)
        if not isinstance(rate, Unchanged):
            parts = parts.with_rate(rate)
        child = object.__new__(type(self))
        child._parts, child._is_child = parts, True
        return child

    @property
    def _session(self) -> Session:
        return self._parts.session

    async def upload(
        self,
        source: Source,
        type: str = "image",
        *,
        filename: str | None = None,
        content_type: str | None = None,
        size: int | None = None,
        replayable: bool = False,
        progress: ProgressCallback | None = None,
        timeout: float | httpx.Timeout | Unchanged = UNCHANGED,
        deadline: float | Unchanged | None = UNCHANGED,
    ) -> UploadedMedia:
        """
        Upload one media and return what WeChat calls it for three days.

        The body is streamed. A cancelled or failed upload leaves the source as
        it was: a file object is back where it stood before.

        Args:
            source: A path, bytes, a binary file (sent from where it stands),
                an async file, or an async iterable of bytes.

            type: ``image``, ``voice``, ``video``, ``thumb`` or ``file``.

            filename: The name that WeChat sees; made up where there is none.

            content_type: The type of the bytes, which WeChat ignores.

            size: Length in bytes, for an async iterable; without it, that is
                spooled to a temporary file first.

            replayable: Whether an async iterable with a *size* can be gone through
                again, and so be sent again where a try fails. Without it, or an
                attribute of that name that is True, it is tried once.

            progress: Called with a `Progress` as the bytes go.

            timeout: Instead of the client's, for this call.

            deadline: Instead of the client's, for this call.

        Raises:
            MediaRejected: Wrong type or size, before any request where the
                platform's rules are certain.

            TooLarge: More than the type's limit.

            SourceChanged: The source gave other bytes than it promised.

            MediaError: Every other failure of the transfer; see the error tree.

            OSError: The source could not be read.
        """
        with unsealed:
            return await _upload.upload(
                self._parts.limited(timeout, deadline),
                self._parts.means,
                source,
                _upload.UploadAs(type, filename, content_type, replayable),
                size=size,
                reporter=Reporter(progress, source),
            )

    async def download(
        self,
        media_id: str,
        to: str | os.PathLike[str] | Destination,
        *,
        overwrite: bool = False,
        max_bytes: int | None = None,
        progress: ProgressCallback | None = None,
        hd_voice: bool = False,
        timeout: float | httpx.Timeout | Unchanged = UNCHANGED,
        deadline: float | Unchanged | None = UNCHANGED,
    ) -> SavedMedia:
        """
        Download one media to a file, into a folder, or to a `Destination`.

        The file appears whole or not at all, also when this is cancelled.

        Args:
            media_id: What WeChat calls the media.

            to: A file, whose folder must exist; or a folder, one that exists
                or a str that ends in a slash, which is made. In a folder the
                name is the media_id with a suffix.

            overwrite: Whether a file that exists may be replaced.

            max_bytes: The most bytes to accept; None: the platform's cap.

            progress: Called with a `Progress` as the bytes come.

            hd_voice: Ask for the speex recording of a voice.

            timeout: Instead of the client's, for this call.

            deadline: Instead of the client's, for this call.

        Raises:
            MediaNotFound: The media_id is wrong, too old, or another account's.

            FileExistsError: There is a file of that name, and no `overwrite`.

            TooLarge: More than *max_bytes*.

            MediaError: Every other failure of the transfer; see the error tree.

            OSError: The file could not be written.
        """
        session = self._parts.limited(timeout, deadline)
        wanted = self._wanted(media_id, max_bytes, hd_voice)
        target = target_of(to, overwrite=overwrite)
        reporter = Reporter(progress, media_id)
        with unsealed:
            if not isinstance(target, Target):
                return await put(session, wanted, target, reporter=reporter)
            return await _download.save(
                session,
                wanted,
                target,
                file_io=self._parts.means.file_io,
                overwrite=overwrite,
                reporter=reporter,
            )

    async def read(
        self,
        media_id: str,
        *,
        max_bytes: int | None = 32 * MIB,
        hd_voice: bool = False,
        timeout: float | httpx.Timeout | Unchanged = UNCHANGED,
        deadline: float | Unchanged | None = UNCHANGED,
    ) -> MediaContent:
        """
        Download one media into memory, at most *max_bytes* of it.

        *timeout* and *deadline* take the place of the client's for this call.

        Raises:
            TooLarge: More than *max_bytes*.

            MediaError: Every other failure of the transfer; see the error tree.
        """
        wanted = self._wanted(media_id, max_bytes, hd_voice)
        session = self._parts.limited(timeout, deadline)
        with unsealed:
            return await _download.read(session, wanted)

    def stream(
        self,
        media_id: str,
        *,
        max_bytes: int | None = None,
        hd_voice: bool = False,
        timeout: float | httpx.Timeout | Unchanged = UNCHANGED,
        deadline: float | Unchanged | None = UNCHANGED,
    ) -> AbstractAsyncContextManager[MediaStream]:
        """
        Download one media chunk by chunk, in an ``async with`` block.

        It is tried again until the reply's head is there, not after. The slot
        is held until the block ends, so start no other transfer of this client
        inside the block. *timeout* and *deadline* take the place of the client's.

        Raises:
            TooLarge: More than *max_bytes*.

            MediaError: Every other failure of the transfer; see the error tree.
        """
        wanted = self._wanted(media_id, max_bytes, hd_voice)
        return open_stream(self._parts.limited(timeout, deadline), wanted)

    def upload_many(
        self,
        items: Iterable[Source | Upload] | AsyncIterable[Source | Upload],
        type: str = "image",
        *,
        on_error: OnError = "collect",
        progress: ProgressCallback | None = None,
        manifest: str | os.PathLike[str] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Outcome[object, UploadedMedia]]]:
        """
        Upload many media at once; outcomes come in order of completion.

        An ``async with`` block gives the iterator of outcomes. Leaving the
        block early cancels what runs and reads no further item.

        Args:
            items: Sources, or `Upload` with options of their own; read lazily,
                no faster than the outcomes are.

            type: ``image``, ``voice``, ``video``, ``thumb`` or ``file``.

            on_error: ``"collect"`` puts a failure into its outcome;
                ``"raise"`` cancels the rest and raises it.

            progress: Called with a `Progress` of each item as its bytes go.

            manifest: A file of JSON lines that remembers what is finished.

        Raises:
            TypeError: *items* is a single source.

            RuntimeError: An item was lost, and has no outcome.
        """
        batch = Batch(
            items=items,
            understand=upload_jobs(
                self._session, self._parts.means, type, self._parts.scope
            ),
            width=self._session.pace.width,
            on_error=on_error,
            progress=progress,
            manifest=manifest,
            folder=None,
            file_io=self._parts.means.file_io,
            check=self._session.lifetime.check,
        )
        return open_batch(batch)

    def download_many(
        self,
        media_ids: Iterable[str | Download] | AsyncIterable[str | Download],
        to: str | os.PathLike[str] | Destination,
        *,
        overwrite: bool = False,
        max_bytes: int | None = None,
        on_error: OnError = "collect",
        progress: ProgressCallback | None = None,
        manifest: str | os.PathLike[str] | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Outcome[object, SavedMedia]]]:
        """
        Download many media at once; outcomes come in order of completion.

        An ``async with`` block gives the iterator of outcomes. Leaving the
        block early cancels what runs and reads no further item.

        Args:
            media_ids: Ids, or `Download` with options of their own; read
                lazily, no faster than the outcomes are.

            to: A folder, or a `Destination`.

            overwrite: Whether files that exist may be replaced.

            max_bytes: The most bytes of each; None: the platform's cap.

            on_error: ``"collect"`` puts a failure into its outcome;
                ``"raise"`` cancels the rest and raises it.

            progress: Called with a `Progress` of each item as its bytes come.

            manifest: A file of JSON lines that remembers what is finished.

        Raises:
            TypeError: *media_ids* is a single str, or *to* is neither a path nor
                a `Destination`.

            ValueError: *to* is empty, or holds a NUL.

            OSError: The folder cannot be one, or cannot be written to.

            RuntimeError: An item was lost, and has no outcome.
        """
        target = batch_target(to)
        jobs = download_jobs(
            self._session,
            target,
            self._parts.scope,
            file_io=self._parts.means.file_io,
            overwrite=overwrite,
            max_bytes=max_bytes,
        )
        batch = Batch(
            items=media_ids,
            understand=jobs,
            width=self._session.pace.width,
            on_error=on_error,
            progress=progress,
            manifest=manifest,
            folder=target.folder if isinstance(target, Target) else None,
            file_io=self._parts.means.file_io,
            check=self._session.lifetime.check,
        )
        return open_batch(batch)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        params: Mapping[str, str] | None = None,
        timeout: float | httpx.Timeout | Unchanged = UNCHANGED,
        deadline: float | Unchanged | None = UNCHANGED,
    ) -> dict[str, object]:
        """
        Send any other JSON call of the platform, with the same token and care.

        The token is renewed once where it is refused, and a busy service is
        tried again. Another call than a GET is not sent twice where WeChat may
        have carried it out already.

        Args:
            method: ``GET`` or ``POST``.

            path: What follows the host, for example
                ``/cgi-bin/message/custom/send``.

            json: The body, sent as UTF-8.

            params: More of the query than the token.

            timeout: Instead of the client's, for this call.

            deadline: Instead of the client's, for this call.

        Returns:
            The reply, at most 4 MiB of it.

        Raises:
            APIError: WeChat answered with an errcode.

            MediaError: Every other failure; see the error tree.
        """
        session = self._parts.limited(timeout, deadline)
        with unsealed:
            return await _call.call(session, method, path, json=json, params=params)

    def _wanted(
        self, media_id: str, max_bytes: int | None, hd_voice: bool
    ) -> MediaRequest:
        cap = self._session.platform.max_bytes if max_bytes is None else max_bytes
        return MediaRequest(media_id, cap, hd_voice)
