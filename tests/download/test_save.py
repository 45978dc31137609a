"""Downloads into files, folders and memory, and the requests they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, media, names_in
from wxmedia_async import SavedMedia


async def test_into_a_folder(tmp_path: Path) -> None:
    """In a folder a download is called by its media_id, with a fitting suffix."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        saved = await client.download("ID", tmp_path)

    path = tmp_path / "ID.jpg"
    assert saved == SavedMedia(
        "ID", path, str(path), len(JPEG), "image/jpeg", "ID.jpg", True
    )
    assert path.read_bytes() == JPEG
    assert names_in(tmp_path) == ["ID.jpg"]


async def test_folder_that_is_made(tmp_path: Path) -> None:
    """A str with a slash at its end is a folder, which is made where it lacks."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        saved = await client.download("ID", f"{tmp_path}/new/inbox/")

    assert saved.path == tmp_path / "new" / "inbox" / "ID.jpg"
    assert saved.path.read_bytes() == JPEG


@pytest.mark.parametrize("kind", [str, Path])
async def test_to_a_file(kind: Any, tmp_path: Path) -> None:
    """Any other path is the file, whatever WeChat calls it."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        saved = await client.download("ID", kind(tmp_path / "photo"))

    assert (tmp_path / "photo").read_bytes() == JPEG
    assert (saved.path, saved.filename) == (tmp_path / "photo", "ID.jpg")


async def test_request(tmp_path: Path) -> None:
    """A download is one GET for an unencoded body; what is odd in an id is quoted."""
    service = FakeWeChat({"a/b&c=d é": JPEG})

    async with client_of(service) as client:
        await client.download("a/b&c=d é", tmp_path)

    [request] = service.requests
    assert (request.method, request.url.path) == ("GET", "/cgi-bin/media/get")
    assert request.url.raw_path.endswith(b"&media_id=a%2Fb%26c%3Dd%20%C3%A9")
    assert dict(request.url.params) == {"access_token": TOKEN, "media_id": "a/b&c=d é"}
    assert request.headers["accept-encoding"] == "identity"


async def test_hd_voice(tmp_path: Path) -> None:
    """The speex recording of a voice has a path of its own."""
    speex = media(b"Speex   " + bytes(100), Content_Type="voice/speex")
    speex.headers["content-disposition"] = 'attachment; filename="ID"'
    service = FakeWeChat(answers=[speex, media(JPEG)])

    async with client_of(service) as client:
        saved = await client.download("ID", tmp_path, hd_voice=True)
        await client.read("ID", hd_voice=True)

    assert saved.path == tmp_path / "ID.speex"
    assert [request.url.path for request in service.requests] == [
        "/cgi-bin/media/get/jssdk"
    ] * 2


async def test_read() -> None:
    """A media is read into memory, with what WeChat says about it."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service) as client:
        found = await client.read("ID")

    assert (found.media_id, found.content) == ("ID", JPEG)
    assert (found.content_type, found.filename) == ("image/jpeg", "ID.jpg")
    assert repr(JPEG)[2:10] not in repr(found)


@pytest.mark.parametrize("media_id", ["", None, 7, "\ud800"], ids=range(4))
async def test_odd_media_ids(media_id: Any, tmp_path: Path) -> None:
    """What cannot be a media_id is refused before any request."""
    service = FakeWeChat()

    async with client_of(service) as client:
        with pytest.raises((ValueError, TypeError)):
            await client.download(media_id, tmp_path)
        with pytest.raises((ValueError, TypeError)):
            await client.read(media_id)
        with pytest.raises((ValueError, TypeError)):
            client.stream(media_id)

    assert service.requests == []
