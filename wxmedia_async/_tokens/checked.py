"""Tokens as the session takes them: what users plug in is sealed, and looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import attrs

from .._foreign import sealed
from .account import Identity, identity_of
from .bound import BoundToken
from .cloudbase import CloudbaseToken
from .providers import QueryTokenProvider, StaticToken, TokenProvider, is_token

_PARAMETER = "access_token"

# Their failures are ours, and what they give is known to be a token.
_OURS = (BoundToken, StaticToken, CloudbaseToken)


@attrs.frozen
class CheckedToken:
    """
    Where the session has its tokens from.

    Attributes:
        provider: What `bind` gave.

        get: Gives a token that is believed to be good.

        renew: Gives the token to use instead of a refused one; that very one
            where nothing can be done.

        parameter: The name of the token in a query.

        account: Whose it is.

        only_ours: Whether no code of a user's is awaited for it.
    """

    provider: TokenProvider
    get: Callable[[], Awaitable[str]] = attrs.field(repr=False)
    renew: Callable[[str], Awaitable[str]] = attrs.field(repr=False)
    parameter: str
    account: Identity
    only_ours: bool


def checked(provider: TokenProvider | None) -> CheckedToken | None:
    """
    Wrap what `bind` gave.

    Both of its methods raise `Raised` for whatever a provider of the user's, or a
    token function, has raised, and TypeError for what is no token.

    Raises:
        TypeError: It has a `parameter` that is no text.
    """
    if provider is None:
        return None
    inner = provider if type(provider) in _OURS else _Foreign(provider)
    return CheckedToken(
        provider,
        inner.get,
        inner.renew,
        _parameter_of(provider),
        identity_of(provider),
        _is_only_ours(provider),
    )


def _is_only_ours(provider: TokenProvider) -> bool:
    if isinstance(provider, BoundToken):
        return provider.credential.store is None
    return type(provider) is StaticToken


@attrs.frozen
class _Foreign:
    """A provider of the user's, who may raise and return anything."""

    _provider: TokenProvider

    async def get(self) -> str:
        with sealed:
            token = await self._provider.get()
        return _looked_at(token)

    async def renew(self, rejected: str) -> str:
        with sealed:
            token = await self._provider.renew(rejected)
        return _looked_at(token)


def _looked_at(token: object) -> str:
    if is_token(token):
        return token
    if isinstance(token, str):
        raise TypeError("a token provider gave a str that is empty or unprintable")
    raise TypeError(f"a token provider must give a str, not {type(token).__name__}")


def _parameter_of(provider: TokenProvider) -> str:
    if not isinstance(provider, QueryTokenProvider):
        return _PARAMETER
    if not is_token(provider.parameter):
        raise TypeError(
            "the parameter of a token provider must be a str that is not empty"
        )
    return provider.parameter
