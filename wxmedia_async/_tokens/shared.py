"""A token in a store: what the store cannot do is passed over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import TypeVar

import attrs

from .._foreign import Complaints, Raised, sealed
from .._models import AccessToken
from .providers import TokenStore, is_token

_HELPER = "the token store"

T = TypeVar("T")


@attrs.define(eq=False)
class Visit:
    """
    One use of a store, which is left alone after its first failure.

    A server that does not answer would else be waited for four times.
    """

    _store: TokenStore
    _key: str
    _complaints: Complaints
    _failed: bool = attrs.field(default=False, init=False)

    async def load(self) -> AccessToken | None:
        """Return the stored token, if there is a usable one."""
        return await self._asked(self._load)

    async def save(self, token: AccessToken) -> None:
        """Replace the stored token, if that can be done."""
        await self._asked(partial(self._save, token))

    def lock(self) -> AbstractAsyncContextManager[None]:
        """Keep all others out, if that can be done."""
        return _Lock(self)

    async def enter(self) -> AbstractAsyncContextManager[None] | None:
        """Take the lock; None where it cannot be had."""
        return await self._asked(self._enter)

    def note(self, failure: Raised) -> None:
        """Log a failure, once for a client."""
        self._complaints.note(_HELPER, failure)

    async def _load(self) -> AccessToken | None:
        token = await self._store.load(self._key)
        if token is None or (isinstance(token, AccessToken) and is_token(token.value)):
            return token
        raise TypeError("a token store gives an AccessToken or None")

    async def _save(self, token: AccessToken) -> None:
        await self._store.save(self._key, token)

    async def _enter(self) -> AbstractAsyncContextManager[None]:
        lock = self._store.lock(self._key)
        await lock.__aenter__()
        return lock

    async def _asked(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        if self._failed:
            return None
        try:
            with sealed:
                return await ask()
        except Raised as failure:
            self._failed = True
            self.note(failure)
            return None


@attrs.define(eq=False)
class _Lock:
    """The lock of a store, which neither hides what happens inside nor adds to it."""

    _visit: Visit
    _lock: AbstractAsyncContextManager[None] | None = attrs.field(
        default=None, init=False
    )

    async def __aenter__(self) -> None:
        self._lock = await self._visit.enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._lock is None:
            return
        try:
            with sealed:
                await self._lock.__aexit__(kind, error, traceback)
        except Raised as failure:
            # Some raise again what they are told.
            if failure.error is not error:
                self._visit.note(failure)
