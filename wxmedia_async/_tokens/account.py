"""Whose token it is: what a pause, a pace and a media_id belong to."""

from __future__ import annotations

import hashlib
import os
from types import MethodType

import attrs

from .bound import BoundToken, FunctionToken
from .cloudbase import CloudbaseToken
from .providers import AppToken, CorpToken, StaticToken, TokenLike


@attrs.frozen
class Identity:
    """
    Equal for tokens of one account, as far as they tell.

    Attributes:
        name: The appid or the corpid, where it is known.
    """

    name: str | None
    _mark: object = attrs.field(default=None, repr=False)


def identity_of(token: TokenLike) -> Identity:
    """
    Return whose *token* is, or what `bind` made of it; with no secret to show.

    It is the same for equal AppTokens, for equal CorpTokens, for equal texts, for
    None, and for one and the same provider or function.
    """
    match token:
        case BoundToken():
            return identity_of(token.credential)
        case FunctionToken():
            return identity_of(token.function)
        case AppToken() | CorpToken():
            return _by_credential(token)
        case _:
            return Identity(None, _mark(token))


def account_name(token: TokenLike) -> str | None:
    """Return the appid or the corpid of *token*, where it is known."""
    return identity_of(token).name


def _by_credential(token: AppToken | CorpToken) -> Identity:
    # Its store and its endpoint make no other account, nor does another secret of
    # an appid. Each application of a corporation has a secret, and limits, of its own.
    if isinstance(token, AppToken):
        return Identity(token.appid, "app")
    return Identity(token.corpid, _digest(token.secret))


def _mark(token: object) -> object:
    match token:
        case None:
            return None
        case str():
            return _digest(token)
        case StaticToken():
            return _digest(token.value)
        case CloudbaseToken():
            return os.fspath(token.path)
        case MethodType():  # a new object whenever it is named
            return _Same(token.__self__), token.__func__
        case _:
            return _Same(token)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


@attrs.frozen(eq=False)
class _Same:
    """An object by its identity, kept as long, or another could get that."""

    _it: object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._it is other._it

    def __hash__(self) -> int:
        return id(self._it)
