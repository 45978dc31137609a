"""Many transfers under random faults."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import attrs
import httpx

from tests.fakes import names_in
from wxmedia_async import AppToken, MediaClient, RetryPolicy
from wxmedia_async.simulator import Fault, Simulator
from wxmedia_async.simulator._inprocess import InProcess
from wxmedia_async.simulator._requests import Receive, Scope, Send

ITEMS = int(os.environ.get("WXMEDIA_SOAK_ITEMS", "300"))
FAULTS: tuple[Fault, ...] = (-1, 503, "reset", "truncate", 42001)
PATIENT = RetryPolicy(attempts=10, initial=0.0)


@attrs.define(eq=False)
class Unreliable:
    """
    A simulator of which one call in ten goes wrong.

    A token is refused once for each media: twice in a row is a wrong token.
    """

    simulator: Simulator
    chance: random.Random
    refused: set[bytes] = attrs.Factory(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if b"media_id" in scope["query_string"] and self.chance.random() < 0.1:
            self._spoil(scope["query_string"].partition(b"media_id=")[2])
        await self.simulator(scope, receive, send)

    def _spoil(self, media_id: bytes) -> None:
        fault = self.chance.choice(FAULTS)
        if fault == 42001 and media_id in self.refused:
            return
        self.refused.add(media_id)
        self.simulator.fail(1, fault, on="download")


async def test_fault_30_every_item_ends_exactly_once(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Whatever goes wrong on the way, each item has one outcome and one whole file."""
    simulator = Simulator()
    app = Unreliable(simulator, random.Random(5))
    chance = random.Random(6)
    contents = {
        simulator.put(content): content
        for content in (
            b"\xff\xd8\xff" + chance.randbytes(chance.randrange(100, 20_000))
            for _ in range(ITEMS)
        )
    }

    async with MediaClient(
        AppToken("appid", "secret", endpoint="token"),
        base_url="http://simulator",
        http=httpx.AsyncClient(transport=InProcess(app)),
        retry=PATIENT,
    ) as client:
        async with client.download_many(contents, tmp_path / "in") as outcomes:
            found = [outcome async for outcome in outcomes]

    assert Counter(str(outcome.item) for outcome in found) == Counter(contents.keys())
    assert [outcome.error for outcome in found if not outcome.ok] == []
    assert len(names_in(tmp_path / "in")) == ITEMS
    for outcome in found:
        saved = outcome.unwrap()
        assert saved.path is not None
        assert saved.path.read_bytes() == contents[saved.media_id]
    attempts = sum(outcome.attempts for outcome in found)
    assert attempts > ITEMS
    record_property("attempts", attempts)
    record_property("tokens", simulator.token_fetches)
