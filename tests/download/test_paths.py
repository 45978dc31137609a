"""The path that is asked for: hostile, taken, missing, or wanted by two."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import anyio
import httpx
import pytest

from tests.fakes import JPEG, FakeWeChat, Pieces, client_of, media, names_in
from tests.sockets.server import Server, client_to, response, stalls_after
from wxmedia_async import SavedMedia


@pytest.mark.parametrize(
    "name",
    [
        "../../x.jpg",
        "/abs.jpg",
        "..\\x.jpg",
        "CON.jpg",
        ".jpg",
        "\u202ea.jpg",
        "x" * 5000,
    ],
    ids=range(7),
)
async def test_hostile_names(name: str, tmp_path: Path) -> None:
    """Fault 17: neither the sent name nor the id leads out of the folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    raw = b'attachment; filename="' + name.encode() + b'"'
    named = httpx.Response(200, headers=[(b"Content-Disposition", raw)], content=JPEG)
    service = FakeWeChat(answers=[named, media(JPEG)])

    async with client_of(service) as client:
        first = await client.download("ID", folder)
        second = await client.download(name, folder)

    assert first.path == folder / "ID.jpg"
    assert second.path is not None
    assert second.path.parent == folder
    assert len(second.path.name.encode()) <= 200
    assert second.path.suffix == ".jpg"
    assert first.filename is None or "/" not in first.filename
    assert names_in(tmp_path) == ["in"]


async def test_file_that_exists(tmp_path: Path) -> None:
    """A file that exists is refused before any request, unless it may be replaced."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"mine")
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(FileExistsError):
            await client.download("ID", path)
        assert (service.requests, path.read_bytes()) == ([], b"mine")

        await client.download("ID", path, overwrite=True)

    assert path.read_bytes() == JPEG
    assert names_in(tmp_path) == ["photo.jpg"]


async def test_file_that_exists_in_a_folder(tmp_path: Path) -> None:
    """In a folder the name is known with the reply's head, and is refused then."""
    path = tmp_path / "ID.jpg"
    path.write_bytes(b"mine")
    body = Pieces(JPEG)
    answer = media(JPEG)
    answer.stream = body
    service = FakeWeChat({"ID": JPEG}, answers=[answer])

    async with client_of(service) as client:
        with pytest.raises(FileExistsError):
            await client.download("ID", tmp_path)
        assert (body.closed, path.read_bytes()) == (True, b"mine")

        await client.download("ID", tmp_path, overwrite=True)

    assert path.read_bytes() == JPEG
    assert len(service.requests) == 2


async def test_large_media_for_a_file_that_exists(tmp_path: Path) -> None:
    """Where a body is yet to come, nobody waits for it to find the name taken."""
    (tmp_path / "ID.jpg").write_bytes(b"mine")
    reply = response(JPEG, "Content-Type: image/jpeg", "Content-Length: 999999")

    with Server(stalls_after(reply)) as server:
        async with client_to(server) as client:
            with anyio.fail_after(20), pytest.raises(FileExistsError):
                await client.download("ID", tmp_path)

    assert names_in(tmp_path) == ["ID.jpg"]


async def test_targets_that_cannot_be(tmp_path: Path) -> None:
    """Fault 29: a folder that lacks or is none is an OSError before any request."""
    (tmp_path / "file").write_bytes(b"")
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        with pytest.raises(FileNotFoundError):
            await client.download("ID", tmp_path / "missing" / "photo.jpg")
        with pytest.raises(NotADirectoryError):
            await client.download("ID", tmp_path / "file" / "photo.jpg")
        with pytest.raises(NotADirectoryError):
            await client.download("ID", f"{tmp_path}/file/")
        with pytest.raises(ValueError, match="path"):
            await client.download("ID", "")

    assert service.requests == []


async def test_two_into_one_path(tmp_path: Path) -> None:
    """Fault 31: of two downloads into one path one wins, the other is refused."""
    service = FakeWeChat({"A": JPEG, "B": JPEG[:500]}, gate=anyio.Event())
    path, ended = tmp_path / "photo.jpg", list[SavedMedia | FileExistsError]()

    async def download(media_id: str) -> None:
        try:
            ended.append(await client.download(media_id, path))
        except FileExistsError as error:
            ended.append(error)

    async with client_of(service) as client, anyio.create_task_group() as both:
        both.start_soon(download, "A")
        both.start_soon(download, "B")
        await anyio.wait_all_tasks_blocked()
        assert service.gate is not None
        service.gate.set()

    won = [each for each in ended if isinstance(each, SavedMedia)]
    assert (len(ended), len(won)) == (2, 1)
    assert path.read_bytes() == service.stored[won[0].media_id]
    assert names_in(tmp_path) == ["photo.jpg"]


async def test_two_replace_one_path(tmp_path: Path) -> None:
    """Fault 31: with overwrite both succeed, and one whole file remains."""
    service = FakeWeChat({"A": JPEG, "B": JPEG[:500]})
    path = tmp_path / "photo.jpg"

    async def download(media_id: str) -> None:
        await client.download(media_id, path, overwrite=True)

    async with client_of(service) as client:
        async with anyio.create_task_group() as both:
            both.start_soon(download, "A")
            both.start_soon(download, "B")

    assert path.read_bytes() in service.stored.values()
    assert names_in(tmp_path) == ["photo.jpg"]


async def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 29: a full disk is the OSError that it is; no other try, no file."""
    service = FakeWeChat({"ID": JPEG})

    def refuse(fd: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with client_of(service) as client:
        with monkeypatch.context() as patch:
            patch.setattr("wxmedia_async._files.part.write_all", refuse)
            with pytest.raises(OSError, match="No space left") as caught:
                await client.download("ID", tmp_path)

    assert caught.value.errno == errno.ENOSPC
    assert len(service.requests) == 1
    assert names_in(tmp_path) == []
