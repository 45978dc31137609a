from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.fakes import JPEG
from tests.sockets.server import UPLOADED, Peer, Server, always, client_to, said, whole
from wxmedia_async import MediaNotFound

GONE = said('{"errcode":40007,"errmsg":"invalid media_id"}')


class Crowd:
    """Answers nobody before *expected* requests are there at once."""

    def __init__(self, expected: int) -> None:
        self._barrier = threading.Barrier(expected, timeout=10)

    def __call__(self, peer: Peer) -> None:
        while True:
            peer.read_request()
            self._barrier.wait()
            peer.send(whole())


async def test_one_connection_for_many_downloads() -> None:
    """Twenty downloads in a row need one connection."""
    with Server(always(whole())) as server:
        async with client_to(server) as client:
            for _ in range(20):
                await client.read("ID")

    assert server.connections == 1
    assert len(server.requests) == 20


async def test_one_connection_for_uploads_and_errors() -> None:
    """Uploads and errors leave the connection usable as well."""

    def script(peer: Peer) -> None:
        for reply in (UPLOADED, GONE, whole(), UPLOADED):
            peer.read_request()
            peer.send(reply)

    with Server(script) as server:
        async with client_to(server) as client:
            await client.upload(JPEG)
            with pytest.raises(MediaNotFound):
                await client.read("gone")
            await client.read("ID")
            await client.upload(JPEG)

    assert server.connections == 1


async def test_server_closes_after_each_reply() -> None:
    """With `Connection: close`, as WeChat sends it, each transfer has its own."""
    with Server(always(whole(JPEG, "Connection: close"))) as server:
        async with client_to(server) as client:
            for _ in range(3):
                media = await client.read("ID")

    assert media.content == JPEG
    assert server.connections == 3


async def test_no_more_connections_than_transfers(tmp_path: Path) -> None:
    """However many items there are, max_concurrency connections carry them."""
    with Server(Crowd(4)) as server:
        async with client_to(server, max_concurrency=4) as client:
            ids = [f"m{n}" for n in range(20)]
            async with client.download_many(ids, tmp_path) as outcomes:
                saved = [outcome.unwrap() async for outcome in outcomes]

    assert server.connections == 4
    assert sorted(media.media_id for media in saved) == sorted(ids)


async def test_all_connections_are_closed_with_the_client() -> None:
    """After aclose() the server sees each connection end."""
    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")

        await server.until_gone(0)

    assert server.connections == 1


async def test_stream_that_is_left_early() -> None:
    """A stream that was not read to its end does not spoil the next transfer."""
    large = bytes(2_000_000)
    with Server(always(whole(large)), always(whole())) as server:
        async with client_to(server, max_concurrency=1) as client:
            async with client.stream("ID") as media:
                async for _ in media:
                    break
            following = await client.read("ID")

        await server.until_gone(0)

    assert following.content == JPEG
