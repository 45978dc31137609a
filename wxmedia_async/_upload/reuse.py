"""The same bytes need not be uploaded twice while WeChat keeps them."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import attrs

from .._models import UploadedMedia, lives_long_enough
from .._sources.plain_file import pread
from .._sources.source import OpenSource
from .._tokens.providers import AppToken, CorpToken, TokenLike
from .caches import UploadCache

Update: TypeAlias = Callable[[bytes | bytearray], None]

# A thread costs more than hashing less than this.
_BATCH = 1024 * 1024


@attrs.define(eq=False, repr=False)
class Reuse:
    """
    Gives the media_id of an earlier upload of the same bytes, type and account.

    Of many equal sources at once, one is uploaded and the others wait for it.
    """

    _cache: UploadCache
    _account: str
    _locks: WeakValueDictionary[str, anyio.Lock] = attrs.field(
        factory=WeakValueDictionary[str, anyio.Lock], init=False
    )

    async def upload(
        self,
        source: OpenSource,
        type: str,
        send: Callable[[], Awaitable[UploadedMedia]],
    ) -> UploadedMedia:
        """Return what is known of *source*, or have it sent and remember that."""
        key = await self._key(source, type)
        lock = self._locks.setdefault(key, anyio.Lock())
        async with lock:
            known = await self._cache.load(key)
            if known is not None and lives_long_enough(known.expires_at):
                return known
            sent = await send()
            await self._cache.save(key, sent)
            return sent

    def of_account(self, token: TokenLike) -> Reuse | None:
        """Share the cache with another account; None where it has no name."""
        if not isinstance(token, (AppToken, CorpToken)):
            return None
        return Reuse(self._cache, account_of(token, None))

    async def _key(self, source: OpenSource, type: str) -> str:
        digest = hashlib.sha256(f"{self._account}\0{type}\0".encode())
        if source.fileno is not None:
            await anyio.to_thread.run_sync(_hash_file, digest.update, source)
        else:
            await _hash_chunks(digest.update, source)
        return digest.hexdigest()


def account_of(token: TokenLike, account: str | None) -> str:
    """Tell whose media_ids these are: they are worth nothing to others."""
    if account is not None:
        return account
    if isinstance(token, AppToken):
        return token.appid
    if isinstance(token, CorpToken):
        return token.corpid
    raise ValueError("an upload cache needs account= where the token names none")


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
