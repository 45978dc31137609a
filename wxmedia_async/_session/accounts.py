"""The accounts that a client and its children send for."""

from __future__ import annotations

from collections.abc import Hashable
from weakref import WeakValueDictionary

import attrs

from .pace import AccountPace


@attrs.define(eq=False, repr=False)
class Accounts:
    """Finds the account of a token; it is forgotten when nobody sends for it."""

    _known: WeakValueDictionary[Hashable, AccountPace] = attrs.field(
        factory=WeakValueDictionary[Hashable, AccountPace], init=False
    )

    def of(self, identity: Hashable) -> AccountPace:
        """Return the account of that identity, the same one each time."""
        account = self._known.get(identity)
        if account is None:
            account = self._known[identity] = AccountPace()
        return account
