from __future__ import annotations

import anyio
import pytest

from wxmedia_async._session.transfer import Transfer


async def test_clock_that_stands_still(anyio_backend: object) -> None:
    """However often it is stopped, what was left then is left when it runs on."""
    with anyio.CancelScope(deadline=anyio.current_time() + 60) as scope:
        transfer = Transfer(scope)

        transfer.stand_still()
        transfer.stand_still()
        left = transfer.time_left()
        await anyio.sleep(0.01)

        assert transfer.time_left() == left
        assert scope.deadline > anyio.current_time() + 3600
        transfer.run_on()
        transfer.run_on()
        assert left - 5 < transfer.time_left() <= left == pytest.approx(60, abs=5)
