"""What users hold, bound to a service: tokens that can be fetched."""

from __future__ import annotations

import hashlib
import inspect
from datetime import UTC, datetime, timedelta
from functools import partial

import attrs

from .._errors import UnexpectedReply
from .._foreign import Complaints, sealed, unsealed
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
    is_token,
)
from .shared import Visit


@attrs.frozen
class BoundToken:
    """An `AppToken` or a `CorpToken` that knows how to reach the service."""

    credential: AppToken | CorpToken
    _send: Send = attrs.field(repr=False)
    _scope: str
    _complaints: Complaints = attrs.field(factory=Complaints, repr=False)

    async def get(self) -> str:
        return await self._cache.get(self._obtain)

    async def renew(self, rejected: str) -> str:
        return await self._cache.renew(rejected, partial(self._obtain, rejected))

    @property
    def _cache(self) -> TokenCache:
        return self.credential.caches.of(self._scope)

    async def _obtain(self, rejected: str | None = None) -> AccessToken:
        store = self.credential.store
        if store is None:
            return await self._fetch(rejected)
        visit = Visit(store, _key(self.credential, self._scope), self._complaints)
        if (found := await self._news(visit)) is not None:
            return found
        async with visit.lock():
            # Whoever held the lock before has probably fetched it for us.
            if (found := await self._news(visit)) is not None:
                return found
            fetched = await self._fetch(rejected)
            await visit.save(fetched)
            return fetched

    async def _news(self, visit: Visit) -> AccessToken | None:
        """Look for a token worth trying; what we have is replaced before it ends."""
        token = await visit.load()
        if token is None or self._cache.is_known(token.value):
            return None
        return token if token.expires_at > utc_now() else None

    async def _fetch(self, rejected: str | None) -> AccessToken:
        token = await self._call(self.credential.ordinary_call())
        # Somebody else may have renewed it already: forcing it then would kill
        # their token, and they would kill ours.
        if token.value == rejected:
            token = await self._forced(token.value) or token
        # Now, as a store may keep it waiting, and its caller be cancelled then.
        self._cache.keep(token, replacing=rejected)
        return token

    async def _forced(self, rejected: str) -> AccessToken | None:
        call = self.credential.forced_call()
        if call is None:
            return None
        if not self._cache.may_force():
            await self._cache.end_of_forcing()
            return self._cache.other_than(rejected)
        with self._cache.forcing():
            token = await self._call(call)
            self._cache.keep(token, replacing=rejected)
            return token

    async def _call(self, call: TokenCall) -> AccessToken:
        try:
            value, seconds = replies.access_token(await self._send(call))
        except UnexpectedReply as error:
            failure = error
        else:
            return AccessToken(value, utc_now() + timedelta(seconds=seconds))
        # The frames below hold the reply, and with it a token.
        raise failure.with_traceback(None)


def _key(credential: AppToken | CorpToken, scope: str) -> str:
    owner = (
        (credential.endpoint, credential.appid)
        if isinstance(credential, AppToken)
        else ("gettoken", credential.corpid)
    )
    parts = (scope, *owner, credential.secret)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@attrs.frozen
class FunctionToken:
    """A token from a coroutine function of the user's, kept while it is good."""

    function: TokenFunction
    _cache: TokenCache = attrs.field(factory=TokenCache, init=False, repr=False)

    async def get(self) -> str:
        with unsealed:
            return await self._cache.get(self._fetch)

    async def renew(self, rejected: str) -> str:
        with unsealed:
            return await self._cache.renew(rejected, self._fetch)

    async def _fetch(self) -> AccessToken:
        with sealed:
            token = await self.function()
        given = token if isinstance(token, AccessToken) else AccessToken(token, _NEVER)
        if is_token(given.value):
            return given
        raise TypeError(
            "a token function must return a str or an AccessToken, neither empty nor"
            " unprintable"
        )


# The platform's word ends a token that came without a time.
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)


def bind(
    token: TokenLike, send: Send, *, scope: str, complaints: Complaints | None = None
) -> TokenProvider | None:
    """
    Make a provider of whatever the user gave.

    Args:
        token: See `MediaClient`.

        send: How a token endpoint is called.

        scope: The base URL, so that the token of a simulator is never taken for
            one of the service.

        complaints: Where a store that fails is noted; None: in some of its own.
    """
    if token is None:
        return None
    if isinstance(token, str):
        return StaticToken(token)
    if isinstance(token, (AppToken, CorpToken)):
        return BoundToken(token, send, scope, complaints or Complaints())
    # A class has the methods of its objects, but is none.
    if not inspect.isclass(token):
        if isinstance(token, TokenProvider):
            return token
        if callable(token):
            return FunctionToken(token)
    raise TypeError(
        "token must be a str, an AppToken, a CorpToken, an async function, another"
        f" token provider, or None; not {type(token).__name__}"
    )
