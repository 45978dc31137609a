"""What an upload tells of its progress."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import JPEG, FakeWeChat, client_of, error
from tests.sockets.server import UPLOADED, Server, answers, client_to, said
from wxmedia_async import Progress


def busy() -> bytes:
    return said('{"errcode":-1,"errmsg":"system error"}')


async def test_progress() -> None:
    """Progress grows up to the total, and names the source."""
    service, told = FakeWeChat(), list[Progress]()
    source = io.BytesIO(bytes(200_000))

    async with client_of(service) as client:
        await client.upload(source, progress=told.append)

    assert [each.done for each in told] == sorted({each.done for each in told})
    assert len(told) > 2
    assert told[-1] == Progress(source, 200_000, 200_000)
    assert {each.total for each in told} == {200_000}


async def test_progress_goes_back_to_0_on_a_new_try() -> None:
    """Progress begins again at 0 when an upload is tried again."""
    service, told = FakeWeChat(answers=[error(-1)]), list[Progress]()

    async with client_of(service) as client:
        await client.upload(JPEG, progress=told.append)

    size = len(JPEG)
    assert [each.done for each in told] == [size, 0, size]


@pytest.mark.parametrize("kind", ["path", "bytes"])
async def test_progress_over_a_socket(kind: str, tmp_path: Path) -> None:
    """Progress is the same where a file is sent without being read."""
    content, told = bytes(2_000_000), list[Progress]()
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    source: Any = path if kind == "path" else content

    with Server(answers(busy(), UPLOADED)) as server:
        async with client_to(server) as client:
            await client.upload(source, progress=told.append)

    done = [each.done for each in told]
    again = done.index(0)
    for one_try in (done[:again], done[again:]):
        assert one_try == sorted(set(one_try))
        assert len(one_try) > 1
    assert told[-1] == Progress(source, len(content), len(content))


async def test_progress_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Fault 32: what a progress callback raises is logged, and harms no upload."""
    service = FakeWeChat()

    def fail(_: Progress) -> None:
        raise ZeroDivisionError("callback")

    with caplog.at_level(logging.ERROR, "wxmedia_async"):
        async with client_of(service) as client:
            await client.upload(JPEG, progress=fail)

    assert service.stored == {"m0": JPEG}
    assert "progress callback failed" in caplog.text
    assert "ZeroDivisionError: callback" in caplog.text
