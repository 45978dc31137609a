"""What a manifest takes for the same item, and what for another one."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of, error, names_in
from wxmedia_async import (
    OFFICIAL_ACCOUNT,
    WECOM,
    AppToken,
    Download,
    MediaClient,
    MediaNotFound,
    MediaRejected,
    Outcome,
    TooLarge,
    Upload,
)


class Kept:
    """A destination that keeps the names that it is given."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def put(
        self, name: str, body: AsyncIterable[bytes], *, content_type: object, size: int
    ) -> str:
        async for _ in body:
            pass
        self.names.append(name)
        return name


class Bucket(Kept):
    """A destination that says what it is."""

    def __init__(self, identity: str) -> None:
        super().__init__()
        self.identity = identity


@pytest.fixture
def service() -> FakeWeChat:
    return FakeWeChat(stored={"a": JPEG, "b": JPEG}, created_at=int(time.time()))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "manifest.jsonl"


async def drained(batch: Any) -> list[Outcome[Any, Any]]:
    async with batch as outcomes:
        found = [outcome async for outcome in outcomes]
    return sorted(found, key=lambda outcome: outcome.index)


def picture_in(folder: Path) -> Path:
    path = folder / "cat.jpg"
    path.write_bytes(JPEG)
    return path


@pytest.mark.parametrize("width", [1, 8])
@pytest.mark.parametrize("file_io", ["inline", "thread"])
async def test_equal_downloads_are_done_once(
    service: FakeWeChat, tmp_path: Path, manifest: Path, width: int, file_io: str
) -> None:
    """One after another or at once: one request, two results, and so ever after."""
    async with client_of(service, max_concurrency=width, file_io=file_io) as client:
        for _ in range(3):
            batch = client.download_many(
                ["a", "a", "b", "a"], tmp_path / "in", manifest=manifest
            )
            found = await drained(batch)
            assert [outcome.error for outcome in found] == [None] * 4
            assert found[0].result == found[1].result == found[3].result
            skipped = [outcome.skipped for outcome in found]

    assert skipped == [True] * 4
    assert len(service.requests) == 2
    assert names_in(tmp_path / "in") == ["a.jpg", "b.jpg"]


@pytest.mark.parametrize("width", [1, 8])
async def test_equal_uploads_are_done_once(
    service: FakeWeChat, tmp_path: Path, manifest: Path, width: int
) -> None:
    """Equal paths, and equal keys, are uploaded once, and the first is the done one."""
    picture = picture_in(tmp_path)
    items: list[Any] = [
        picture,
        picture,
        Upload(JPEG, key="k"),
        Upload(picture, key="k"),
    ]

    async with client_of(service, max_concurrency=width) as client:
        found = await drained(client.upload_many(items, manifest=manifest))

    assert [outcome.skipped for outcome in found] == [False, True, False, True]
    assert found[0].result == found[1].result != found[2].result == found[3].result
    assert len(service.requests) == 2


async def test_an_equal_item_takes_over_what_failed(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """What waits for an equal one that fails is not lost with it."""
    service.answers = [httpx.Response(200, text="<html>a login page")]
    service.gate = anyio.Event()
    async with client_of(service) as client:
        batch = client.download_many(["a"] * 4, tmp_path / "in", manifest=manifest)
        async with batch as outcomes:
            await anyio.wait_all_tasks_blocked()
            service.gate.set()
            found = [outcome async for outcome in outcomes]

    found.sort(key=lambda outcome: outcome.index)
    assert [outcome.ok for outcome in found] == [False, True, True, True]
    assert [outcome.skipped for outcome in found].count(True) == 2
    assert len(service.requests) == 2


async def test_equal_refusals_are_asked_for_once(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """A refusal is a result as well."""
    async with client_of(service) as client:
        batch = client.download_many(["gone"] * 3, tmp_path / "in", manifest=manifest)
        found = await drained(batch)

    assert all(isinstance(outcome.error, MediaNotFound) for outcome in found)
    assert [outcome.skipped for outcome in found] == [False, True, True]
    assert len(service.requests) == 1


@pytest.mark.parametrize("key", [None, "k", 7])
async def test_the_type_makes_another_item(
    service: FakeWeChat, tmp_path: Path, manifest: Path, key: object
) -> None:
    """One file as two types is two media, each of the type that was asked for."""
    picture = picture_in(tmp_path)
    items = [Upload(picture, type=type, key=key) for type in ("image", "thumb")]

    async with client_of(service, platform=OFFICIAL_ACCOUNT) as client:
        for _ in range(2):
            found = await drained(client.upload_many(items, manifest=manifest))
            assert [outcome.unwrap().type for outcome in found] == ["image", "thumb"]

    assert [outcome.skipped for outcome in found] == [True, True]
    assert len(service.requests) == 2


@pytest.mark.parametrize("at_once", [True, False])
async def test_the_folder_makes_another_item(
    service: FakeWeChat, tmp_path: Path, manifest: Path, at_once: bool
) -> None:
    """One media_id into two folders is saved in both, in one batch and in two."""
    folders = [tmp_path / "A", tmp_path / "B"]
    items = [Download("a", to=folder) for folder in folders]
    rounds = [items, items] if at_once else [items[:1], items[1:], items]

    async with client_of(service) as client:
        for some in rounds:
            batch = client.download_many(some, tmp_path, manifest=manifest)
            found = await drained(batch)

    assert [outcome.skipped for outcome in found] == [True, True]
    assert [names_in(folder) for folder in folders] == [["a.jpg"], ["a.jpg"]]
    assert [outcome.unwrap().path.parent for outcome in found] == folders


async def test_a_folder_is_the_same_by_whatever_name(
    service: FakeWeChat, tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative, absolute, by a link: each time the file is named as was asked."""
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to("in")
    monkeypatch.chdir(tmp_path)

    async with client_of(service) as client:
        for to in ("in", f"{tmp_path}/in/", tmp_path / "in", "link", "./in"):
            (outcome,) = await drained(
                client.download_many(["a"], to, manifest=manifest)
            )
            saved = outcome.unwrap()
            assert saved.path == Path(to) / "a.jpg"
            assert saved.location == str(saved.path)
            assert saved.path.is_file()

    assert len(service.requests) == 1


async def test_a_relative_folder_elsewhere_is_another_one(
    service: FakeWeChat, tmp_path: Path, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the folder of work, a result's location leads to the file."""
    async with client_of(service) as client:
        for name in ("here", "there", "here"):
            (tmp_path / name).mkdir(exist_ok=True)
            monkeypatch.chdir(tmp_path / name)
            (outcome,) = await drained(
                client.download_many(["a"], "in", manifest=manifest)
            )
            assert Path(outcome.unwrap().location).is_file()

    assert outcome.skipped
    assert len(service.requests) == 2


async def test_another_destination_is_another_one(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """In one batch, and in two; the same object is the same."""
    one: Any = Kept()
    two: Any = Kept()
    items: Any = [Download("a", to=to) for to in (one, two, tmp_path / "in")]

    async with client_of(service) as client:
        for _ in range(2):
            batch = client.download_many(items, tmp_path, manifest=manifest)
            found = await drained(batch)
        three: Any = Kept()
        await drained(client.download_many(["a"], three, manifest=manifest))

    assert [outcome.skipped for outcome in found] == [True] * 3
    assert one.names == two.names == three.names == ["a.jpg"]


async def test_a_destination_of_an_earlier_process_is_known_by_its_class(
    service: FakeWeChat, manifest: Path
) -> None:
    """Objects have no names that outlive a process; what was done there is believed."""
    to: Any = Kept()
    async with client_of(service) as client:
        await drained(client.download_many(["a"], to, manifest=manifest))
        process = manifest.read_text().partition('"by": "')[2][:16]
        manifest.write_text(manifest.read_text().replace(process, "0" * 16))
        another: Any = Kept()
        (found,) = await drained(
            client.download_many(["a"], another, manifest=manifest)
        )

    assert found.skipped
    assert found.unwrap().location == "a.jpg"


async def test_a_destination_may_say_what_it_is(
    service: FakeWeChat, manifest: Path
) -> None:
    """Equal identities are one destination, whatever the objects."""
    async with client_of(service) as client:
        for identity in ("red", "blue", "red"):
            to: Any = Bucket(identity)
            (found,) = await drained(client.download_many(["a"], to, manifest=manifest))

    assert found.skipped
    assert len(service.requests) == 2


async def test_the_quality_makes_another_item(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """A voice in both qualities is two files."""
    service.stored = {"a": b"#!AMR\n" + bytes(100)}
    items = [Download("a", hd_voice=hd, to=tmp_path / str(hd)) for hd in (False, True)]
    to: Any = Kept()
    more = [Download("a", hd_voice=hd, to=to) for hd in (False, True)]

    async with client_of(service) as client:
        for _ in range(2):
            batch = client.download_many([*items, *more], tmp_path, manifest=manifest)
            found = await drained(batch)

    assert [outcome.skipped for outcome in found] == [True] * 4
    assert len(service.requests) == 4


async def test_the_account_makes_another_item(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """What one account has is never another's; a new token is the same account."""
    picture = picture_in(tmp_path)
    sent: list[str] = []
    for appid in ("wx1", "wx2", "wx1", "wx2"):
        async with client_of(service, token=AppToken(appid, "secret")) as client:
            (found,) = await drained(client.upload_many([picture], manifest=manifest))
            sent.append(found.unwrap().media_id)

    assert sent[:2] == sent[2:]
    assert sent[0] != sent[1]


async def test_a_child_of_another_account_is_another_one(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """with_options(token=) may change the account; other options do not."""
    picture = picture_in(tmp_path)
    async with client_of(service, token=AppToken("wx1", "secret")) as client:
        child = client.with_options(token=AppToken("wx2", "secret"))
        same = client.with_options(deadline=5.0)
        found = [
            (await drained(one.upload_many([picture], manifest=manifest)))[0]
            for one in (client, child, same, child)
        ]

    assert [outcome.skipped for outcome in found] == [False, False, True, True]


@pytest.mark.parametrize("other", ["platform", "service"])
async def test_the_service_makes_another_item(
    service: FakeWeChat, tmp_path: Path, manifest: Path, other: str
) -> None:
    """What a simulator or another platform made is unknown to WeChat."""
    picture = picture_in(tmp_path)
    skipped: list[bool] = []
    for base, platform in (
        ("http://wechat.test", OFFICIAL_ACCOUNT),
        ("http://other.test", OFFICIAL_ACCOUNT)
        if other == "service"
        else ("http://wechat.test", WECOM),
        ("http://wechat.test/", OFFICIAL_ACCOUNT),
    ):
        http = httpx.AsyncClient(transport=service)
        client = MediaClient("token", base_url=base, platform=platform, http=http)
        (found,) = await drained(client.upload_many([picture], manifest=manifest))
        assert found.ok
        skipped.append(found.skipped)

    assert skipped == [False, False, True]


async def test_what_was_refused_here_is_not_finished(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """A mistake or a bound of one run says nothing of the item."""
    picture = picture_in(tmp_path)
    async with client_of(service) as client:
        for kind in ("imgae", "voice", "image"):
            (found,) = await drained(
                client.upload_many([Upload(picture, key="k")], kind, manifest=manifest)
            )
    tiny = picture_in(tmp_path)
    tiny.write_bytes(b"")
    async with client_of(service) as client:
        (empty,) = await drained(client.upload_many([tiny], manifest=manifest))

    assert found.ok
    assert isinstance(empty.error, MediaRejected)
    assert '"refused"' not in manifest.read_text()


async def test_too_large_counts_up_to_its_limit(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """More than ten bytes is more than five, and may be less than a thousand."""
    size = len(JPEG)
    expected = {10: (TooLarge, False), 5: (TooLarge, True), 11: (TooLarge, False)}

    async with client_of(service) as client:
        for most, (kind, skipped) in expected.items():
            (found,) = await drained(
                client.download_many(
                    ["a"], tmp_path / "in", max_bytes=most, manifest=manifest
                )
            )
            assert isinstance(found.error, kind)
            assert found.skipped is skipped
        items = [Download("a", max_bytes=size)]
        (found,) = await drained(
            client.download_many(items, tmp_path / "in", manifest=manifest)
        )
        assert found.ok
        # The file is there: that somebody wants less changes nothing.
        (found,) = await drained(
            client.download_many(["a"], tmp_path / "in", max_bytes=5, manifest=manifest)
        )

    assert found.ok
    assert found.skipped


async def test_a_rejection_counts_for_the_same_name(
    service: FakeWeChat, manifest: Path
) -> None:
    """What WeChat refused under one name, it may take under another."""
    service.answers = [error(40005)]
    async with client_of(service) as client:
        seen = []
        for name in ("a.exe", "a.exe", "a.jpg"):
            item = Upload(JPEG, key="k", filename=name)
            (found,) = await drained(client.upload_many([item], manifest=manifest))
            seen.append((found.ok, found.skipped))

    assert seen == [(False, False), (False, True), (True, False)]


@pytest.mark.parametrize("change", ["cut", "emptied", "longer", "gone", "folder"])
@pytest.mark.parametrize("overwrite", [True, False])
async def test_a_file_that_changed_its_size_is_not_told_as_done(
    service: FakeWeChat, tmp_path: Path, manifest: Path, change: str, overwrite: bool
) -> None:
    """A record is believed as long as the file is as long as it was."""

    def batch(client: MediaClient) -> Any:
        return client.download_many(
            ["a"], tmp_path / "in", overwrite=overwrite, manifest=manifest
        )

    async with client_of(service) as client:
        (first,) = await drained(batch(client))
        path = first.unwrap().path
        if change in ("gone", "folder"):
            path.unlink()
        if change == "folder":
            path.mkdir()
        else:
            size = {"cut": len(JPEG) - 1, "emptied": 0, "longer": len(JPEG) + 1}
            if change in size:
                os.truncate(path, size[change])
        (again,) = await drained(batch(client))

    assert not again.skipped
    if change == "gone" or (overwrite and change != "folder"):
        assert path.read_bytes() == JPEG
    else:
        assert isinstance(again.error, OSError)


@pytest.mark.parametrize("uploads", [True, False])
async def test_a_known_refusal_stops_no_run(
    service: FakeWeChat, tmp_path: Path, manifest: Path, uploads: bool
) -> None:
    """With on_error="raise" only what is new is raised."""
    service.answers = [error(40004 if uploads else 40007)]
    items: list[Any] = (
        [Upload(JPEG, key=key) for key in "xyz"] if uploads else ["a", "b"]
    )

    def batch(client: MediaClient) -> Any:
        if uploads:
            return client.upload_many(items, on_error="raise", manifest=manifest)
        return client.download_many(
            items, tmp_path / "in", on_error="raise", manifest=manifest
        )

    async with client_of(service, max_concurrency=1) as client:
        with pytest.raises((MediaNotFound, MediaRejected)):
            await drained(batch(client))
        found = await drained(batch(client))

    assert [outcome.ok for outcome in found] == [False] + [True] * (len(items) - 1)
    assert found[0].skipped
    assert found[0].attempts == 0


async def test_what_waits_for_its_equal_can_be_left(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """Leaving a batch in which equals wait for each other ends at once."""
    service.gate = anyio.Event()

    async def items() -> AsyncIterator[str]:
        while True:
            yield "a"

    with anyio.fail_after(5):
        async with client_of(service, max_concurrency=5) as client:
            async with client.download_many(
                items(), tmp_path / "in", manifest=manifest
            ):
                await anyio.wait_all_tasks_blocked()

    assert service.in_flight == 0
    assert len(service.requests) == 1
