"""What is in a manifest's file, whoever has written it."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.fakes import JPEG, FakeWeChat, client_of, names_in
from wxmedia_async import (
    Download,
    MediaClient,
    MediaNotFound,
    MediaRejected,
    Outcome,
    TooLarge,
    Upload,
)
from wxmedia_async._batch import lines, records
from wxmedia_async._batch.manifest import open_manifest
from wxmedia_async._batch.order import Order, Scope
from wxmedia_async._batch.places import Places
from wxmedia_async._batch.shared_file import SharedFile
from wxmedia_async._models import SavedMedia, UploadedMedia


@pytest.fixture
def service() -> FakeWeChat:
    stored = {name: JPEG + name.encode() for name in "abcdefgh"}
    return FakeWeChat(stored=stored, created_at=int(time.time()))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return tmp_path / "manifest.jsonl"


async def drained(batch: Any) -> list[Outcome[Any, Any]]:
    async with batch as outcomes:
        found = [outcome async for outcome in outcomes]
    return sorted(found, key=lambda outcome: outcome.index)


def downloads(client: MediaClient, ids: Any, manifest: Path) -> Any:
    return client.download_many(ids, manifest.parent / "in", manifest=manifest)


async def test_torn_at_any_byte(service: FakeWeChat, manifest: Path) -> None:
    """A kill may leave any beginning of a line, the first one's too."""
    async with client_of(service) as client:
        await drained(downloads(client, ["a"], manifest))
        whole = manifest.read_bytes()
        for size in range(0, len(whole), 7):
            manifest.write_bytes(whole[:size])
            (manifest.parent / "in" / "a.jpg").unlink(missing_ok=True)
            (found,) = await drained(downloads(client, ["a"], manifest))
            assert found.ok
            (found,) = await drained(downloads(client, ["a"], manifest))
            assert found.skipped


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n\n \n",
        b"rubbish\n",
        b"\xff\xd8\xff\n",
        b'{"some": "other JSON"}\n',
        b"[1, 2]\n",
        b'{"version": 3, "id": "x", "kind": "saved", "key": "a", "path": 5}\n',
        b'{"version": 2, "id": 5, "kind": [], "key": {}}\n',
        b'{"version": 2, "id": "zz", "kind": "saved", "key": "a"}\n',
        b'{"key": "a", "kind": "saved"}\n',
        b'{"key": "a", "kind": "saved", "path": "/nowhere", "size": "x"}\n',
        b'{"key": "a", "kind": "refused", "error": "OSError", "facts": {}}\n',
        b'{"key": "a", "kind": "uploaded", "expires_at": 5, "type": "image"}\n',
        b'{"key": "a", "ki',
        b"[" * 100_000 + b"\n",
        b"x" * 3_000_000 + b"\n",
        b"x" * 3_000_000,
    ],
    ids=lambda line: line[:12].decode("latin-1") + str(len(line)),
)
@pytest.mark.parametrize("first", [True, False])
async def test_foreign_lines_are_no_records(
    service: FakeWeChat, manifest: Path, line: bytes, first: bool
) -> None:
    """Whatever else is in the file, what we noted is known, and nothing else."""
    async with client_of(service) as client:
        await drained(downloads(client, ["b"], manifest))
        ours = manifest.read_bytes()
        manifest.write_bytes(line + b"\n" + ours if first else ours + line)

        for skipped in (False, True):
            found = await drained(downloads(client, ["a", "b"], manifest))
            assert [outcome.skipped for outcome in found] == [skipped, True]
            assert all(outcome.ok for outcome in found)


@pytest.mark.parametrize(
    "content",
    [JPEG, b"some text\n", b'{"key": "a", "value": 1}\n', b"[]", b'{"version": "2"}\n'],
    ids=["picture", "text", "other keys", "JSON", "other version"],
)
async def test_something_else_is_refused(
    service: FakeWeChat, manifest: Path, content: bytes
) -> None:
    """A file that holds nothing of ours is left as it is."""
    manifest.write_bytes(content)

    async with client_of(service) as client:
        with pytest.raises(ValueError, match="something else"):
            await drained(downloads(client, ["a"], manifest))

    assert manifest.read_bytes() == content
    assert service.requests == []


@pytest.mark.parametrize("manifest", [5, True, 1.5, object()])
async def test_what_is_no_path_is_no_manifest(
    service: FakeWeChat, manifest: Any
) -> None:
    """A number would be somebody's descriptor."""
    async with client_of(service) as client:
        with pytest.raises(TypeError):
            client.upload_many([JPEG], manifest=manifest)


async def test_only_a_newer_version_is_a_manifest_without_records(
    service: FakeWeChat, manifest: Path
) -> None:
    """What a later version has written is not understood, and not spoilt."""
    newer = b'{"version": 3, "what": "ever"}\n'
    manifest.write_bytes(newer)

    async with client_of(service) as client:
        (found,) = await drained(downloads(client, ["a"], manifest))

    assert found.ok
    assert manifest.read_bytes().startswith(newer)


SOON = "2999-01-01T00:00:00+00:00"


def old(key: object, kind: str, **facts: object) -> str:
    return json.dumps({"key": key, "kind": kind, **facts}, ensure_ascii=False) + "\n"


def old_saved(path: Path, kind: str = "saved") -> str:
    return old(
        path.stem,
        kind,
        media_id=path.stem,
        path=str(path),
        location=f"in/{path.name}",
        size=len(JPEG),
        content_type="image/jpeg",
        filename=None,
        verified=True,
    )


async def test_lines_that_another_program_has_rewritten_are_known(
    service: FakeWeChat, manifest: Path
) -> None:
    """However its JSON is written, a record is one."""
    async with client_of(service) as client:
        await drained(downloads(client, ["a", "gone"], manifest))
        parsed = map(json.loads, manifest.read_text().splitlines())
        tidy = [json.dumps(line, sort_keys=True) + "\n" for line in parsed]
        manifest.write_text("".join(tidy))

        found = await drained(downloads(client, ["a", "gone"], manifest))

    assert [outcome.skipped for outcome in found] == [True, True]
    assert len(service.requests) == 2


@pytest.mark.parametrize("kind", ["saved", "publishing"])
async def test_downloads_of_0_1_0_are_known(
    service: FakeWeChat, manifest: Path, kind: str
) -> None:
    """A line of the first version counts for the folder in which its file is."""
    inbox = manifest.parent / "in"
    inbox.mkdir()
    (inbox / "a.jpg").write_bytes(JPEG)
    manifest.write_text(old_saved(inbox / "a.jpg", kind))

    async with client_of(service) as client:
        (found,) = await drained(downloads(client, ["a"], manifest))
        elsewhere = [Download("a", to=manifest.parent / "other")]
        (other,) = await drained(downloads(client, elsewhere, manifest))

    assert found.skipped
    assert found.unwrap().path == inbox / "a.jpg"
    assert other.ok
    assert not other.skipped


async def test_failures_of_0_1_0_take_nothing_back(
    service: FakeWeChat, manifest: Path
) -> None:
    """A file that was saved is saved; one that was to appear is somebody else's."""
    inbox = manifest.parent / "in"
    inbox.mkdir()
    for name in "ab":
        (inbox / f"{name}.jpg").write_bytes(JPEG)
    manifest.write_text(
        old_saved(inbox / "a.jpg")
        + old("a", "failed", error="FileExistsError")
        + old_saved(inbox / "b.jpg", "publishing")
        + old("b", "failed", error="FileExistsError")
    )

    async with client_of(service) as client:
        found = await drained(downloads(client, ["a", "b"], manifest))

    assert found[0].skipped
    assert isinstance(found[1].error, FileExistsError)


async def test_downloads_of_0_1_0_are_no_uploads(
    service: FakeWeChat, manifest: Path
) -> None:
    """A key of the first version may have been used for both."""
    facts = {"content_type": None, "filename": None, "verified": True, "size": 9}
    manifest.write_text(
        old("a", "saved", media_id="a", path=None, location="a.jpg", **facts)
    )

    async with client_of(service) as client:
        upload = [Upload(JPEG, key="a")]
        (found,) = await drained(client.upload_many(upload, manifest=manifest))

    assert isinstance(found.unwrap(), UploadedMedia)
    assert not found.skipped


async def test_uploads_of_0_1_0_are_known(service: FakeWeChat, manifest: Path) -> None:
    """A line of the first version counts for the type that it names."""
    picture = manifest.parent / "cat.jpg"
    picture.write_bytes(JPEG)
    status = picture.stat()
    media = {"type": "image", "created_at": SOON, "expires_at": SOON}
    key = [str(picture), status.st_size, status.st_mtime_ns]
    manifest.write_text(
        old(key, "uploaded", media_id="M1", **media)
        + old("k", "uploaded", media_id="M2", **media)
    )

    async with client_of(service) as client:
        other = Upload(b"x" * 9, type="file", key="k")
        items: list[Any] = [picture, Upload(JPEG, key="k"), other]
        found = await drained(client.upload_many(items, manifest=manifest))

    assert [outcome.skipped for outcome in found] == [True, True, False]
    assert [outcome.unwrap().media_id for outcome in found[:2]] == ["M1", "M2"]


async def test_refusals_of_0_1_0_are_known(service: FakeWeChat, manifest: Path) -> None:
    """WeChat's own; not those that were made here, which have no status."""
    said = {"code": 40007, "message": "invalid media_id", "rid": None, "hint": None}
    manifest.write_text(
        old("a", "refused", error="MediaNotFound", facts={**said, "status": 200})
        + old("b", "refused", error="TooLarge", facts={"limit": 10, "size": 20})
        + old("k", "refused", error="MediaRejected", facts={**said, "status": 200})
        + old("l", "refused", error="MediaRejected", facts={**said, "status": None})
    )

    async with client_of(service) as client:
        items = ["a", Download("b", max_bytes=10), Download("b", max_bytes=11)]
        found = await drained(downloads(client, items, manifest))
        uploads = [Upload(JPEG, key=key) for key in "akl"]
        more = await drained(client.upload_many(uploads, manifest=manifest))

    errors = [type(outcome.error) for outcome in (*found, *more)]
    assert errors == [
        *(MediaNotFound, TooLarge, TooLarge),
        *(type(None), MediaRejected, type(None)),
    ]
    skipped = [outcome.skipped for outcome in (*found, *more)]
    assert skipped == [True, True, False, False, True, False]


@pytest.mark.parametrize("file_io", ["inline", "thread"])
async def test_two_batches_share_a_manifest(
    service: FakeWeChat, manifest: Path, file_io: str
) -> None:
    """Nothing is told wrong, and afterwards each item is known as finished."""
    found: list[Outcome[Any, Any]] = []

    async def run_all() -> None:
        async with client_of(service, max_concurrency=2, file_io=file_io) as client:
            batch = downloads(client, list(service.stored), manifest)
            found.extend(await drained(batch))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(run_all)
    async with client_of(service) as client:
        later = await drained(downloads(client, list(service.stored), manifest))

    assert all(outcome.unwrap().media_id == outcome.item for outcome in later)
    assert all(outcome.skipped for outcome in later)
    assert all(
        outcome.ok or isinstance(outcome.error, FileExistsError) for outcome in found
    )
    assert len(found) == 3 * len(service.stored)


async def test_what_another_run_does_meanwhile_is_known_at_once(
    service: FakeWeChat, manifest: Path
) -> None:
    """A batch reads on where others wrote, before each item."""
    async with client_of(service, max_concurrency=1) as client:
        ids = list(service.stored)
        async with downloads(client, ids, manifest) as outcomes:
            await anext(outcomes)
            others = client_of(service)
            await drained(downloads(others, ids[2:], manifest))
            rest = [outcome async for outcome in outcomes]

    assert all(outcome.ok for outcome in rest)
    assert [outcome.skipped for outcome in rest].count(True) >= len(ids) - 3
    assert len(service.requests) <= len(ids) + 1


async def test_a_manifest_that_is_emptied_meanwhile(
    service: FakeWeChat, manifest: Path
) -> None:
    """A place that holds another line by now is not believed."""
    async with client_of(service, max_concurrency=1) as client:
        await drained(downloads(client, ["a", "b"], manifest))
        async with downloads(client, ["c", "a", "b"], manifest) as outcomes:
            await anext(outcomes)
            lines_of_b = manifest.read_bytes().splitlines(keepends=True)[2:]
            manifest.write_bytes(b"".join(lines_of_b))
            rest = [outcome async for outcome in outcomes]

    told = {outcome.item: outcome for outcome in rest}
    assert all(one.unwrap().media_id == one.item for one in rest if one.ok)
    assert told["b"].ok


async def test_a_line_of_another_at_the_same_moment(
    service: FakeWeChat, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is found for an item is about that item, whoever wrote in between."""
    async with client_of(service, max_concurrency=1) as client:
        theirs = manifest.with_name("theirs")
        upload = [Upload(JPEG, key="theirs")]
        (first,) = await drained(client.upload_many(upload, manifest=theirs))
        append = SharedFile.append_unlocked

        def overtaken(file: SharedFile, line: bytes) -> None:
            with manifest.open("ab") as other:
                other.write(theirs.read_bytes())
            append(file, line)

        monkeypatch.setattr(SharedFile, "append_unlocked", overtaken)
        mine = [Upload(JPEG, key="mine"), Upload(JPEG, key="mine")]
        found = await drained(client.upload_many(mine, manifest=manifest))

    assert found[0].result == found[1].result != first.result
    assert found[1].skipped


SIX = """
import sys, anyio
from wxmedia_async._batch.shared_file import SharedFile
file = SharedFile(sys.argv[1], lambda line, place: None)
for n in range(100):
    line = ("%s %d " % (sys.argv[2], n)).ljust(50 + n * 7 % 3000, "x").encode()
    while not file.append(line + b"\\n"):
        pass
"""


def test_processes_append_whole_lines(tmp_path: Path) -> None:
    """However many write at once, each line is there once, whole, and in order."""
    path = tmp_path / "lines"
    path.write_bytes(b"torn by a kill")
    command = [sys.executable, "-c", SIX, str(path)]
    running = [subprocess.Popen([*command, str(n)]) for n in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]

    first, *rest = path.read_text().splitlines()
    assert first == "torn by a kill"
    for writer in "012":
        numbers = [int(x.split()[1]) for x in rest if x.startswith(f"{writer} ")]
        assert numbers == list(range(100))
    assert all(len(x) == max(50 + int(x.split()[1]) * 7 % 3000, 4) for x in rest)


async def test_a_lock_that_is_held_is_waited_for_and_passed_over(
    service: FakeWeChat, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was stopped while it wrote keeps nobody waiting for ever."""
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr("wxmedia_async._batch.manifest._PATIENCE", 0.05)
    manifest.touch()
    theirs = os.open(manifest, os.O_RDWR)
    fcntl.flock(theirs, fcntl.LOCK_EX)

    async with client_of(service) as client:
        (found,) = await drained(downloads(client, ["a"], manifest))
        (again,) = await drained(downloads(client, ["a"], manifest))

    os.close(theirs)
    assert found.ok
    assert again.skipped


def test_nothing_is_written_while_another_writes(manifest: Path) -> None:
    """A line is written under a lock, in this process and among processes."""
    fcntl = pytest.importorskip("fcntl")
    mine = SharedFile(manifest, lambda line, place: None)
    theirs = os.open(manifest, os.O_RDWR)

    fcntl.flock(theirs, fcntl.LOCK_EX)
    assert not mine.append(b"line\n")
    os.close(theirs)
    assert mine.append(b"line\n")

    mine.close()
    assert manifest.read_bytes() == b"line\n"


async def test_a_line_of_another_item_is_not_believed(manifest: Path) -> None:
    """What stands where an item's line was is compared with its key."""
    scope = Scope("platform", "http://service", "account")
    wanted = [Order(scope, {"name": "upload", "type": "image"}, key) for key in "ab"]
    media = [
        UploadedMedia(
            f"M{key}", "image", datetime.now(UTC), datetime.max.replace(tzinfo=UTC)
        )
        for key in "ab"
    ]
    async with open_manifest(manifest, "inline") as notes:
        for one, result in zip(wanted, media, strict=True):
            await notes.note(one, *records.finished(result))
        assert [await notes.recall(one) for one in wanted] == media
        first, second = manifest.read_bytes().splitlines(keepends=True)
        manifest.write_bytes(second + first)

        assert [await notes.recall(one) for one in wanted] == [None, None]


@pytest.mark.parametrize("uploads", [True, False])
@pytest.mark.parametrize("fails", ["first", "publishing", "second", "torn"])
async def test_a_manifest_that_cannot_be_written_ends_the_batch(
    service: FakeWeChat,
    manifest: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    uploads: bool,
    fails: str,
) -> None:
    """What WeChat took is told, the rest is not asked for, and it is logged once."""
    written: list[bytes] = []
    write = SharedFile._write
    room = {"first": 0, "publishing": 2, "second": 1, "torn": 1}[fails]

    def fill(file: SharedFile, data: bytes) -> None:
        if len(written) >= room:
            if fails == "torn":
                write(file, data[:20])
            raise OSError(28, os.strerror(28))
        written.append(data)
        write(file, data)

    monkeypatch.setattr(SharedFile, "_write", fill)
    async with client_of(service, max_concurrency=3) as client:
        batch = (
            client.upload_many(
                [Upload(JPEG, key=n) for n in range(40)], manifest=manifest
            )
            if uploads
            else downloads(client, list(service.stored), manifest)
        )
        found = await drained(batch)
    monkeypatch.undo()

    done = [outcome for outcome in found if outcome.ok]
    failed = [outcome for outcome in found if not outcome.ok]
    assert 0 < len(done) <= room + 4
    assert len(done) == len(service.requests)
    assert all(isinstance(outcome.error, OSError) for outcome in failed)
    assert {outcome.attempts for outcome in failed} == {0}
    assert all(outcome.attempts for outcome in done if not outcome.skipped)
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.name == "wxmedia_async"
    if not uploads:
        saved = {f"{outcome.item}.jpg" for outcome in done}
        assert set(names_in(manifest.parent / "in")) == saved


async def test_with_raise_what_is_under_way_is_delivered_first(
    service: FakeWeChat, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest that cannot be written cancels nothing that WeChat may have taken."""

    refused = anyio.Event()

    def refuse(file: SharedFile, data: bytes) -> None:
        refused.set()
        raise OSError(28, os.strerror(28))

    async def slow() -> AsyncIterator[bytes]:
        await refused.wait()
        for _ in range(50):
            await checkpoint()
        yield JPEG

    monkeypatch.setattr(SharedFile, "_write", refuse)
    found: list[Outcome[Any, Any]] = []
    items = [Upload(slow(), size=len(JPEG), key="slow")]
    items += [Upload(JPEG, key=n) for n in range(20)]
    stored = len(service.stored)
    async with client_of(service, max_concurrency=4) as client:
        batch = client.upload_many(items, on_error="raise", manifest=manifest)
        with pytest.raises(OSError, match="No space left"):  # noqa: PT012
            async with batch as outcomes:
                async for outcome in outcomes:
                    found.append(outcome)  # noqa: PERF401

    taken = set(list(service.stored)[stored:])
    assert {outcome.unwrap().media_id for outcome in found} == taken
    assert "slow" in {outcome.key for outcome in found}
    assert len(taken) == len(service.requests) > 0


def test_places_are_found_again() -> None:
    """Each number has the place that was set last, of many numbers."""
    places = Places()
    expected: dict[int, int] = {0: 5, 2**64 - 1: 6}
    for n in range(50_000):
        expected[n * 0x9E3779B97F4A7C15 % 2**64] = n
        if n % 3 == 0:
            expected[n] = n + 1
    for number, place in expected.items():
        places[number] = place - 1
        places[number] = place

    assert all(places.get(number) == place for number, place in expected.items())
    assert places.get(12345678901234567) is None


def test_most_lines_are_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million lines are read in seconds: what a line is about is in its head."""
    wanted = Order(Scope("p", "http://x", None), {"name": "upload"}, 'k"\udcff喵')
    saved = SavedMedia("ID", None, "l}}", 0, None, None, verified=True)
    line = lines.line_of(wanted, *records.finished(saved), "0")
    assert lines.parse(line) is not None
    monkeypatch.setattr(lines, "parse", None)

    assert lines.understood(line, "0") == lines.Entry(
        lines.entries(wanted, "0")[0].id, "saved"
    )


@pytest.mark.parametrize("hd_voice", [False, True])
async def test_voices_of_0_1_0_are_known_by_their_quality(
    service: FakeWeChat, manifest: Path, hd_voice: bool
) -> None:
    """What a line's file name tells is believed; in a Destination's location too."""
    facts = {"content_type": None, "filename": None, "verified": True, "size": 9}
    manifest.write_text(
        old("a", "saved", media_id="a", path=None, location="a.speex", **facts)
        + old("b", "saved", media_id="b", path=None, location="b.amr", **facts)
        + old("c", "saved", media_id="c", path=None, location="c.jpg", **facts)
    )

    class Nowhere:
        async def put(self, name: str, body: Any, **facts: object) -> str:
            async for _ in body:
                pass
            return name

    to: Any = Nowhere()
    items = [Download(media_id, hd_voice=hd_voice) for media_id in "abc"]
    async with client_of(service) as client:
        found = await drained(client.download_many(items, to, manifest=manifest))
        folder = await drained(downloads(client, items, manifest))

    assert [outcome.skipped for outcome in found] == [hd_voice, not hd_voice, True]
    assert not any(outcome.skipped for outcome in folder)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
async def test_a_disk_without_locks_has_manifests(
    service: FakeWeChat, manifest: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Where files cannot be locked, each line is still written whole."""
    fcntl = pytest.importorskip("fcntl")

    def refuse(fd: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)
    async with client_of(service) as client:
        await drained(downloads(client, ["a", "b"], manifest))
        again = await drained(downloads(client, ["a", "b"], manifest))

    assert [outcome.skipped for outcome in again] == [True, True]
