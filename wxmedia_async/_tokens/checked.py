"""A provider as the session uses it: in its envelope, and looked at."""

from __future__ import annotations

import attrs

from .._foreign import sealed
from .bound import BoundToken, FunctionToken
from .providers import StaticToken, TokenProvider

_OURS = (BoundToken, FunctionToken, StaticToken)


@attrs.frozen
class CheckedToken:
    """A provider whose tokens are what they should be."""

    provider: TokenProvider
    parameter: str = "access_token"

    async def get(self) -> str:
        if isinstance(self.provider, _OURS):
            return _checked(await self.provider.get())
        with sealed:
            token = await self.provider.get()
        return _checked(token)

    async def renew(self, rejected: str) -> str:
        if isinstance(self.provider, _OURS):
            return _checked(await self.provider.renew(rejected))
        with sealed:
            token = await self.provider.renew(rejected)
        return _checked(token)


def _checked(token: object) -> str:
    if not isinstance(token, str) or not token:
        raise TypeError("a token is a str that is not empty")
    return token


def checked(provider: TokenProvider | None) -> CheckedToken | None:
    """Put *provider* into its envelope."""
    if provider is None:
        return None
    return CheckedToken(provider, getattr(provider, "parameter", "access_token"))
