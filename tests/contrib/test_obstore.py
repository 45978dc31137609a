"""Object storage: in memory, in a folder, and on a server that speaks S3."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import attrs
import obstore
import pytest
from moto.server import ThreadedMotoServer
from obstore.exceptions import BaseError, GenericError
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

import wxmedia_async.contrib.obstore as ours
from tests.contrib.browsing import JPEG, MIB, Http, long_jpeg
from tests.contrib.clouds import (
    Answer,
    Cloud,
    Heard,
    answering,
    failing,
    unfinishing,
    working,
)
from tests.fakes import EAGER
from wxmedia_async import (
    OFFICIAL_ACCOUNT,
    Destination,
    DestinationUnusable,
    SourceChanged,
    TransferError,
    Truncated,
)
from wxmedia_async.contrib.obstore import Object, Objects
from wxmedia_async.simulator import Simulator

PART = 5 * MIB


LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": uvloop}), id=name)
    for name, uvloop in (("asyncio", False), ("uvloop", True))
]


@pytest.fixture
def anyio_backend() -> str:
    """obstore knows asyncio only."""
    return "asyncio"


@attrs.frozen
class Bucket:
    """One on a server that speaks S3."""

    url: str

    def store(self, name: str = "bucket") -> S3Store:
        return s3_store(self.url, name)

    def uploads(self) -> int:
        """Uploads in parts that were begun and neither ended nor aborted."""
        with Http() as http:
            return http.get(f"{self.url}/bucket?uploads").text.count("<UploadId>")


def s3_store(url: str, name: str = "bucket") -> S3Store:
    return S3Store(
        name,
        endpoint=url,
        region="us-east-1",
        access_key_id="id",
        secret_access_key="key",
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
        retry_config={"max_retries": 0},
    )


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with Http() as http:
        http.put(f"{url}/bucket").raise_for_status()
    yield Bucket(url)
    server.stop()


@pytest.fixture(params=["memory", "folder", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket
) -> ObjectStore:
    if request.param == "memory":
        return MemoryStore()
    return LocalStore(tmp_path) if request.param == "folder" else bucket.store()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 64 KiB, which no server would put together, but which are quick."""
    monkeypatch.setattr(ours, "_PART", 64 * 1024)


async def read(store: ObjectStore, path: str) -> bytes:
    found = await obstore.get_async(store, path)
    return bytes(await found.bytes_async())


async def paths_in(store: ObjectStore) -> list[str]:
    return [
        item["path"] async for page in obstore.list(store).__aiter__() for item in page
    ]


async def pieces(content: bytes, then: Exception | None = None) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 50_000):
        yield content[start : start + 50_000]
    if then is not None:
        raise then


def simulator_of() -> Simulator:
    return Simulator(attrs.evolve(OFFICIAL_ACCOUNT, limits={}))


@pytest.mark.parametrize("size", [len(JPEG), PART, PART + 1, 12 * MIB])
async def test_download(store: ObjectStore, size: int) -> None:
    """A media of any length becomes one object, and its path is its location."""
    simulator, content = simulator_of(), long_jpeg(size)
    media_id = simulator.put(content)

    async with simulator.client() as client:
        saved = await client.download(media_id, Objects(store, "inbox/"))

    assert saved.location == f"inbox/{media_id}.jpg"
    assert (saved.path, saved.size) == (None, size)
    assert await read(store, saved.location) == content
    simulator.close()


def test_it_is_a_destination() -> None:
    """It has what a `Destination` has, and shows nothing of its store."""
    assert isinstance(Objects(MemoryStore()), Destination)
    assert repr(Objects(MemoryStore(), "a/")) == "Objects(prefix='a/')"


def test_identity(bucket: Bucket) -> None:
    """A manifest knows the same bucket and prefix in every process."""
    one, same = (Objects(bucket.store(), "a/") for _ in range(2))

    assert one.identity == same.identity
    assert one.identity != Objects(bucket.store(), "b/").identity
    assert one.identity != Objects(bucket.store("other"), "a/").identity


@pytest.mark.parametrize("prefix", ["", "a/", "a/b", "照片 %/", "a\\b/"])
async def test_prefix(store: ObjectStore, prefix: str) -> None:
    """What the location says is where the object is, whatever its name."""
    name = "照 片%41#?&'~[].jpg"

    location = await Objects(store, prefix).put(name, pieces(JPEG), **UNKNOWN)

    assert location == prefix + name
    assert location in await paths_in(store)
    assert await read(store, location) == JPEG


@pytest.mark.parametrize("prefix", ["/a/", "a//", "./", "../a/", "a/../b/", "a\n/"])
def test_prefix_that_is_none(prefix: str) -> None:
    """A prefix that no object can have is refused before anything is fetched."""
    with pytest.raises(ValueError, match="object storage"):
        Objects(MemoryStore(), prefix)
    with pytest.raises(TypeError):
        Objects(MemoryStore(), prefix.encode())  # type: ignore[arg-type]


def test_end_of_the_process() -> None:
    """A process that ends right after its last object ends well."""
    program = (
        "import asyncio; from obstore.store import MemoryStore;"
        "from wxmedia_async.contrib.obstore import Object, Objects\n"
        "async def body(): yield b'a'\n"
        "async def main():\n"
        "  store = MemoryStore()\n"
        "  await Objects(store).put('a', body(), content_type=None, size=1)\n"
        "  [_ async for _ in await Object.at(store, 'a')]\n"
        "asyncio.run(main())"
    )

    command = [sys.executable, "-c", program]
    ended = [subprocess.run(command, check=False).returncode for _ in range(2)]

    assert ended == [0, 0]


@pytest.mark.parametrize("size", [10, 6 * MIB])
async def test_content_type(bucket: Bucket, size: int) -> None:
    """The object has the media's content type."""
    store = bucket.store()
    to = Objects(store)

    await to.put("typed", pieces(bytes(size)), content_type="image/png", size=None)
    await to.put("untyped", pieces(bytes(size)), content_type=None, size=None)

    typed = await obstore.get_async(store, "typed")
    untyped = await obstore.get_async(store, "untyped")
    assert typed.attributes["Content-Type"] == "image/png"
    assert untyped.attributes.get("Content-Type") != "image/png"


@pytest.mark.parametrize("anyio_backend", LOOPS)
async def test_batch(store: ObjectStore) -> None:
    """Many media of many lengths, at once, each whole."""
    simulator = simulator_of()
    contents = [long_jpeg(size) for size in [3000, 6 * MIB] * 3]
    media_ids = [simulator.put(content) for content in contents]

    async with simulator.client() as client:
        to = Objects(store, "batch/")
        async with client.download_many(media_ids, to) as outcomes:
            saved = {o.unwrap().media_id: o.unwrap().location async for o in outcomes}

    for media_id, content in zip(media_ids, contents, strict=True):
        assert await read(store, saved[media_id]) == content
    simulator.close()


@pytest.mark.parametrize("size", [100, 6 * MIB])
async def test_body_that_breaks_off(
    store: ObjectStore, bucket: Bucket, size: int
) -> None:
    """What broke off leaves nothing behind, and its failure comes out as it was."""
    failure = Truncated(expected=size + 1, received=size)

    with pytest.raises(Truncated) as caught:
        await Objects(store, "broken/").put(
            "a", pieces(bytes(size), failure), content_type=None, size=size
        )

    assert caught.value is failure
    assert [path for path in await paths_in(store) if "broken" in path] == []
    assert bucket.uploads() == 0


@pytest.mark.parametrize("size", [len(JPEG), 6 * MIB])
async def test_download_that_breaks_off_is_tried_again(
    store: ObjectStore, bucket: Bucket, size: int
) -> None:
    """A download that breaks off in a bucket is begun anew."""
    simulator = simulator_of()
    media_id = simulator.put(long_jpeg(size))
    simulator.fail(2, "truncate")

    async with simulator.client(retry=EAGER) as client:
        saved = await client.download(media_id, Objects(store))

    assert await read(store, saved.location) == long_jpeg(size)
    assert bucket.uploads() == 0
    simulator.close()


async def test_object_that_is_replaced(store: ObjectStore) -> None:
    """An object of the same name is replaced by a whole one, or not at all."""
    to = Objects(store)
    await to.put("a", pieces(b"old"), content_type=None, size=None)

    with pytest.raises(TransferError):
        await to.put("a", pieces(b"n", TransferError()), content_type=None, size=None)
    kept = await read(store, "a")
    await to.put("a", pieces(b"new"), content_type=None, size=None)

    assert (kept, await read(store, "a")) == (b"old", b"new")


@pytest.mark.parametrize("size", [0, 1, PART])
async def test_short_media_are_one_request(size: int) -> None:
    """What is short is one PUT, with its length, and no chunks of a cloud's own."""
    with Cloud(working) as s3:
        to = Objects(s3_store(s3.url), "a/")
        await to.put("b.jpg", pieces(bytes(size)), content_type=None, size=None)

    assert s3.calls == [("PUT", "/bucket/a/b.jpg")]
    [put] = s3.heard
    assert put.headers["content-length"] == str(size)
    assert "transfer-encoding" not in put.headers
    assert "aws-chunked" not in put.headers.get("content-encoding", "")


@pytest.mark.parametrize("size", [10, 6 * MIB])
@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, "NoSuchBucket"),
        (403, "AccessDenied"),
        (403, "SignatureDoesNotMatch"),
        (401, "Unauthorized"),
    ],
)
async def test_bucket_that_cannot_be_used(size: int, status: int, code: str) -> None:
    """Where nothing can be written, the destination says so, and why."""
    with Cloud(answering(status, code)) as s3:
        to = Objects(s3_store(s3.url))
        with pytest.raises(DestinationUnusable) as caught:
            await to.put("a", pieces(bytes(size)), content_type=None, size=size)

    assert code in str(caught.value.__cause__)
    assert len(s3.calls) == 1


async def test_missing_bucket(bucket: Bucket) -> None:
    """A download into a bucket that is not there raises that as itself."""
    simulator = simulator_of()
    media_id = simulator.put(JPEG)

    async with simulator.client(max_concurrency=1) as client:
        with pytest.raises(DestinationUnusable) as caught:
            await client.download(media_id, Objects(bucket.store("missing")))
        again = await client.read(media_id)

    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert again.content == JPEG
    simulator.close()


async def test_missing_bucket_dooms_a_batch(bucket: Bucket) -> None:
    """It is found out by those in flight; the rest fail without a request."""
    simulator = simulator_of()
    ids = [simulator.put(b"\xff\xd8\xff" + bytes(9)) for _ in range(200)]

    async with simulator.client(max_concurrency=4) as client:
        objects = Objects(bucket.store("nowhere"))
        async with client.download_many(ids, objects) as outcomes:
            seen = [outcome async for outcome in outcomes]

    assert len(seen) == 200
    assert all(isinstance(one.error, DestinationUnusable) for one in seen)
    assert sum(one.attempts == 0 for one in seen) >= 196
    asked = [one for one in simulator.requests if one.path.endswith("media/get")]
    assert len(asked) <= 4


@pytest.mark.parametrize("size", [10, 6 * MIB])
async def test_store_that_fails(size: int) -> None:
    """Another failure of the store is that of one item, and is not tried again."""
    simulator = simulator_of()
    media_id = simulator.put(bytes(size))

    with Cloud(answering(500, "InternalError")) as s3:
        async with simulator.client(retry=EAGER) as client:
            with pytest.raises(GenericError):
                await client.download(media_id, Objects(s3_store(s3.url)))

    assert len(simulator.requests) == 1
    simulator.close()


@pytest.mark.parametrize("answer", [failing, unfinishing])
@pytest.mark.parametrize("size", [11 * MIB, 26 * MIB])
async def test_parts_that_fail(answer: Callable[[Heard], Answer], size: int) -> None:
    """What was begun in parts is aborted when a later request fails."""
    with Cloud(answer) as s3:
        to = Objects(s3_store(s3.url))
        with pytest.raises((OSError, BaseError)):
            await to.put("a", pieces(bytes(size)), content_type=None, size=size)

    assert s3.calls[0] == ("POST", "/bucket/a?uploads=")
    # A part that was on its way may be heard after it.
    assert ("DELETE", "/bucket/a?uploadId=u") in s3.calls


UNKNOWN: dict[str, Any] = {"content_type": None, "size": None}
# S3 does not put parts together that are so small.
FAILURES = (OSError, BaseError, TransferError)


@pytest.mark.parametrize("anyio_backend", LOOPS)
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("then", [None, TransferError("broken")], ids=["", "broken"])
async def test_cancelled(
    bucket: Bucket, store: ObjectStore, then: Exception | None
) -> None:
    """Cancelled at any of many moments, nothing stays behind: no parts, no halves."""
    content, chance = long_jpeg(300_000), random.Random(12)
    to = Objects(store, f"cancelled-{then}/")
    began = anyio.current_time()
    with suppress(*FAILURES):
        await to.put("a", pieces(content, then), **UNKNOWN)
    whole = anyio.current_time() - began

    for number in range(25):
        with anyio.move_on_after(chance.random() * whole * 1.2):
            with suppress(*FAILURES):
                await to.put(str(number), pieces(content, then), **UNKNOWN)

    stored = [path for path in await paths_in(store) if path.startswith(to.prefix)]
    assert {await read(store, path) for path in stored} <= {content}
    assert bucket.uploads() == 0


async def test_memory() -> None:
    """Of a long media, little more is read than its parts that have been sent."""
    taken, sent, most = 0, 0, 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(100):
            taken += MIB
            yield bytes(MIB)

    def counting(heard: Heard) -> Answer:
        nonlocal sent, most
        time.sleep(0.01)  # a network
        most = max(most, taken - sent)
        sent += heard.length if heard.method == "PUT" else 0
        return working(heard)

    with Cloud(counting) as s3:
        await Objects(s3_store(s3.url)).put("a", body(), **UNKNOWN)

    assert sent == taken == 100 * MIB
    assert most <= 4 * PART


async def test_source(store: ObjectStore) -> None:
    """An object is uploaded with its own name and length."""
    await obstore.put_async(store, "outbox/cat.jpg", JPEG)
    simulator = simulator_of()

    async with simulator.client() as client:
        source = await Object.at(store, "outbox/cat.jpg")
        uploaded = await client.upload(source)

    stored = simulator.media[uploaded.media_id]
    assert (stored.content, stored.filename) == (JPEG, "cat.jpg")
    assert (source.size, source.path) == (len(JPEG), "outbox/cat.jpg")
    assert source.replayable
    simulator.close()


async def test_source_is_read_again(store: ObjectStore) -> None:
    """An upload from an object is tried again."""
    await obstore.put_async(store, "cat.jpg", long_jpeg(300_000))
    simulator = simulator_of()
    simulator.fail(2, "reset", on="upload")

    async with simulator.client(retry=EAGER) as client:
        source = await Object.at(store, "cat.jpg")
        uploaded = await client.upload(source)

    assert simulator.media[uploaded.media_id].content == long_jpeg(300_000)
    simulator.close()


async def test_source_that_is_replaced(store: ObjectStore) -> None:
    """An object that was replaced meanwhile is not mixed with what it was."""
    await obstore.put_async(store, "a", b"old")
    source = await Object.at(store, "a")
    await obstore.put_async(store, "a", b"newer")

    with pytest.raises(SourceChanged):
        await anext(aiter(source))


async def test_source_that_is_missing(store: ObjectStore, bucket: Bucket) -> None:
    """An object that there is none of is a file that is not found."""
    with pytest.raises(FileNotFoundError):
        await Object.at(store, "missing")
    with pytest.raises(FileNotFoundError):
        await Object.at(bucket.store("missing"), "a")


async def test_two_readings_at_once(store: ObjectStore) -> None:
    """Two tasks may read one object, each from its beginning."""
    await obstore.put_async(store, "a", long_jpeg(200_000))
    source = await Object.at(store, "a")
    got: list[bytes] = []

    async def take() -> None:
        got.append(b"".join([chunk async for chunk in source]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        tasks.start_soon(take)

    assert got == [long_jpeg(200_000)] * 2
