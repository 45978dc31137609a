"""Pure: which tokens are one account's."""

from __future__ import annotations

from collections.abc import Hashable

from .providers import AppToken, CorpToken


def identity_of(token: object) -> Hashable:
    """Return what is equal for the tokens of one account, with no secret to show."""
    if isinstance(token, (AppToken, CorpToken, str)) or token is None:
        return token
    return _Same(token)


class _Same:
    """One and the same object."""

    def __init__(self, it: object) -> None:
        self._it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other._it is self._it

    def __hash__(self) -> int:
        return id(self._it)
