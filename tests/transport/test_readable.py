from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest

from wxmedia_async.transport._readable import breakage, looker


@pytest.fixture(params=["poll", "select"])
def pair(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Sockets, where there is no `select.poll` as well."""
    if request.param == "select":
        monkeypatch.delattr(select, "poll", raising=False)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_looking(pair: tuple[socket.socket, socket.socket]) -> None:
    """It tells what can be read now, as often as it is asked."""
    ours, theirs = pair
    can_be_read, is_broken = looker(ours), breakage(ours)

    seen = [can_be_read()]
    theirs.send(b"x")
    seen += [can_be_read(), can_be_read(), is_broken()]
    ours.recv(1)
    seen.append(can_be_read())

    assert seen == [False, True, True, False, False]
