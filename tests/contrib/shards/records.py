"""Records in memory, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from wxmedia_async import Outcome


@attrs.define(eq=False)
class MemoryRecord:
    """
    A record of what was noted, that can be out of reach.

    Attributes:
        noted: The outcomes, by their items.

        unreachable: What `missing` raises.

        full: What `note` raises.
    """

    noted: dict[object, Outcome[object, object]] = attrs.Factory(dict)
    unreachable: Exception | None = None
    full: BaseException | None = None

    async def missing(self, ids: Sequence[str], /) -> list[str]:
        if self.unreachable is not None:
            raise self.unreachable
        return [item for item in ids if item not in self.noted]

    async def note(self, outcome: Outcome[object, object], /) -> None:
        if self.full is not None:
            raise self.full
        assert outcome.item not in self.noted
        self.noted[outcome.item] = outcome


class RefusalRecord(MemoryRecord):
    """One that can tell what was refused."""

    async def refused(self, ids: Sequence[str], /) -> list[str]:
        return [item for item in ids if not self.noted[item].ok]
