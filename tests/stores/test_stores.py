"""One suite for all token stores."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import anyio
import pytest
from anyio.lowlevel import checkpoint
from redis.asyncio import Redis

from tests.fakes import FakeWeChat, client_of
from tests.interrupting import cancelled_at, torn_at
from wxmedia_async import (
    AccessToken,
    AppToken,
    FileTokenStore,
    RedisTokenStore,
    TokenStore,
)
from wxmedia_async.simulator import Simulator
from wxmedia_async.simulator.serve import serve
from wxmedia_async.stores import _redis
from wxmedia_async.stores._file import _Hold

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

    with anyio.fail_after(10):
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


async def test_cancelled_at_each_suspension(store: TokenStore) -> None:
    """Fault 25: a lock is free, and the store works, wherever it was cancelled."""
    nth, reached = 0, True

    while reached:
        nth += 1
        reached = await cancelled_at(lambda: _use(store), nth)
        with anyio.fail_after(1):
            await _use(store)

    assert nth > 4


async def test_torn_at_each_suspension(
    store: TokenStore, anyio_backend_name: str
) -> None:
    """Fault 25: the same with Task.cancel(), which waits for no thread."""
    if anyio_backend_name == "trio":
        pytest.skip("trio has no such thing")
    nth, reached = 0, True

    while reached:
        nth += 1
        reached = await torn_at(lambda: _use(store), nth)
        with anyio.fail_after(1):
            await _use(store)

    assert nth > 4


async def _use(store: TokenStore) -> None:
    async with store.lock("key"):
        await store.save("key", token())
        await store.load("key")


async def test_a_lock_that_is_over_before_it_began(tmp_path: Path) -> None:
    """A thread that comes too late takes no lock, and makes no file."""
    path = tmp_path / "tokens-key.lock"
    hold = _Hold(str(path))

    hold.end()
    hold.begin()

    assert not path.exists()


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
    """Mode 0600, for the locks and journals as well, whatever the umask."""
    store = FileTokenStore(tmp_path / "tokens.sqlite")
    before = os.umask(0)

    try:
        async with store.lock("key"):
            await store.save("key", token())
            with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("DELETE FROM tokens")
                modes = {path.name: _mode(path) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)

    assert modes == {
        "tokens.sqlite": 0o600,
        "tokens.sqlite-journal": 0o600,
        "tokens.sqlite-key.lock": 0o600,
    }


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_file_that_another_writes(tmp_path: Path) -> None:
    """Who saves waits for another's transaction, and may give up at any time."""
    store = FileTokenStore(tmp_path / "tokens.sqlite")
    await store.save("key", token("first"))

    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with anyio.fail_after(10), anyio.move_on_after(0.05) as gave_up:
            await store.save("key", token("second"))
        async with anyio.create_task_group() as group:
            group.start_soon(store.save, "key", token("third"))
            await anyio.wait_all_tasks_blocked()
            other.execute("ROLLBACK")

    assert gave_up.cancelled_caught
    assert (await store.load("key") or token()).value == "third"


@pytest.mark.parametrize("name", ["cat.jpg", "cat.jpg-key.lock"])
async def test_another_file_is_no_store(tmp_path: Path, name: str) -> None:
    """A picture in place of a store or a lock is refused by name, and left alone."""
    path = tmp_path / name
    path.write_bytes(b"\xff\xd8\xff" * 1000)

    with pytest.raises(OSError, match="not a database") as refused:
        await _use(FileTokenStore(tmp_path / "cat.jpg"))

    assert refused.value.filename == str(path)
    assert path.read_bytes() == b"\xff\xd8\xff" * 1000


async def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    """A store's folder is not made up."""
    with pytest.raises(FileNotFoundError):
        await FileTokenStore(tmp_path / "no" / "tokens").load("key")


@pytest.mark.parametrize("link", [None, PermissionError()])
async def test_a_disk_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: PermissionError | None
) -> None:
    """Where links are refused, or Python has none, the store works, and privately."""
    if link is None:
        monkeypatch.delattr(os, "link")
    else:
        monkeypatch.setattr(os, "link", Mock(side_effect=link))
    store = FileTokenStore(tmp_path / "tokens.sqlite")

    await _use(store)
    loaded = await store.load("key")

    assert loaded is not None
    assert {_mode(path) for path in tmp_path.iterdir()} == {0o600}
    assert len(list(tmp_path.iterdir())) == 2


async def test_files_are_private_from_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file is for all to read at any moment, whatever the umask."""
    real, asked = os.open, list[int]()

    def opened(path: str, flags: int, mode: int = 0o777) -> int:
        asked.append(mode)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", opened)
    before = os.umask(0)
    try:
        await _use(FileTokenStore(tmp_path / "tokens.sqlite"))
    finally:
        os.umask(before)

    assert asked == [0o600, 0o600]


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
async def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    """A file that was damaged is an OSError that names it, also while saving."""
    path = tmp_path / "tokens.sqlite"
    store = FileTokenStore(path)
    await store.save("key", token())
    content = path.read_bytes()
    half = len(content) // 2
    path.write_bytes(
        content[:half] + (b"" if damage == "cut" else b"\xff" * (len(content) - half))
    )

    with pytest.raises(OSError) as loading:  # noqa: PT011
        await store.load("key")
    with pytest.raises(OSError) as saving:  # noqa: PT011
        await store.save("key", token())

    assert {loading.value.filename, saving.value.filename} == {str(path)}


@pytest.mark.parametrize(
    "row", ["x'54', 5.0", "'T', 'soon'", "'T', 1e300", "NULL, NULL"]
)
async def test_a_row_that_is_no_token(tmp_path: Path, row: str) -> None:
    """What cannot be read is no token, so another one is fetched."""
    store = FileTokenStore(tmp_path / "tokens.sqlite")
    await store.save("other", token())
    with closing(sqlite3.connect(store.path, isolation_level=None)) as database:
        database.execute(f"INSERT INTO tokens VALUES ('key', {row})")

    assert await store.load("key") is None


async def test_a_redis_token_ends_in_the_server_too(redis: Any) -> None:
    """The server forgets a token when it has ended."""
    store = RedisTokenStore(redis)

    await store.save("key", token(seconds=50))
    left = await redis.pttl("wxmedia:token:key")
    await store.save("key", token(seconds=-50))

    assert 40_000 < left <= 50_000
    while await store.load("key") is not None:
        await checkpoint()


@pytest.mark.parametrize(
    "value", ["nonsense", b"\xff", "[]", '{"value": "t"}', '{"expires_at": 1e99}']
)
async def test_a_redis_value_that_is_no_token(redis: Any, value: str | bytes) -> None:
    """What cannot be read is no token, so another one is fetched."""
    await redis.set("wxmedia:token:key", value)

    assert await RedisTokenStore(redis).load("key") is None


async def test_a_client_that_decodes(server: str, redis: Any) -> None:
    """A user's client may decode its replies."""
    async with Redis.from_url(server, decode_responses=True) as decoding:
        store = RedisTokenStore(decoding)
        await _use(store)
        loaded = await store.load("key")

    assert loaded is not None


@pytest.mark.parametrize("ttl", [0, -1.0])
def test_a_lock_without_time(ttl: float) -> None:
    """A lock that ends at once, or never, is refused."""
    with pytest.raises(ValueError, match="lock_ttl"):
        RedisTokenStore(Redis(), lock_ttl=ttl)


async def test_a_lock_that_has_ended_by_itself(redis: Any) -> None:
    """Leaving a lock that took longer than its time to live is no error."""
    store = RedisTokenStore(redis, lock_ttl=0.05)

    async with store.lock("key"):
        while await redis.exists("wxmedia:token:key:lock"):
            await checkpoint()


async def test_a_lock_that_cannot_be_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that stalls keeps nobody for long: the lock ends by itself."""

    class Stalled:
        def lock(self, *_: object, **__: object) -> Stalled:
            return self

        async def acquire(self, *, token: bytes) -> bool:
            return True

        async def do_release(self, expected_token: bytes) -> None:
            await anyio.sleep_forever()

    monkeypatch.setattr(_redis, "FAREWELL", 0.01)
    store = RedisTokenStore(Stalled())  # type: ignore[arg-type]

    with anyio.fail_after(5):
        async with store.lock("key"):
            entered = True

    assert entered


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
        assert [_line_of(process) for process in processes] == ["ready\n"] * 8
        for process in processes:
            _tell(process, "go\n")
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
        assert _line_of(holder) == "held\n"
        holder.kill()
    killed = time.monotonic()

    with anyio.fail_after(10):
        async with _opened(place) as store, store.lock("key"):
            waited = time.monotonic() - killed

    assert waited < 0.5 + 2.0


@asynccontextmanager
async def _opened(place: str) -> AsyncIterator[TokenStore]:
    if place.startswith("redis://"):
        async with Redis.from_url(place) as redis:
            yield RedisTokenStore(redis)
    else:
        yield FileTokenStore(place)


def _started(command: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def _line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line)
    process.stdin.flush()


def _once(backend: str, options: dict[str, Any]) -> None:
    """What other processes do hangs not on the event loop of this one."""
    if backend == "trio" or options.get("use_uvloop"):
        pytest.skip("once is enough")
