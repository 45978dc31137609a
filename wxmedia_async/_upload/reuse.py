"""The same bytes need not be uploaded twice while WeChat keeps them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeAlias, TypeVar

import anyio
import anyio.to_thread
import attrs

from .._foreign import Complaints, Raised, sealed
from .._models import UploadedMedia, lives_long_enough
from .._sources.plain_file import pread
from .._sources.source import OpenSource
from .._tokens.providers import AppToken, CorpToken, TokenLike
from .caches import UploadCache

T = TypeVar("T")

Update: TypeAlias = Callable[[bytes | bytearray], None]

Send: TypeAlias = Callable[[], Awaitable[UploadedMedia]]

# A thread costs more than hashing less than this.
_BATCH = 1024 * 1024

# Seconds that a cache has for a load or a save: it is to spare time.
_PATIENCE = 5.0

_HELPER = "the upload cache"


@attrs.define(eq=False)
class _Leader:
    """The upload that others of the same bytes wait for, and what came of it."""

    over: anyio.Event = attrs.field(factory=anyio.Event, init=False)
    sent: UploadedMedia | None = attrs.field(default=None, init=False)
    cancelled: bool = attrs.field(default=False, init=False)


@attrs.define(eq=False, repr=False)
class Reuse:
    """
    Gives the media_id of an earlier upload of the same bytes.

    The same bytes are the same media for one service, account and type; and for one
    name, where people see it. Of many equal sources at once, one is uploaded and the
    others wait for it.

    Attributes:
        cache: Keeps them. Whatever it raises is passed over.

        service: The base URL: media_ids are worth nothing to another service.

        account: Whose they are.

        named: Whether people see a media's name, as in WeCom.

        complaints: Told of a cache that fails.
    """

    _cache: UploadCache
    _service: str
    _account: str
    _named: bool
    _complaints: Complaints
    _under_way: dict[str, _Leader] = attrs.field(factory=dict[str, _Leader], init=False)

    async def upload(
        self, source: OpenSource, type: str, filename: str, send: Send
    ) -> UploadedMedia:
        """
        Return what is known of *source*, or have it sent and remember that.

        Waits for an equal upload that is under way as long as the caller's scopes
        allow. If that is cancelled another takes its place; if it fails, nobody who
        waited for it waits for another.

        Args:
            source: Can be read again.

            type: WeChat's type of media.

            filename: The name that WeChat sees.

            send: Uploads it.
        """
        content = await _hashed(source)
        key = self._key(content, type, filename)
        while (leader := self._under_way.get(key)) is not None:
            await leader.over.wait()
            if leader.sent is not None:
                return leader.sent
            if not leader.cancelled:
                return await send()
        source.record.watch()
        return await self._lead(key, partial(_was_sent, source, content), send)

    def of_account(self, token: TokenLike) -> Reuse | None:
        """Share the cache with another account; None where it has no name."""
        if not isinstance(token, (AppToken, CorpToken)):
            return None
        account = account_of(token, None)
        return Reuse(self._cache, self._service, account, self._named, self._complaints)

    async def _lead(
        self, key: str, was_sent: Callable[[], Awaitable[bool]], send: Send
    ) -> UploadedMedia:
        leader = self._under_way[key] = _Leader()
        try:
            if known := await self._known(key):
                leader.sent = known
                return known
            sent = await send()
            if await was_sent():
                leader.sent = sent
                leader.over.set()
                await self._remember(key, sent)
            return sent
        except anyio.get_cancelled_exc_class():
            leader.cancelled = True
            raise
        finally:
            del self._under_way[key]
            leader.over.set()

    async def _known(self, key: str) -> UploadedMedia | None:
        async def load() -> UploadedMedia | None:
            return _worth_giving(await self._cache.load(key))

        return await self._aided(load)

    async def _remember(self, key: str, media: UploadedMedia) -> None:
        """Not even the deadline takes away what WeChat has made by now."""
        await self._aided(partial(self._cache.save, key, media), shield=True)

    async def _aided(
        self, call: Callable[[], Awaitable[T]], *, shield: bool = False
    ) -> T | None:
        """Return what the cache gives, or None where it fails or takes too long."""
        try:
            with anyio.move_on_after(_PATIENCE, shield=shield), sealed:
                return await call()
        except Raised as failure:
            self._complaints.note(_HELPER, failure)
        else:
            self._complaints.note(_HELPER, TimeoutError())
        return None

    def _key(self, content: str, type: str, filename: str) -> str:
        name = filename if self._named else None
        # As JSON, or two lists of words could look alike.
        words = json.dumps([self._service, self._account, type, name, content])
        return hashlib.sha256(words.encode()).hexdigest()


def _worth_giving(known: object) -> UploadedMedia | None:
    """
    Return what a cache gave, if it will live for a while.

    Raises:
        TypeError: It is something else.
    """
    if known is None:
        return None
    if not isinstance(known, UploadedMedia):
        raise TypeError("a cache gives UploadedMedia")
    return known if lives_long_enough(known.expires_at) else None


def account_of(token: TokenLike, account: str | None) -> str:
    """Tell whose media_ids these are: they are worth nothing to others."""
    if account is not None:
        return account
    if isinstance(token, AppToken):
        return token.appid
    if isinstance(token, CorpToken):
        return token.corpid
    raise ValueError(
        "upload_cache= needs account= as well, since this token does not name one"
    )


async def _hashed(source: OpenSource) -> str:
    digest = hashlib.sha256()
    if source.fileno is not None:
        await anyio.to_thread.run_sync(_hash_file, digest.update, source)
    else:
        await _hash_chunks(digest.update, source)
    return digest.hexdigest()


async def _was_sent(source: OpenSource, content: str) -> bool:
    """Tell whether the bytes that were sent are those that were hashed before."""
    if source.record.sent is not None:
        return source.record.sent == content
    if source.fileno is None:
        return False
    # The transport has read the file by itself.
    try:
        with anyio.move_on_after(_PATIENCE, shield=True):
            return await _hashed(source) == content
    except OSError:
        pass
    return False


def _hash_file(update: Update, source: OpenSource) -> None:
    assert source.fileno is not None
    offset = source.offset or 0
    end = offset + source.size
    while offset < end:
        chunk = pread(source.fileno, min(_BATCH, end - offset), offset)
        if not chunk:
            return  # it shrank, as sending it will find out
        update(chunk)
        offset += len(chunk)


async def _hash_chunks(update: Update, source: OpenSource) -> None:
    batch = bytearray()
    async for chunk in source.chunks():
        batch += chunk
        if len(batch) >= _BATCH:
            await anyio.to_thread.run_sync(update, bytes(batch))
            batch.clear()
    update(batch)
