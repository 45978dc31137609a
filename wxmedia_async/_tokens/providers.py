"""Where access tokens come from."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import attrs

from .._errors import UnexpectedReply
from .._models import AccessToken
from .._wire import replies
from .cache import TokenCache, utc_now


@runtime_checkable
class TokenProvider(Protocol):
    """Where access tokens come from. Both methods are called concurrently."""

    async def get(self) -> str:
        """Return a token that is believed to be valid."""
        ...

    async def renew(self, rejected: str) -> str:
        """
        Return a token other than *rejected*, which WeChat refused.

        Many transfers may report the same token at once; one fetch must serve
        them all. Returning *rejected* again means that nothing can be done.
        """
        ...


class TokenStore(Protocol):
    """Shares a token among processes. A key is a hash and holds no secret."""

    async def load(self, key: str) -> AccessToken | None:
        """Return the token that was saved last, also when it has expired."""
        ...

    async def save(self, key: str, token: AccessToken) -> None:
        """Replace the token."""
        ...

    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        """Keep all other processes out; ends by itself if its holder dies."""
        ...


def _not_empty(_: object, __: object, value: str) -> None:
    if not value:
        raise ValueError("a token must not be empty")


@attrs.frozen
class StaticToken:
    """A token that never changes. When it is refused, nothing can be done."""

    value: str = attrs.field(repr=False, validator=_not_empty)

    async def get(self) -> str:
        return self.value

    async def renew(self, rejected: str) -> str:
        return self.value


@attrs.frozen(kw_only=True)
class TokenCall:
    """One call of a token endpoint."""

    method: str
    path: str
    params: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    json: Mapping[str, object] | None = attrs.field(default=None, repr=False)
    secret: str = attrs.field(repr=False)


Send: TypeAlias = Callable[[TokenCall], Awaitable[Mapping[str, object]]]
"""Sends a call of a token endpoint, tried again as often as the client allows."""


@attrs.frozen
class AppToken:
    """
    The token of a Mini Program or an Official Account, fetched by appid and secret.

    A value: a client binds it to its own connections. Clients that are given
    the same object share its token.

    Attributes:
        appid: The account.

        secret: Its secret; never shown.

        store: Shares the token among processes and machines.

        endpoint: ``"stable_token"``, where many may ask without disturbing
            each other, or ``"token"``, where each call makes a new token and
            the old one dies after five minutes.
    """

    appid: str
    secret: str = attrs.field(repr=False)
    store: TokenStore | None = attrs.field(default=None, kw_only=True)
    endpoint: Literal["stable_token", "token"] = attrs.field(
        default="stable_token",
        kw_only=True,
        validator=attrs.validators.in_(("stable_token", "token")),
    )
    cache: TokenCache = attrs.field(
        factory=TokenCache, init=False, eq=False, repr=False
    )

    def ordinary_call(self) -> TokenCall:
        """Ask for a token."""
        if self.endpoint == "stable_token":
            return self._stable_call(force=False)
        # https://developers.weixin.qq.com/miniprogram/dev/OpenApiDoc/mp-access-token/getAccessToken.html
        return TokenCall(
            method="GET",
            path="/cgi-bin/token",
            params={
                "grant_type": "client_credential",
                "appid": self.appid,
                "secret": self.secret,
            },
            secret=self.secret,
        )

    def forced_call(self) -> TokenCall | None:
        """Ask for another token than the current one, where that is special."""
        if self.endpoint == "token":
            return None
        return self._stable_call(force=True)

    def _stable_call(self, *, force: bool) -> TokenCall:
        return TokenCall(
            method="POST",
            path="/cgi-bin/stable_token",
            json={
                "grant_type": "client_credential",
                "appid": self.appid,
                "secret": self.secret,
                "force_refresh": force,
            },
            secret=self.secret,
        )


@attrs.frozen
class CorpToken:
    """
    The token of a WeCom application, fetched by corpid and secret.

    Attributes:
        corpid: The corporation.

        secret: The application's secret; never shown.

        store: Shares the token among processes and machines.
    """

    corpid: str
    secret: str = attrs.field(repr=False)
    store: TokenStore | None = attrs.field(default=None, kw_only=True)
    cache: TokenCache = attrs.field(
        factory=TokenCache, init=False, eq=False, repr=False
    )

    def ordinary_call(self) -> TokenCall:
        """Ask for a token."""
        # https://developer.work.weixin.qq.com/document/path/91039
        return TokenCall(
            method="GET",
            path="/cgi-bin/gettoken",
            params={"corpid": self.corpid, "corpsecret": self.secret},
            secret=self.secret,
        )

    def forced_call(self) -> None:
        """WeCom repeats its token while it is valid; nothing forces another."""


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


TokenFunction: TypeAlias = Callable[[], Awaitable[str | AccessToken]]


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

TokenLike: TypeAlias = str | AppToken | CorpToken | TokenProvider | TokenFunction | None


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
