from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from tests.fakes import JPEG
from tests.sockets.server import (
    Server,
    always,
    client_to,
    said,
    stalls_after,
    whole,
)
from wxmedia_async import ClientClosed, MediaClient


async def test_close_ends_what_runs(tmp_path: Path) -> None:
    """Fault 33: transfers that run end with ClientClosed, and leave no file."""
    failures: list[ClientClosed] = []
    begun = anyio.Event()

    async def download(client: MediaClient) -> None:
        with pytest.raises(ClientClosed) as info:
            await client.download(
                "ID", tmp_path / "x.jpg", progress=lambda _: begun.set()
            )
        failures.append(info.value)

    with Server(stalls_after(whole()[:-500])) as server:
        client = client_to(server)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(download, client)
            await begun.wait()
            await client.aclose()
            await client.aclose()
        await server.until_gone(0)

    assert [failure.attempts for failure in failures] == [1]
    assert list(tmp_path.iterdir()) == []


async def test_close_ends_what_waits() -> None:
    """Fault 33: a transfer that waits for its slot ends too, and sends nothing."""
    failures: list[ClientClosed] = []

    async def read(client: MediaClient) -> None:
        with pytest.raises(ClientClosed) as info:
            await client.read("ID")
        failures.append(info.value)

    with Server(stalls_after(whole()[:-500])) as server:
        async with (
            client_to(server, max_concurrency=1) as client,
            anyio.create_task_group() as tasks,
            client.stream("ID"),
        ):
            tasks.start_soon(read, client)
            tasks.start_soon(read, client)
            await anyio.wait_all_tasks_blocked()
            await client.aclose()

    assert len(failures) == 2
    assert len(server.requests) == 1


async def test_close_ends_a_stream() -> None:
    """Fault 33: a stream that is open gives ClientClosed for its next chunk."""
    with Server(stalls_after(whole()[:-500])) as server:
        client = client_to(server)
        async with client.stream("ID") as media:
            await anext(media)
            await client.aclose()
            with pytest.raises(ClientClosed):
                await anext(media)
        await server.until_gone(0)


async def test_used_after_close(tmp_path: Path) -> None:
    """Fault 33: after aclose() every call says so, and sends nothing."""
    with Server(always(whole())) as server:
        async with client_to(server) as client:
            child = client.with_options(timeout=1)
            await client.read("ID")

        for closed in (client, child):
            with pytest.raises(ClientClosed):
                await closed.read("ID")
            with pytest.raises(ClientClosed):
                await closed.upload(JPEG)
            with pytest.raises(ClientClosed):
                await closed.download("ID", tmp_path / "x.jpg")
            with pytest.raises(ClientClosed):
                await closed.call("GET", "/cgi-bin/x")

    assert len(server.requests) == 1


async def test_child_closes_nothing() -> None:
    """Closing what with_options made leaves the client as it was."""
    with Server(always(whole())) as server:
        async with client_to(server) as client:
            async with client.with_options(timeout=1) as child:
                await child.read("ID")
            media = await client.read("ID")

    assert media.content == JPEG
    assert server.connections == 1


def test_another_loop(anyio_backend: tuple[str, dict[str, object]]) -> None:
    """Fault 33: in a second event loop a client says that it belongs to the first."""
    backend, options = anyio_backend
    with Server(always(whole(JPEG, "Connection: close"))) as server:
        client = client_to(server)

        async def use() -> None:
            await client.read("ID")

        anyio.run(use, backend=backend, backend_options=options)
        with pytest.raises(RuntimeError, match="another event loop"):
            anyio.run(use, backend=backend, backend_options=options)
        anyio.run(client.aclose, backend=backend, backend_options=options)

    assert len(server.requests) == 1


async def test_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 33: after a fork a client says that it belongs to the parent."""
    with Server(always(said("{}"))) as server:
        async with client_to(server) as client:
            await client.call("GET", "/cgi-bin/x")
            with monkeypatch.context() as forked:
                forked.setattr(os, "getpid", lambda: -1)
                with pytest.raises(RuntimeError, match="process"):
                    await client.call("GET", "/cgi-bin/x")
            await client.call("GET", "/cgi-bin/x")

    assert len(server.requests) == 2
