"""A client that is closed, and whatever is under way then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest

from tests.fakes import (
    BASE,
    EAGER,
    JPEG,
    SECRET,
    TOKEN,
    FakeWeChat,
    client_of,
    error,
    names_in,
)
from tests.sockets.server import CONTEXT
from wxmedia_async import AppToken, ClientClosed, MediaClient, MediaError, RetryPolicy

Call = Callable[[MediaClient, Path], Awaitable[object]]


async def upload(client: MediaClient, folder: Path) -> None:
    await client.upload(JPEG)


async def download(client: MediaClient, folder: Path) -> None:
    await client.download("ID", folder)


async def read(client: MediaClient, folder: Path) -> None:
    await client.read("ID")


async def stream(client: MediaClient, folder: Path) -> None:
    async with client.stream("ID"):
        pass


async def call(client: MediaClient, folder: Path) -> None:
    await client.call("GET", "/cgi-bin/getcallbackip")


async def upload_many(client: MediaClient, folder: Path) -> None:
    async with client.upload_many([JPEG]) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


async def download_many(client: MediaClient, folder: Path) -> None:
    async with client.download_many(["ID"], folder) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


async def enter(client: MediaClient, folder: Path) -> None:
    async with client:
        pass


async def fetch_token(client: MediaClient, folder: Path) -> None:
    assert client.token is not None
    await client.token.get()


TRANSFERS: list[Call] = [upload, download, read, stream, upload_many, download_many]
CALLS: list[Call] = [*TRANSFERS, call, enter, fetch_token]


@pytest.mark.parametrize("made_by", ["constructor", "with_options"])
@pytest.mark.parametrize("work", CALLS)
async def test_used_after_close(work: Call, made_by: str, tmp_path: Path) -> None:
    """Fault 33: after aclose() every call raises ClientClosed, a child's as well."""
    service = FakeWeChat({"ID": JPEG})
    parent = client_of(service, token=AppToken("wx1", SECRET))
    child = parent.with_options(deadline=1.0)

    await parent.aclose()
    await parent.aclose()

    with pytest.raises(ClientClosed) as caught:
        await work(parent if made_by == "constructor" else child, tmp_path)
    assert caught.value.attempts == 0
    assert service.requests == []
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("work", TRANSFERS)
async def test_close_ends_what_runs(work: Call, tmp_path: Path) -> None:
    """Fault 33: closing ends what runs with ClientClosed, and waits for its end."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())
    client, failures = client_of(service, max_concurrency=1), list[MediaError]()

    async def run() -> None:
        with pytest.raises(ClientClosed) as caught:
            await work(client, tmp_path)
        failures.append(caught.value)

    async with anyio.create_task_group() as running:
        for _ in range(3):
            running.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
        assert service.in_flight == 0

    assert len(failures) == 3
    assert names_in(tmp_path) == []


async def test_close_ends_those_who_wait_for_a_token() -> None:
    """Fault 33: who waits for a token gets ClientClosed too."""
    service = FakeWeChat(gate=anyio.Event())
    client = client_of(service, token=AppToken("wx1", SECRET))

    async def run() -> None:
        with pytest.raises(ClientClosed):
            await client.read("ID")

    async with anyio.create_task_group() as running:
        for _ in range(3):
            running.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()

    assert len(service.requests) == 1
    assert service.in_flight == 0


async def test_close_ends_a_back_off() -> None:
    """Fault 33: who waits for the next try gets ClientClosed as well."""
    service = FakeWeChat(answers=[error(-1)])
    patient = RetryPolicy(initial=100.0, maximum=100.0)
    client = client_of(service, retry=patient)

    async def run() -> None:
        with pytest.raises(ClientClosed) as caught:
            await client.read("ID")
        assert caught.value.attempts == 1

    async with anyio.create_task_group() as running:
        running.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()


async def test_users_client_is_not_closed() -> None:
    """A client of the user's is never closed, and goes on working."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service)

    async with client_of(service, http=http) as client:
        assert client.http is http
        await client.read("ID")
    async with client_of(service, http=http) as client:
        await client.read("ID")

    assert not http.is_closed
    await http.aclose()


async def test_users_client_that_was_closed() -> None:
    """Fault 33: over a client that the user has closed, calls are ClientClosed."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service)
    await http.aclose()

    async with client_of(service, http=http) as client:
        with pytest.raises(ClientClosed, match="httpx client"):
            await client.read("ID")

    assert service.requests == []


async def test_own_client_is_closed() -> None:
    """The client that we made is closed with us, and not by a child."""
    client = MediaClient(TOKEN, base_url=BASE, verify=CONTEXT)
    child = client.with_options(retry=EAGER)

    async with child:
        assert child.http is client.http
    assert not client.http.is_closed

    await client.aclose()
    assert client.http.is_closed
