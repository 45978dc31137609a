"""What a batch remembers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import JPEG, FakeWeChat, client_of, names_in
from wxmedia_async import (
    Download,
    MediaNotFound,
    Outcome,
    SavedMedia,
    Upload,
    UploadedMedia,
)

DAY_OLD = "2023-11-14T22:13:20+00:00"


@pytest.fixture
def service() -> FakeWeChat:
    return FakeWeChat()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "manifest.jsonl"


async def download(
    service: FakeWeChat, ids: list[Any], to: Path, manifest: Path
) -> dict[int, Outcome[object, SavedMedia]]:
    async with client_of(service) as client:
        async with client.download_many(ids, to, manifest=manifest) as outcomes:
            return {outcome.index: outcome async for outcome in outcomes}


async def upload(
    service: FakeWeChat, items: list[Any], manifest: Path
) -> dict[int, Outcome[object, UploadedMedia]]:
    async with client_of(service) as client:
        async with client.upload_many(items, manifest=manifest) as outcomes:
            return {outcome.index: outcome async for outcome in outcomes}


def lines(manifest: Path) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in manifest.read_bytes().splitlines()]


async def test_a_second_run_does_only_the_rest(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """What is finished, refusals too, is told again without a request."""
    service.stored = {"a": JPEG}
    first = await download(service, ["a", "gone"], tmp_path / "in", manifest)
    asked = len(service.requests)

    second = await download(service, ["a", "gone", "b"], tmp_path / "in", manifest)

    assert len(service.requests) == asked + 1
    assert second[0].skipped
    assert second[0].attempts == 0
    assert second[0].result == first[0].result
    assert second[1].skipped
    assert isinstance(second[1].error, MediaNotFound)
    assert second[1].error.code == 40007
    assert not second[2].skipped


async def test_a_saved_file_that_is_gone_is_fetched_again(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """The manifest's word counts only as long as the file is there."""
    service.stored = {"a": JPEG}
    await download(service, ["a"], tmp_path / "in", manifest)
    (tmp_path / "in" / "a.jpg").unlink()

    again = await download(service, ["a"], tmp_path / "in", manifest)

    assert not again[0].skipped
    assert names_in(tmp_path / "in") == ["a.jpg"]


async def test_an_uploaded_media_id_counts_while_it_lives(
    service: FakeWeChat, manifest: Path
) -> None:
    """A media_id that ends within the hour is not handed out again."""
    await upload(service, [Upload(JPEG, key="k")], manifest)
    assert lines(manifest)[-1]["result"]["created_at"] == DAY_OLD

    again = await upload(service, [Upload(JPEG, key="k")], manifest)

    assert not again[0].skipped
    assert len(service.stored) == 2


async def test_a_live_media_id_is_handed_out_again(
    service: FakeWeChat, manifest: Path
) -> None:
    """A media_id that lives long enough saves the upload."""
    await upload(service, [Upload(JPEG, key=7)], manifest)
    facts = dict(lines(manifest)[-1])
    facts["result"] |= {"expires_at": "2999-01-01T00:00:00+00:00"}
    manifest.write_text(json.dumps(facts) + "\n")

    again = await upload(service, [Upload(JPEG, key=7)], manifest)

    assert again[0].skipped
    assert again[0].unwrap().media_id == "m0"
    assert len(service.stored) == 1


async def test_a_path_is_known_by_name_size_and_time(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """A path needs no key; a file that changed is another item."""
    picture = tmp_path / "cat.jpg"
    picture.write_bytes(JPEG)
    await upload(service, [picture], manifest)
    status = picture.stat()

    assert lines(manifest)[-1]["key"] == [
        str(picture),
        status.st_size,
        status.st_mtime_ns,
    ]


async def test_other_sources_need_a_key(service: FakeWeChat, manifest: Path) -> None:
    """Bytes without a key cannot be known again: a ValueError, no request."""
    found = await upload(service, [JPEG, Upload(JPEG, key=("no", "str"))], manifest)

    assert isinstance(found[0].error, ValueError)
    assert isinstance(found[1].error, ValueError)
    assert service.requests == []


async def test_fault_30_a_torn_last_line_is_tolerated(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """Fault 30: a kill may tear the last line; its item is done again."""
    service.stored = {"a": JPEG, "b": JPEG}
    await download(service, ["a", "b"], tmp_path / "in", manifest)
    whole = manifest.read_bytes()
    manifest.write_bytes(whole[: whole.rindex(b'"kind": "saved"') + 20])
    for name in names_in(tmp_path / "in"):
        (tmp_path / "in" / name).unlink()

    again = await download(service, ["a", "b"], tmp_path / "in", manifest)
    third = await download(service, ["a", "b"], tmp_path / "in", manifest)

    assert [again[0].ok, again[1].ok] == [True, True]
    assert [third[0].skipped, third[1].skipped] == [True, True]


async def test_fault_30_killed_between_publishing_and_writing(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """Fault 30: a file that appeared right before the kill is no error."""
    service.stored = {"a": JPEG}
    await download(service, ["a"], tmp_path / "in", manifest)
    kept = manifest.read_bytes().splitlines(keepends=True)
    assert json.loads(kept[-2])["kind"] == "publishing"
    manifest.write_bytes(b"".join(kept[:-1]))

    again = await download(service, ["a"], tmp_path / "in", manifest)

    assert again[0].skipped
    assert again[0].unwrap().path == tmp_path / "in" / "a.jpg"


async def test_a_file_of_somebody_elses_is_not_taken_for_ours(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """A file that was there before is a FileExistsError in every run."""
    service.stored = {"a": JPEG}
    (tmp_path / "a.jpg").write_bytes(JPEG)

    for _ in range(2):
        found = await download(service, ["a"], tmp_path, manifest)
        assert isinstance(found[0].error, FileExistsError)

    assert names_in(tmp_path) == ["a.jpg", "manifest.jsonl"]


@pytest.mark.parametrize("same_size", [True, False])
async def test_a_file_in_place_of_ours_is_not_taken_for_ours(
    service: FakeWeChat, tmp_path: Path, manifest: Path, same_size: bool
) -> None:
    """What a kill left unpublished is known by its inode, not by its name."""
    service.stored = {"a": JPEG}
    await download(service, ["a"], tmp_path / "in", manifest)
    about_to_appear = manifest.read_bytes().splitlines(keepends=True)[0]
    manifest.write_bytes(about_to_appear)
    theirs = tmp_path / "theirs"
    theirs.write_bytes(JPEG[::-1] if same_size else b"dog")
    os.replace(theirs, tmp_path / "in" / "a.jpg")

    again = await download(service, ["a"], tmp_path / "in", manifest)

    assert isinstance(again[0].error, FileExistsError)


async def test_keys_may_be_the_callers_own(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """A key of the caller's names the item, as a str or as an int."""
    service.stored = {"a": JPEG, "b": JPEG}
    items = [Download("a", key=1), Download("b", key="1")]
    await download(service, items, tmp_path / "in", manifest)

    again = await download(service, items, tmp_path / "in", manifest)

    assert [again[0].skipped, again[1].skipped] == [True, True]
    assert [again[0].key, again[1].key] == [1, "1"]


async def test_another_file_is_not_taken_for_a_manifest(
    service: FakeWeChat, tmp_path: Path
) -> None:
    """A picture given as manifest is refused, and left as it is."""
    picture = tmp_path / "cat.jpg"
    picture.write_bytes(JPEG)

    with pytest.raises(ValueError, match="manifest"):
        await download(service, ["a"], tmp_path, picture)

    assert picture.read_bytes() == JPEG


async def test_no_secret_is_in_the_manifest(
    service: FakeWeChat, tmp_path: Path, manifest: Path
) -> None:
    """Fault 34: the manifest holds ids, names and sizes, and no token."""
    service.stored = {"a": JPEG}
    await download(service, ["a", "gone"], tmp_path / "in", manifest)

    assert "never-be-seen" not in manifest.read_text()
