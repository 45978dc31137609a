"""MediaClient: what users hold."""

from __future__ import annotations

import enum
import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Literal, Self, cast

import anyio
import attrs
import httpx

from . import _call
from ._batch.batch import Batch, OnError
from ._batch.jobs import batch_target, download_jobs, upload_jobs
from ._batch.order import Scope
from ._batch.outcomes import open_batch
from ._download import save as _download
from ._download.destination import put, target_of
from ._download.media_request import MediaRequest
from ._download.stream import MediaStream, open_stream
from ._events import EventCallback
from ._files.target import Target
from ._foreign import Complaints, unsealed
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
from ._session.accounts import Accounts
from ._session.bound import Bound, width_for
from ._session.family import AsyncClient, family_of
from ._session.hosts import Hosts
from ._session.lifetime import Lifetime
from ._session.pace import Pace
from ._session.rate import limiter_for
from ._session.renewals import Renewals
from ._session.requests import HEADERS, Requests
from ._session.session import Session
from ._session.urls import shown_url
from ._tokens.account import account_name, identity_of
from ._tokens.bound import bind
from ._tokens.checked import checked
from ._tokens.providers import TokenLike, TokenProvider
from ._upload import upload as _upload
from ._upload.caches import UploadCache
from ._upload.reuse import Reuse, account_of
from ._upload.upload import Means
from .transport._client import own_client
from .transport._shortcut import Shortcut

# Well below the 1 024 descriptors that a process has by default.
_OPEN_SOURCES = 256

_USER_AGENT = {"User-Agent": "wxmedia_async"}


class _Unchanged(enum.Enum):
    """An option that was not given, where None means something."""

    UNCHANGED = "unchanged"


_UNCHANGED = _Unchanged.UNCHANGED


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

        base_url: Instead of the platform's hosts: a simulator, a gateway.

        http: A client of your own, an `httpx.AsyncClient` or an `httpx2.AsyncClient`,
            used as it is and never closed.

        max_concurrency: Transfers in flight, over all calls on this client.

        retry: How patiently failures are tried again.

        timeout: Seconds for each connect, read and write.

        deadline: Seconds for one transfer with all its tries; waiting for a
            slot does not count. None: no deadline.

        verify: How certificates are checked on connections that we make.

        rate: Calls per time, or a limiter shared with others.

        file_io: ``"thread"`` where disks are slow or on a network.

        upload_cache: Remembers uploads, so that the same bytes are not sent
            again while WeChat keeps them.

        account: Whose media_ids these are, for the cache, where the token does
            not name it.

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
        if file_io not in ("inline", "thread"):
            raise ValueError("file_io is either 'inline' or 'thread'")
        if not isinstance(platform, Platform):
            raise TypeError("platform is a Platform, such as WECOM")
        if on_event is not None and not callable(on_event):
            raise TypeError("on_event is a function of one Event")
        urls = platform.hosts if base_url is None else (_checked(base_url),)
        owns_http = http is None
        shortcut: Shortcut | None = None
        if http is None:
            http, shortcut = own_client(
                verify, always=_USER_AGENT, headers=HEADERS, shown=shown_url
            )
        requests = Requests(
            http=http,
            owns_http=owns_http,
            family=family_of(http),
            hosts=Hosts(urls),
            timeout=_timeout(timeout),
            shortcut=shortcut,
        )
        self._accounts = Accounts()
        self._complaints = Complaints()
        pace = Pace(
            Bound(width_for(max_concurrency)),
            self._accounts.of(identity_of(token)),
            limiter_for(rate),
        )
        session = Session(
            requests=requests,
            platform=platform,
            pace=pace,
            tokens=None,
            renewals=Renewals(),
            policy=retry,
            deadline=_deadline(deadline),
            lifetime=Lifetime(),
            on_event=on_event,
        )
        self._means = Means(
            file_io=file_io,
            open_sources=anyio.Semaphore(_OPEN_SOURCES, fast_acquire=True),
            reuse=self._reuse(upload_cache, urls[0], token, account, platform),
        )
        self._session = self._with_token(session, token)
        self._account = account_name(token) if account is None else account
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
        timeout: float | httpx.Timeout | _Unchanged = _UNCHANGED,
        deadline: float | _Unchanged | None = _UNCHANGED,
        retry: RetryPolicy | _Unchanged = _UNCHANGED,
        token: TokenLike | _Unchanged = _UNCHANGED,
        rate: Rate | RateLimiter | _Unchanged | None = _UNCHANGED,
    ) -> MediaClient:
        """
        Return a client with other options on the same connections and bound.

        It owns nothing: closing it closes nothing, and it ends with this one.

        Args:
            timeout: Seconds for each connect, read and write.

            deadline: Seconds for one transfer with all its tries.

            retry: How patiently failures are tried again.

            token: Of another account, say, which then has a pause of its own when
                WeChat wants fewer calls of it, and no rate but *rate*. Accounts
                take turns at the slots.

            rate: Calls per time of this client alone, instead of the other's.
        """
        session, means = self._session, self._means
        session = _with_limits(session, timeout, deadline)
        if not isinstance(retry, _Unchanged):
            session = attrs.evolve(session, policy=retry)
        if not isinstance(token, _Unchanged):
            session = self._for_account(session, token)
            means = attrs.evolve(
                means, reuse=means.reuse and means.reuse.of_account(token)
            )
        if not isinstance(rate, _Unchanged):
            pace = attrs.evolve(session.pace, limiter=limiter_for(rate))
            session = attrs.evolve(session, pace=pace)
        child = object.__new__(type(self))
        child._session, child._means, child._is_child = session, means, True
        child._accounts, child._complaints = self._accounts, self._complaints
        child._account = self._account
        if not isinstance(token, _Unchanged):
            child._account = account_name(token)
        return child

    def _for_account(self, session: Session, token: TokenLike) -> Session:
        """A pause, and a rate, are those of an account; the bound is one for all."""
        account = self._accounts.of(identity_of(token))
        if account is not session.pace.account:
            pace = attrs.evolve(session.pace, account=account, limiter=None)
            session = attrs.evolve(session, pace=pace)
        return self._with_token(attrs.evolve(session, renewals=Renewals()), token)

    def _with_token(self, session: Session, token: TokenLike) -> Session:
        # The endpoint is called by a session without a token, or it would wait for
        # itself.
        anonymous = attrs.evolve(session, tokens=None)
        provider = bind(
            token,
            anonymous.fetch_token,
            scope=session.requests.hosts.urls[0],
            complaints=self._complaints,
        )
        return attrs.evolve(session, tokens=checked(provider))

    def _reuse(
        self,
        cache: UploadCache | None,
        service: str,
        token: TokenLike,
        account: str | None,
        platform: Platform,
    ) -> Reuse | None:
        if cache is None:
            return None
        owner = account_of(token, account)
        return Reuse(cache, service, owner, platform.wecom, self._complaints)

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
        timeout: float | httpx.Timeout | _Unchanged = _UNCHANGED,
        deadline: float | _Unchanged | None = _UNCHANGED,
    ) -> UploadedMedia:
        """
        Upload one media and return what WeChat calls it for three days.

        The body is streamed. A cancelled or failed upload leaves the source as
        it was: a file object stands again where it stood.

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
                _with_limits(self._session, timeout, deadline),
                self._means,
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
        timeout: float | httpx.Timeout | _Unchanged = _UNCHANGED,
        deadline: float | _Unchanged | None = _UNCHANGED,
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
        session = _with_limits(self._session, timeout, deadline)
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
                file_io=self._means.file_io,
                overwrite=overwrite,
                reporter=reporter,
            )

    async def read(
        self,
        media_id: str,
        *,
        max_bytes: int | None = 32 * MIB,
        hd_voice: bool = False,
        timeout: float | httpx.Timeout | _Unchanged = _UNCHANGED,
        deadline: float | _Unchanged | None = _UNCHANGED,
    ) -> MediaContent:
        """
        Download one media into memory, at most *max_bytes* of it.

        *timeout* and *deadline* take the place of the client's for this call.

        Raises:
            TooLarge: More than *max_bytes*.

            MediaError: Every other failure of the transfer; see the error tree.
        """
        wanted = self._wanted(media_id, max_bytes, hd_voice)
        session = _with_limits(self._session, timeout, deadline)
        with unsealed:
            return await _download.read(session, wanted)

    def stream(
        self,
        media_id: str,
        *,
        max_bytes: int | None = None,
        hd_voice: bool = False,
        timeout: float | httpx.Timeout | _Unchanged = _UNCHANGED,
        deadline: float | _Unchanged | None = _UNCHANGED,
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
        return open_stream(_with_limits(self._session, timeout, deadline), wanted)

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
            understand=upload_jobs(self._session, self._means, type, self._scope()),
            width=self._session.pace.width,
            on_error=on_error,
            progress=progress,
            manifest=manifest,
            folder=None,
            file_io=self._means.file_io,
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
            self._scope(),
            file_io=self._means.file_io,
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
            file_io=self._means.file_io,
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
        timeout: float | httpx.Timeout | _Unchanged = _UNCHANGED,
        deadline: float | _Unchanged | None = _UNCHANGED,
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
        session = _with_limits(self._session, timeout, deadline)
        with unsealed:
            return await _call.call(session, method, path, json=json, params=params)

    def _scope(self) -> Scope:
        session = self._session
        url = session.requests.hosts.urls[0].rstrip("/")
        return Scope(session.platform.name, url, self._account)

    def _wanted(
        self, media_id: str, max_bytes: int | None, hd_voice: bool
    ) -> MediaRequest:
        cap = self._session.platform.max_bytes if max_bytes is None else max_bytes
        return MediaRequest(media_id, cap, hd_voice)


def _with_limits(
    session: Session,
    timeout: float | httpx.Timeout | _Unchanged,
    deadline: float | _Unchanged | None,
) -> Session:
    if not isinstance(timeout, _Unchanged):
        requests = attrs.evolve(session.requests, timeout=_timeout(timeout))
        session = attrs.evolve(session, requests=requests)
    if not isinstance(deadline, _Unchanged):
        session = attrs.evolve(session, deadline=_deadline(deadline))
    return session


def _timeout(timeout: float | httpx.Timeout) -> httpx.Timeout:
    if isinstance(timeout, httpx.Timeout):
        return timeout
    return httpx.Timeout(_positive(timeout, "timeout"), pool=None)


def _deadline(deadline: float | None) -> float | None:
    return None if deadline is None else _positive(deadline, "deadline")


def _positive(seconds: float, name: str) -> float:
    if not seconds > 0:  # which NaN is not either
        raise ValueError(f"{name} is a positive number of seconds")
    return seconds


def _checked(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"base_url is no URL: {error}") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError("base_url begins with http:// or https:// and a host")
    if url.userinfo:
        # It would have to join every kind of request, and be kept out of every text.
        raise ValueError("base_url holds no user info; set client.http.auth instead")
    if url.port is not None and not 0 < url.port < 65536:
        raise ValueError("base_url has a port that is none")
    if url.query or url.fragment:
        raise ValueError("base_url ends with a host or a path")
    return base_url
