"""What users hold, bound to a service: tokens that can be fetched."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta

import attrs

from .._errors import UnexpectedReply
from .._models import AccessToken
from .._wire import replies
from .cache import TokenCache, utc_now
from .providers import (
    AppToken,
    CorpToken,
    Send,
    StaticToken,
    TokenCall,
    TokenFunction,
    TokenLike,
    TokenProvider,
)


@attrs.frozen
class BoundToken:
    """An `AppToken` or a `CorpToken` that knows how to reach the service."""

    _credential: AppToken | CorpToken
    _send: Send = attrs.field(repr=False)
    _scope: str

    async def get(self) -> str:
        return await self._cache.get(self._obtain)

    async def renew(self, rejected: str) -> str:
        async def replace() -> AccessToken:
            return await self._obtain(rejected)

        return await self._cache.renew(rejected, replace)

    @property
    def _cache(self) -> TokenCache:
        return self._credential.cache

    async def _obtain(self, rejected: str | None = None) -> AccessToken:
        store = self._credential.store
        if store is None:
            return await self._fetch(rejected)
        key = self._key()
        # What we have is no news either: a token is replaced before it ends.
        known = {rejected, self._cache.value}
        if (found := _other(await store.load(key), known)) is not None:
            return found
        async with store.lock(key):
            # Whoever held the lock before has probably fetched it for us.
            if (found := _other(await store.load(key), known)) is not None:
                return found
            fetched = await self._fetch(rejected)
            await store.save(key, fetched)
            return fetched

    async def _fetch(self, rejected: str | None) -> AccessToken:
        token = await self._call(self._credential.ordinary_call())
        forced = self._credential.forced_call()
        # Somebody else may have renewed it already: forcing it then would kill
        # their token, and they would kill ours.
        if token.value != rejected or forced is None or not self._cache.may_force():
            return token
        return await self._call(forced)

    async def _call(self, call: TokenCall) -> AccessToken:
        try:
            value, seconds = replies.access_token(await self._send(call))
        except UnexpectedReply as error:
            failure = error
        else:
            return AccessToken(value, utc_now() + timedelta(seconds=seconds))
        # The frames below hold the reply, and with it a token.
        raise failure.with_traceback(None)

    def _key(self) -> str:
        credential = self._credential
        owner = (
            (credential.endpoint, credential.appid)
            if isinstance(credential, AppToken)
            else ("gettoken", credential.corpid)
        )
        parts = (self._scope, *owner, credential.secret)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _other(
    token: AccessToken | None, known: AbstractSet[str | None]
) -> AccessToken | None:
    """A stored token that is worth trying."""
    if token is None or token.value in known:
        return None
    return token if token.expires_at > utc_now() else None


@attrs.frozen
class FunctionToken:
    """A token from a coroutine function of the user's, kept while it is good."""

    _function: TokenFunction
    _cache: TokenCache = attrs.field(factory=TokenCache, init=False, repr=False)

    async def get(self) -> str:
        return await self._cache.get(self._fetch)

    async def renew(self, rejected: str) -> str:
        return await self._cache.renew(rejected, self._fetch)

    async def _fetch(self) -> AccessToken:
        token = await self._function()
        if isinstance(token, AccessToken):
            return token
        if not isinstance(token, str) or not token:
            raise TypeError("a token function must return a str or an AccessToken")
        return AccessToken(token, _NEVER)


# The platform's word ends a token that came without a time.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def bind(token: TokenLike, send: Send, *, scope: str) -> TokenProvider | None:
    """
    Make a provider of whatever the user gave.

    Args:
        token: See `MediaClient`.

        send: How a token endpoint is called.

        scope: The base URL, so that a stored token of a simulator is never
            taken for one of the service.
    """
    if token is None:
        return None
    if isinstance(token, str):
        return StaticToken(token)
    if isinstance(token, (AppToken, CorpToken)):
        return BoundToken(token, send, scope)
    # A class has the methods of its objects, but is none.
    if not inspect.isclass(token):
        if isinstance(token, TokenProvider):
            return token
        if callable(token):
            return FunctionToken(token)
    raise TypeError(f"not a token, nor where to get one: {type(token).__name__}")
