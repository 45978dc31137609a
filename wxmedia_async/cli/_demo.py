"""The library's main job, done on the simulated service over a real port."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from .. import (
    AppToken,
    CorpToken,
    MediaClient,
    Outcome,
    Platform,
    SavedMedia,
    UploadedMedia,
)
from ..simulator import Simulator
from ..simulator.serve import serve
from . import _images
from ._figures import Leg, Report, Result, show_json, show_table
from ._interrupt import interruptible
from ._lines import failure
from ._screen import open_screen
from ._tally import Tally

# The simulator accepts just these, so that a wrong one would be noticed.
_APPID = "wx-demo"
_SECRET = "demo-secret"

_FILES = 32
_SMALLEST = 10_000
_LARGEST = 3_000_000


async def run_demo(platform: Platform, concurrency: int, *, json: bool) -> int:
    """Upload and download made-up images, compare them, and say what was seen."""
    show = show_json if json else show_table
    return await interruptible(partial(_demo, platform, concurrency, show))


async def _demo(
    platform: Platform, concurrency: int, show: Callable[[Report], None]
) -> int:
    with TemporaryDirectory(prefix="wxmedia-demo-") as name:
        folder = Path(name)
        paths = await anyio.to_thread.run_sync(make_images, folder / "sent")
        with closing(Simulator(platform, appid=_APPID, secret=_SECRET)) as simulator:
            report = await _round_trip(
                simulator, concurrency, paths, folder / "received"
            )
    show(report)
    return 0 if report.all_equal else 1


def make_images(folder: Path) -> list[Path]:
    """Write JPEGs and PNGs from 10 KB to 3 MB, the same ones each time."""
    folder.mkdir()
    noise = random.Random(1)
    ratio = (_LARGEST / _SMALLEST) ** (1 / (_FILES - 1))
    paths: list[Path] = []
    for index in range(_FILES):
        make = _images.png if index % 2 else _images.jpeg
        path = folder / f"{index:02}.{make.__name__}"
        path.write_bytes(make(int(_SMALLEST * ratio**index), noise))
        paths.append(path)
    # As they would come: small and large ones mixed.
    noise.shuffle(paths)
    return paths


async def _round_trip(
    simulator: Simulator, concurrency: int, paths: list[Path], to: Path
) -> Report:
    token = CorpToken if simulator.platform.wecom else AppToken
    async with (
        serve(simulator) as base_url,
        MediaClient(
            token(_APPID, _SECRET),
            platform=simulator.platform,
            base_url=base_url,
            max_concurrency=concurrency,
        ) as client,
    ):
        # Something to overcome: a busy service, and replies that break off.
        simulator.fail(3, -1, on="upload")
        simulator.fail(2, "truncate", on="download")
        uploads = await _leg(paths, partial(client.upload_many, paths))
        ids = [media.media_id for media in uploads.results.values()]
        downloads = await _leg(paths, partial(client.download_many, ids, to))
    return Report(
        uploads,
        downloads,
        simulator.in_flight_peak,
        simulator.token_fetches,
        await anyio.to_thread.run_sync(_all_equal, paths, uploads, downloads),
    )


async def _leg(
    paths: list[Path],
    batch: Callable[
        ..., AbstractAsyncContextManager[AsyncIterator[Outcome[object, Result]]]
    ],
) -> Leg[Result]:
    tally = Tally(len(paths))
    results: dict[object, Result] = {}
    with open_screen(tally) as screen:
        async with batch(progress=tally.note) as outcomes:
            async for outcome in outcomes:
                tally.count(outcome)
                if outcome.result is None:
                    screen.complain(failure(outcome))
                else:
                    results[outcome.item] = outcome.result
    return Leg(tally.elapsed, tally.moved, tally.retries, results)


def _all_equal(
    paths: list[Path], uploads: Leg[UploadedMedia], downloads: Leg[SavedMedia]
) -> bool:
    """Whether every file came back, byte for byte."""
    return all(_came_back(path, uploads, downloads) for path in paths)


def _came_back(
    path: Path, uploads: Leg[UploadedMedia], downloads: Leg[SavedMedia]
) -> bool:
    sent = uploads.results.get(path)
    received = None if sent is None else downloads.results.get(sent.media_id)
    if received is None or received.path is None:
        return False
    return received.path.read_bytes() == path.read_bytes()
