"""One suite for all token stores."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.fakes import FakeWeChat, client_of
from wxmedia_async import (
    AccessToken,
    AppToken,
    FileTokenStore,
    RedisTokenStore,
    TokenStore,
)
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve

HERE = Path(__file__).parent


def token(value: str = "T" * 512, **left: float) -> AccessToken:
    return AccessToken(value, datetime.now(UTC) + timedelta(**(left or {"hours": 2})))


async def test_what_is_saved_is_loaded(store: TokenStore) -> None:
    """A token comes back whole, with its end to the millisecond."""
    saved = token()

    await store.save("key", saved)
    loaded = await store.load("key")

    assert loaded is not None
    assert loaded.value == saved.value
    assert abs(loaded.expires_at - saved.expires_at) < timedelta(milliseconds=1)


async def test_keys_are_apart(store: TokenStore) -> None:
    """A key that was never saved has no token; the last one saved counts."""
    await store.save("key", token("old"))
    await store.save("key", token("new"))

    assert await store.load("other") is None
    assert (await store.load("key") or token()).value == "new"


async def test_one_holds_the_lock(store: TokenStore) -> None:
    """While one is inside, all others wait; then they come one by one."""
    inside, most = 0, 0

    async def enter() -> None:
        nonlocal inside, most
        async with store.lock("key"):
            inside += 1
            most = max(most, inside)
            await checkpoint()
            await store.save("key", token())
            assert await store.load("key") is not None
            inside -= 1

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(enter)

    assert most == 1


async def test_locks_of_other_keys_do_not_wait(store: TokenStore) -> None:
    """Each account has a lock of its own."""
    with anyio.fail_after(5):
        async with store.lock("one" * 20), store.lock("two" * 20):
            pass


async def test_a_cancelled_waiter_holds_nothing(store: TokenStore) -> None:
    """Who gives up while waiting leaves the lock to the others."""
    async with store.lock("key"):
        with anyio.move_on_after(0.05) as gave_up:
            async with store.lock("key"):
                pass

    with anyio.fail_after(4):
        async with store.lock("key"):
            pass

    assert gave_up.cancelled_caught


async def test_an_error_inside_frees_the_lock(store: TokenStore) -> None:
    """A fetch that fails lets the next one try."""
    with pytest.raises(ZeroDivisionError):
        async with store.lock("key"):
            raise ZeroDivisionError

    with anyio.fail_after(4):
        async with store.lock("key"):
            pass


async def test_clients_share_a_token(store: TokenStore) -> None:
    """A second client takes the token that the first one fetched."""
    service = FakeWeChat(stored={"m": b"\xff\xd8\xff"})

    for _ in range(2):
        credential = AppToken("app", "secret", store=store)
        async with client_of(service, token=credential) as client:
            await client.read("m")

    assert service.tokens == 1


async def test_a_refused_token_is_replaced_in_the_store(store: TokenStore) -> None:
    """Who is refused looks into the store first, and only then fetches."""
    service = FakeWeChat(stored={"m": b"\xff\xd8\xff"})
    first = AppToken("app", "secret", store=store)
    other = AppToken("app", "secret", store=store)

    async with client_of(service, token=first) as one:
        async with client_of(service, token=other) as two:
            await one.read("m")
            await two.read("m")
            service.valid = "somebody fetched another"
            await one.read("m")
            await two.read("m")

    assert service.tokens == 2


async def test_no_secret_in_keys_or_repr(server: str, redis: Any) -> None:
    """Fault 34: neither the secret nor the token is in a key or a repr."""
    store = RedisTokenStore(redis)
    service = FakeWeChat(stored={"m": b"\xff\xd8\xff"})
    async with client_of(
        service, token=AppToken("app", "very-secret", store=store)
    ) as client:
        await client.read("m")

    keys = b" ".join(await redis.keys("*"))

    assert b"very-secret" not in keys
    assert b"app" not in keys
    assert "very-secret" not in repr(client.token) + repr(store)


async def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Mode 0600, for the locks and journals as well."""
    store = FileTokenStore(tmp_path / "tokens.sqlite")

    async with store.lock("key"):
        await store.save("key", token())
        modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes == {0o600}
    assert len(list(tmp_path.iterdir())) == 2


async def test_another_file_is_no_store(tmp_path: Path) -> None:
    """A picture given as store is refused, and left as it is."""
    path = tmp_path / "cat.jpg"
    path.write_bytes(b"\xff\xd8\xff" * 1000)

    with pytest.raises(sqlite3.DatabaseError):
        await FileTokenStore(path).load("key")

    assert path.read_bytes() == b"\xff\xd8\xff" * 1000


async def test_a_file_that_cannot_be_locked(tmp_path: Path) -> None:
    """A lock file that is something else is an error, not an endless wait."""
    store = FileTokenStore(tmp_path / "tokens")
    Path(f"{tmp_path}/tokens-key.lock").write_bytes(b"\xff\xd8\xff" * 1000)

    with pytest.raises(sqlite3.DatabaseError):
        async with store.lock("key"):
            pass


async def test_a_redis_token_ends_in_the_server_too(redis: Any) -> None:
    """The server forgets a token when it has ended."""
    store = RedisTokenStore(redis)

    await store.save("key", token(seconds=50))
    left = await redis.pttl("wxmedia:token:key")
    await store.save("key", token(seconds=-50))

    assert 40_000 < left <= 50_000
    while await store.load("key") is not None:
        await checkpoint()


async def test_a_lock_that_has_ended_by_itself(redis: Any) -> None:
    """Leaving a lock that took longer than its time to live is no error."""
    store = RedisTokenStore(redis, lock_ttl=0.05)

    async with store.lock("key"):
        while await redis.exists("wxmedia:token:key:lock"):
            await checkpoint()


@pytest.fixture(params=["file", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where processes find the store: a path or a URL."""
    if request.param == "file":
        return str(tmp_path / "tokens.sqlite")
    request.getfixturevalue("redis")
    return str(request.getfixturevalue("server"))


async def test_eight_processes_fetch_once(
    place: str, anyio_backend_name: str, anyio_backend_options: dict[str, Any]
) -> None:
    """8 processes with 50 calls each, a cold store and the old endpoint: 1 fetch."""
    _once(anyio_backend_name, anyio_backend_options)
    simulator = Simulator()
    async with serve(simulator) as url:
        command = [sys.executable, str(HERE / "fetch_tokens.py"), url, place, "50"]
        processes = [_started(command) for _ in range(8)]
        told = [process.communicate()[0].split() for process in processes]

    assert [process.returncode for process in processes] == [0] * 8
    assert [len(tokens) for tokens in told] == [50] * 8
    assert len({token for tokens in told for token in tokens}) == 1
    assert simulator.token_fetches == 1


async def test_a_killed_holder_delays_no_longer_than_the_time_to_live(
    place: str, anyio_backend_name: str, anyio_backend_options: dict[str, Any]
) -> None:
    """kill -9 of who holds the lock: a file is free at once, Redis within the TTL."""
    _once(anyio_backend_name, anyio_backend_options)
    command = [sys.executable, str(HERE / "hold_lock.py"), place]
    with _started(command) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    killed = time.monotonic()

    store: TokenStore = FileTokenStore(place)
    if place.startswith("redis://"):
        from redis.asyncio import Redis

        async with Redis.from_url(place) as redis:
            async with RedisTokenStore(redis, lock_ttl=0.5).lock("key"):
                waited = time.monotonic() - killed
    else:
        async with store.lock("key"):
            waited = time.monotonic() - killed

    assert waited < 0.5 + 2.0


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _once(backend: str, options: dict[str, Any]) -> None:
    """What other processes do hangs not on the event loop of this one."""
    if backend == "trio" or options.get("use_uvloop"):
        pytest.skip("once is enough")
