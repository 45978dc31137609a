"""What a download tells of its progress."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.destinations import Bucket
from tests.download.replies import ATTACHED, cut, reply
from tests.fakes import JPEG, FakeWeChat, client_of
from tests.sockets.server import Server, answers, client_to, whole
from wxmedia_async import Progress


async def test_progress(tmp_path: Path) -> None:
    """Progress grows up to the total, and names the media."""
    service, told = FakeWeChat({"ID": JPEG}), list[Progress]()

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    size = len(JPEG)
    assert [each.done for each in told] == [1000, 2000, size]
    assert told[-1] == Progress("ID", size, size)


@pytest.mark.parametrize("to", ["file", "destination"])
async def test_progress_over_a_socket(to: str, tmp_path: Path) -> None:
    """Progress is the same where the bytes go from a socket to a file."""
    content, told = JPEG * 1000, list[Progress]()
    target: Any = tmp_path if to == "file" else Bucket()
    cut_off = whole(content)[:1_000_000]

    with Server(answers(cut_off), answers(whole(content))) as server:
        async with client_to(server) as client:
            await client.download("ID", target, progress=told.append)

    done = [each.done for each in told]
    again = done.index(0)
    for one_try in (done[:again], done[again:]):
        assert one_try == sorted(set(one_try))
    assert {each.total for each in told} <= {None, len(content)}
    assert told[-1] == Progress("ID", len(content), len(content))


async def test_progress_without_a_length(tmp_path: Path) -> None:
    """Where no length is known, the total is None until the last call."""
    told = list[Progress]()
    service = FakeWeChat(answers=[reply(JPEG, ATTACHED)])

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    size = len(JPEG)
    assert [each.total for each in told] == [None, None, None, size]
    assert [each.done for each in told] == [1000, 2000, size, size]


async def test_progress_of_nothing(tmp_path: Path) -> None:
    """An empty media has a last call as well."""
    told = list[Progress]()
    service = FakeWeChat({"ID": b""})

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    assert told == [Progress("ID", 0, 0)]


async def test_progress_over_two_tries(tmp_path: Path) -> None:
    """Progress goes back to 0 when a download is tried again."""
    told = list[Progress]()
    service = FakeWeChat({"ID": JPEG}, answers=[cut()])

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=told.append)

    assert [each.done for each in told] == [1000, 0, 1000, 2000, len(JPEG)]


async def test_progress_that_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Fault 32: what a progress callback raises is logged, and harms no download."""
    service = FakeWeChat({"ID": JPEG})

    def fail(_: Progress) -> None:
        raise ZeroDivisionError("callback")

    async with client_of(service) as client:
        await client.download("ID", tmp_path, progress=fail)

    assert (tmp_path / "ID.jpg").read_bytes() == JPEG
    assert "ZeroDivisionError: callback" in caplog.text
