"""Each example is started by its one command, and does what it says."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from wxmedia_async.contrib.web import etag_of

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
PNG = b"\x89PNG\r\n\x1a\n"
KEY = {"Authorization": "Bearer change-me"}


def command(name: str) -> list[str]:
    return [sys.executable, "-W", "error", str(EXAMPLES / f"{name}.py")]


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of them is to ask the real service."""
    for name in ("WXMEDIA_APPID", "WXMEDIA_SECRET", "WXMEDIA_WEBHOOK_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def lines_of(name: str, *arguments: str) -> list[str]:
    """Run an example to its end, and return what it prints."""
    done = subprocess.run(
        [*command(name), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout.splitlines()


@contextmanager
def serving(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Run an example that serves, and give the URL that it prints."""
    monkeypatch.setenv("PORT", str(free_port()))
    running = subprocess.Popen(
        command(name), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout
    try:
        yield running.stdout.readline().split()[-1]
    finally:
        running.send_signal(signal.SIGINT)
        _, complaints = running.communicate(timeout=60)
    assert complaints == ""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def browse(url: str, method: str = "GET", **options: object) -> httpx.Response:
    """Ask a server that may not listen yet."""
    transport = httpx.HTTPTransport(retries=9, verify=False)
    with httpx.Client(transport=transport) as http:
        return http.request(method, url, **options)  # type: ignore[arg-type]


def pictures_on(url: str, count: int) -> list[str]:
    """Look at a page until it shows so many pictures, for a while."""
    ends = time.monotonic() + 30
    while time.monotonic() < ends:
        shown = re.findall(r'<img src="([^"]+)"', browse(url).text)
        if len(shown) == count:
            return [url.rstrip("/") + path for path in shown]
    raise AssertionError(f"no {count} pictures")


@pytest.mark.parametrize("name", ["inbox_fastapi", "inbox_aiohttp"])
def test_inbox(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a customer sends is in the bucket and on the page; scripts are not run."""
    with serving(name, monkeypatch) as url:
        kept = [browse(shown) for shown in pictures_on(url, 2)]
        missing = [browse(url + path) for path in ("kept/x", "media/x")]
        strange = [browse(f"{url}wechat?signature=x&timestamp=1&nonce=1", "POST")]
        media_id = kept[0].url.path.removeprefix("/kept/").removesuffix(".png")
        relayed = browse(f"{url}media/{media_id}")

    kinds = {reply.headers["content-type"]: reply for reply in kept}
    assert set(kinds) == {"image/png", "application/octet-stream"}
    assert kinds["image/png"].content.startswith(PNG)
    script = kinds["application/octet-stream"]
    assert b"<script>" in script.content
    assert script.headers["content-disposition"].startswith("attachment;")
    assert [reply.status_code for reply in missing] == [404, 404]
    assert [reply.status_code for reply in strange] == [403]
    assert relayed.content == kept[0].content


def test_archive(tmp_path: Path) -> None:
    """An archive ends with a count, and every media is one object."""
    lines = lines_of("archive_bucket", str(tmp_path))

    assert lines == ["300 done, 0 skipped, 0 failed", f"in {tmp_path}"]
    archived = list((tmp_path / "archive").iterdir())
    assert len(archived) == 300
    assert all(path.read_bytes().startswith(PNG) for path in archived)


def test_token_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has the key gets the token, and another one where it was refused."""
    with serving("token_server", monkeypatch) as url:
        first, again = (browse(url, headers=KEY).json() for _ in range(2))
        refused = browse(url)
        body = {"rejected": first["access_token"]}
        renewed = browse(url, "POST", headers=KEY, json=body).json()

    assert first == again != renewed
    assert renewed["access_token"]
    assert refused.status_code == 401


def test_upload_from_url() -> None:
    """What is at a URL is at WeChat, with its name and all its bytes."""
    first, second = lines_of("upload_from_url")

    assert first.startswith("uploaded: ")
    assert re.fullmatch(r"WeChat has: cat\.png \d+ bytes", second)


def test_sync_portal() -> None:
    """Code that awaits nothing uploads, reads, streams, and has many threads."""
    lines = lines_of("sync_portal")

    size = re.fullmatch(r"read: (\d+) bytes", lines[1])
    assert size
    assert lines[2] == f"chunk: {size[1]} bytes of image/png"
    assert lines[-1] == "20 uploads from 8 threads"


def test_django(monkeypatch: pytest.MonkeyPatch) -> None:
    """Django gives a picture, takes a form's file, and says what is missing."""
    with serving("django_asgi", monkeypatch) as url:
        shown = browse(url)
        known = {"If-None-Match": etag_of(url.rpartition("/")[2])}
        unchanged = browse(url, headers=known)
        missing = browse(f"{url}x")
        form = {"file": ("dog.png", shown.content)}
        uploaded = browse(url.partition("/media")[0] + "/upload", "POST", files=form)

    assert shown.headers["content-type"] == "image/png"
    assert shown.content.startswith(PNG)
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert missing.status_code == 404
    assert missing.json()["detail"].startswith("errcode 40007")
    assert uploaded.json()["media_id"]


def test_every_example_is_tested() -> None:
    """There is no example that nobody has run."""
    tests = Path(__file__).parent.rglob("test_*.py")
    text = "".join(path.read_text("utf-8") for path in tests)
    examples = {path.stem for path in EXAMPLES.glob("*.py")} - {"pretended"}

    assert all(f'"{name}"' in text or f'"{name}.py"' in text for name in examples)
