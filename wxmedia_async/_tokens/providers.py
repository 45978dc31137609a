"""Where access tokens come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, TypeAlias, TypeGuard, runtime_checkable

import attrs

from .._models import AccessToken
from .._wire.lenient import plain_text
from .cache import Caches


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


@runtime_checkable
class QueryTokenProvider(TokenProvider, Protocol):
    """A provider whose tokens are not sent as ``access_token``, but by another name."""

    @property
    def parameter(self) -> str:
        """The query parameter's name, asked for once, when a client is made."""
        ...


class TokenStore(Protocol):
    """
    Shares a token among processes. A key is a hash and holds no secret.

    A store that fails is passed over: the token is fetched, and used, without.
    """

    async def load(self, key: str) -> AccessToken | None:
        """Return the token that was saved last, also when it has expired."""
        ...

    async def save(self, key: str, token: AccessToken) -> None:
        """Replace the token."""
        ...

    def lock(self, key: str) -> AbstractAsyncContextManager[None]:
        """Let one process in at a time. It must end by itself if its holder dies."""
        ...


def is_token(value: object) -> TypeGuard[str]:
    """Tell whether *value* can be sent as a token: a printable str, not empty."""
    text = plain_text(value)
    return text is not None and not text.isspace()


def _is_text(_: object, field: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str):
        # attrs' own words would show it.
        raise TypeError(f"{field.name} is a str, not {type(value).__name__}")


def _can_be_sent(_: object, __: object, value: str) -> None:
    if not is_token(value):
        raise ValueError("a token must not be empty, and must be printable")


@attrs.frozen
class StaticToken:
    """
    A token that never changes.

    It cannot be renewed: when WeChat refuses it, calls raise `TokenRejected`.
    """

    value: str = attrs.field(repr=False, validator=[_is_text, _can_be_sent])

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

    It fetches nothing by itself: a client does so when it first needs the token.
    Clients that are given the same object share its token, if they have the same
    base URL. They may run in several event loops and threads.

    Attributes:
        appid: Of the Mini Program or Official Account.

        secret: The AppSecret that belongs to it. It is never shown.

        store: Where the token is kept for other processes and machines; None: the
            token is this process's own.

        endpoint: ``"stable_token"``, where many may ask without disturbing
            each other, or ``"token"``, where each call makes a new token and
            the old one dies after five minutes.
    """

    appid: str = attrs.field(validator=_is_text)
    secret: str = attrs.field(repr=False, validator=_is_text)
    store: TokenStore | None = attrs.field(default=None, kw_only=True)
    endpoint: Literal["stable_token", "token"] = attrs.field(
        default="stable_token",
        kw_only=True,
        validator=attrs.validators.in_(("stable_token", "token")),
    )
    caches: Caches = attrs.field(factory=Caches, init=False, eq=False, repr=False)

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
        corpid: Of the corporation.

        secret: The secret of the application. It is never shown.

        store: Where the token is kept for other processes and machines; None: the
            token is this process's own.
    """

    corpid: str = attrs.field(validator=_is_text)
    secret: str = attrs.field(repr=False, validator=_is_text)
    store: TokenStore | None = attrs.field(default=None, kw_only=True)
    caches: Caches = attrs.field(factory=Caches, init=False, eq=False, repr=False)

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


TokenFunction: TypeAlias = Callable[[], Awaitable[str | AccessToken]]

TokenLike: TypeAlias = str | AppToken | CorpToken | TokenProvider | TokenFunction | None
