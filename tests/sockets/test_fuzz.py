"""The client against a hostile server, for a moment; `fuzz` does it for longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sockets import fuzz
from tests.sockets.fuzzing import Findings, alone
from tests.sockets.hostile import hostile
from tests.sockets.server import Request

CASES = 60


@pytest.fixture
def nobody_else() -> Iterator[None]:
    with alone():
        yield


@pytest.mark.usefixtures("way", "nobody_else")
async def test_whatever_a_server_says() -> None:
    """A call ends in time, in a result or an error of ours, and leaves nothing."""
    findings = Findings()

    await findings.run(iter(range(CASES)))

    assert findings.found == []
    assert findings.ended.total() == CASES
    assert len({ended for _, ended in findings.ended}) > 5


def test_same_number_same_words() -> None:
    """A case can be seen again by its number."""
    request = Request(b"GET /cgi-bin/media/get?media_id=ID HTTP/1.1\r\nHost: h", b"")

    first = [hostile(request, str(n)) for n in range(50)]

    assert first == [hostile(request, str(n)) for n in range(50)]
    assert len(set(first)) > 40


@pytest.mark.parametrize("option", ["--seconds=0.06", "--case=7"])
def test_for_longer(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It runs by itself on both stacks and all event loops, and tells figures."""
    assert fuzz.main([option]) == 0

    out, err = capsys.readouterr()
    assert "sockets trio" in out
    assert "httpx asyncio" in out
    assert out.endswith("cases hold, 0 do not\n")
    assert err.strip() == ""
