"""Values stay what they are through pickles, copies and other processes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import attrs
import pytest

import wxmedia_async
from wxmedia_async import (
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    WECOM,
    AccessToken,
    Adaptive,
    AppToken,
    CloudbaseToken,
    CorpToken,
    Download,
    Event,
    Failed,
    FileTokenStore,
    FileUploadCache,
    Finished,
    Limit,
    MediaContent,
    MediaNotFound,
    MemoryUploadCache,
    Outcome,
    Paused,
    Platform,
    Progress,
    Rate,
    RedisTokenStore,
    Renewed,
    Retried,
    RetryPolicy,
    SavedMedia,
    Started,
    StaticToken,
    Upload,
    UploadedMedia,
    simulator,
)
from wxmedia_async.simulator import SeenRequest, Simulator, StoredMedia

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MEDIA = UploadedMedia("ID", "image", NOW, NOW)
SAVED = SavedMedia("ID", Path("a.jpg"), "a.jpg", 7, None, None, verified=True)
STORE = FileTokenStore("tokens")

ERROR = MediaNotFound("gone", code=40007)
ABOUT: dict[str, Any] = {
    "transfer": 1,
    "operation": "upload",
    "platform": "wecom",
    "media_id": None,
    "attempt": 1,
}

VALUES: list[object] = [
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    WECOM,
    Platform("own", ("http://host",), {}),
    attrs.evolve(WECOM, limits={"file": Limit(1)}),
    Limit(10, suffixes=(".jpg",)),
    AccessToken("token", NOW),
    Adaptive(1, 10),
    AppToken("id", "secret"),
    AppToken("id", "secret", store=STORE, endpoint="token"),
    CloudbaseToken(),
    CorpToken("id", "secret", store=STORE),
    StaticToken("token"),
    Download("ID", to="inbox", hd_voice=True, key=1),
    Upload(b"content", type="voice", key="k"),
    MEDIA,
    SAVED,
    MediaContent("ID", b"content", None, None),
    Outcome("ID", None, 0, SAVED, attempts=1),
    Progress("ID", 1, None),
    Rate(10, 1.0),
    RetryPolicy(),
    STORE,
    FileUploadCache("uploads"),
    SeenRequest("GET", "/", {}, {}),
    Started(**ABOUT),
    Renewed(**ABOUT),
    Paused(**ABOUT, wait=1.0),
    Finished(**ABOUT, bytes=1, seconds=1.0, slot_wait=0.0),
]

# Errors are equal to themselves alone.
WITH_ERRORS: list[object] = [
    Retried(**ABOUT, error=ERROR, wait=1.0),
    Failed(**ABOUT, error=ERROR, bytes=1, seconds=1.0, slot_wait=0.0),
    Outcome("ID", None, 0, error=ERROR, attempts=1),
]

# What changes is no value; a store has a user's connection, an event is one kind of it.
THINGS = {Event, MemoryUploadCache, RedisTokenStore, StoredMedia}


def pickled(value: object, protocol: int = pickle.DEFAULT_PROTOCOL) -> object:
    return pickle.loads(pickle.dumps(value, protocol))


def pickled_in_the_old_way(value: object) -> object:
    return pickled(value, 2)


def evolved(value: object) -> object:
    # One of them, for a type checker.
    return attrs.evolve(cast("Rate", value))


WAYS = [pickled, pickled_in_the_old_way, copy.copy, copy.deepcopy, evolved]


def test_every_value_is_looked_at() -> None:
    """No public attrs class of the package is forgotten here."""
    public = {
        value
        for package in (wxmedia_async, simulator)
        for name in package.__all__
        if isinstance(value := getattr(package, name), type) and attrs.has(value)
    }

    assert public == {type(value) for value in [*VALUES, *WITH_ERRORS]} | THINGS


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", VALUES, ids=map(str, range(len(VALUES))))
def test_values_can_be_copied(value: object, way: Callable[[object], object]) -> None:
    """A value that was pickled or copied equals what it was, and looks like it."""
    same = way(value)

    assert same == value
    assert repr(same) == repr(value)
    assert type(same) is type(value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("value", WITH_ERRORS, ids=lambda value: type(value).__name__)
def test_values_with_errors(value: object, way: Callable[[object], object]) -> None:
    """What holds an error among other things looks like it after that, too."""
    same = way(value)

    assert repr(same) == repr(value)
    assert type(same) is type(value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("platform", [MINI_PROGRAM, WECOM], ids=lambda it: it.name)
def test_a_copied_platform_is_one(
    platform: Platform, way: Callable[[object], object]
) -> None:
    """A copy of a platform hashes as it, and its limits can only be read."""
    same = way(platform)

    assert isinstance(same, Platform)
    assert hash(same) == hash(platform)
    assert {platform: 1}[same] == 1
    with pytest.raises(TypeError):
        same.limits["image"] = Limit(1)  # type: ignore[index]  # that is the point


@attrs.frozen
class Gateway(Platform):
    """A platform with something of its own."""

    region: str = "cn"
    _line: int = 0


def test_a_platform_of_a_users_own() -> None:
    """A platform that a user derived keeps what is its own."""
    gateway = Gateway("own", (), {"image": Limit(1)}, region="eu", line=2)

    assert copy.deepcopy(gateway) == gateway
    assert pickle.loads(pickle.dumps(gateway)) == gateway


def test_what_holds_a_platform() -> None:
    """What holds a platform among other things can be pickled with it."""
    failed: Outcome[Platform, object]
    failed = Outcome(WECOM, (MINI_PROGRAM,), 0, error=MediaNotFound("gone", code=40007))

    same = pickle.loads(pickle.dumps(failed))

    assert (same.item, same.key) == (WECOM, (MINI_PROGRAM,))
    assert repr(same.error) == repr(failed.error)


def test_another_process() -> None:
    """A platform arrives in another process, which has not loaded the package yet."""
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer))"

    done = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps(WECOM),
        capture_output=True,
        check=True,
    )

    assert done.stdout.decode().strip() == repr(WECOM)


def test_a_cache_is_copied_with_what_it_knows() -> None:
    """A cache in memory goes to another process with what it remembers."""
    cache = MemoryUploadCache()
    cache._kept["key"] = MEDIA

    same = pickle.loads(pickle.dumps(cache))

    assert dict(same._kept) == {"key": MEDIA}
    assert same.max_items == cache.max_items


def test_a_stored_media_can_be_copied() -> None:
    """A media of the simulator goes to another process with its bytes."""
    kept = Simulator()
    media = kept.media[kept.put(b"bytes")]

    assert pickle.loads(pickle.dumps(media)).content == b"bytes"
