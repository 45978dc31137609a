"""``--workers``: several processes that share one list."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import coverage
import pytest

from tests.cli.service import CREDENTIALS, Service, json_lines, shown_on, started
from wxmedia_async import Rate
from wxmedia_async.cli import _crew
from wxmedia_async.cli._crew import Crew, Worker, ended
from wxmedia_async.cli._options import Common
from wxmedia_async.cli._screen import PlainScreen
from wxmedia_async.cli._share import Share, parts_of
from wxmedia_async.cli._tally import Tally
from wxmedia_async.cli._work import Uploads

on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="finds processes in /proc"
)

PATIENCE = 20
"""Seconds after which a process is taken to hang."""

SLOWLY = ["--rate", "20/1"]
"""So that a batch is not over before something can happen to it."""


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where coverage counts, it counts in these processes too."""
    counting = coverage.Coverage.current()
    if counting is not None:
        monkeypatch.setenv("COVERAGE_PROCESS_START", str(counting.config.config_file))
        monkeypatch.setenv("COVERAGE_FILE", counting.config.data_file)


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """Forty small files of different contents."""
    paths = [tmp_path / f"{index}.jpg" for index in range(40)]
    for index, path in enumerate(paths):
        path.write_bytes(b"\xff\xd8\xff" + bytes([index]) * 100)
    return paths


@pytest.fixture
def ids(service: Service) -> list[str]:
    """Forty media that the service keeps."""
    contents = (b"\xff\xd8\xff" + bytes([index]) * 100 for index in range(40))
    return [service.simulator.put(content) for content in contents]


def run(service: Service, *arguments: object, **streams: Any) -> tuple[int, str, str]:
    command = [*arguments, "--base-url", service.url]
    with started(*command, environment=CREDENTIALS, **streams) as process:
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out, err


def children(process: subprocess.Popen[str]) -> list[int]:
    """Wait for no longer than it takes to look: they began before their output."""
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(number) for number in path.read_text().split()]


def wait_for_end(process: int) -> bool:
    """Tell whether a process that is no child of ours ends within our patience."""
    try:
        watched = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watched], [], [], PATIENCE)[0])
    finally:
        os.close(watched)


def first_lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(count)]
    assert all(lines), process.communicate(timeout=PATIENCE)
    return lines


def rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What follows the first lines; communicate() would lose what was read ahead."""
    assert process.stdout is not None
    assert process.stderr is not None
    hangs = threading.Timer(PATIENCE, process.kill)
    hangs.start()
    try:
        return process.stdout.read(), process.stderr.read()
    finally:
        process.wait()
        hangs.cancel()


def saved(inbox: Path) -> dict[str, bytes]:
    return {path.stem: path.read_bytes() for path in inbox.iterdir()}


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_uploads(service: Service, many: list[Path], workers: int) -> None:
    """Each file is uploaded once, with one token for all processes."""
    code, out, err = run(service, "upload", *many, "--workers", workers, "--json")

    assert (code, err) == (0, "")
    assert sorted(line["item"] for line in json_lines(out)) == sorted(map(str, many))
    assert sorted(service.contents().values()) == sorted(
        path.read_bytes() for path in many
    )
    assert service.calls("stable_token") == 1
    assert {line["skipped"] for line in json_lines(out)} == {False}


def test_downloads_of_a_list(service: Service, ids: list[str], inbox: Path) -> None:
    """The lines of standard input are shared as well."""
    command = ["download", "-", "--to", inbox, "--workers", 2]
    listed = "\n".join(ids)

    with started(
        *command,
        "--base-url",
        service.url,
        environment=CREDENTIALS,
        stdin=subprocess.PIPE,
    ) as process:
        out, err = process.communicate(listed, timeout=PATIENCE)

    assert (process.returncode, err) == (0, "")
    assert sorted(line.split("\t")[1] for line in out.splitlines()) == sorted(ids)
    assert saved(inbox) == service.contents()


def test_one_manifest(service: Service, many: list[Path], tmp_path: Path) -> None:
    """Workers share a manifest, with each other and with later runs of any number."""
    manifest = tmp_path / "sent.jsonl"
    command = ["upload", *many, "--manifest", manifest, "--json", "--workers"]

    first = run(service, *command, 2)
    again = run(service, *command, 3)
    alone = run(service, *command, 1)

    ids = {line["item"]: line["media_id"] for line in json_lines(first[1])}
    for code, out, err in (again, alone):
        assert (code, err) == (0, "")
        assert {line["item"]: line["media_id"] for line in json_lines(out)} == ids
        assert all(line["skipped"] for line in json_lines(out))
    assert len(service.contents()) == len(many)


def test_failures(service: Service, ids: list[str], inbox: Path) -> None:
    """What fails is named on standard error, and the exit code is 1."""
    command = ["download", *ids, "gone", "--to", inbox, "--workers", 2]

    code, out, err = run(service, *command)

    assert code == 1
    assert err.startswith("wxmedia: gone: MediaNotFound")
    assert err.count("\n") == 1
    assert len(out.splitlines()) == len(ids) + 1


@on_linux
def test_a_worker_is_killed(service: Service, ids: list[str], inbox: Path) -> None:
    """The rest do what a killed worker had been given, and each file is told once."""
    command = ["download", *ids, "--to", inbox, "--workers", 2, "--json", *SLOWLY]

    with started(
        *command, "--base-url", service.url, environment=CREDENTIALS
    ) as process:
        told = first_lines(process, 3)
        os.kill(children(process)[0], signal.SIGKILL)
        out, err = rest(process)

    assert (process.returncode, err) == (0, "")
    lines = json_lines("".join(told) + out)
    assert sorted(line["item"] for line in lines) == sorted(ids)
    assert all(line["ok"] for line in lines)
    assert saved(inbox) == service.contents()


@on_linux
def test_all_workers_are_killed(service: Service, ids: list[str], inbox: Path) -> None:
    """Where none is left the command says so, and ends."""
    command = ["download", *ids, "--to", inbox, "--workers", 2, *SLOWLY]

    with started(
        *command, "--base-url", service.url, environment=CREDENTIALS
    ) as process:
        first_lines(process, 3)
        for child in children(process):
            os.kill(child, signal.SIGKILL)
        _, err = rest(process)

    assert process.returncode == 1
    assert err == "wxmedia: all workers have ended, and files are left\n"


@on_linux
@pytest.mark.parametrize("ends", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(
    service: Service, ids: list[str], inbox: Path, tmp_path: Path, ends: signal.Signals
) -> None:
    """A signal ends all processes; what is done stays done, and a manifest carries on."""
    manifest = tmp_path / "had.jsonl"
    command = ["download", *ids, "--to", inbox, "--workers", 2, "--manifest", manifest]

    with started(
        *command, *SLOWLY, "--base-url", service.url, environment=CREDENTIALS
    ) as process:
        told = first_lines(process, 3)
        workers = children(process)
        process.send_signal(ends)
        out, err = rest(process)
    done = {line.split("\t")[1] for line in [*told, *out.splitlines()]}
    there = saved(inbox)
    code, out, _ = run(service, *command)

    assert process.returncode == 128 + ends
    assert err.startswith("wxmedia: interrupted: ")
    assert err.count("\n") == 1
    assert all(map(wait_for_end, workers))
    assert done <= there.keys()
    assert there.items() <= service.contents().items()
    assert code == 0
    assert saved(inbox) == service.contents()
    assert {
        line.split("\t")[1] for line in out.splitlines() if line[:7] == "skipped"
    } >= done


@on_linux
def test_live_display(service: Service, ids: list[str], inbox: Path) -> None:
    """On a terminal all see how far the transfers of all workers are."""
    service.simulator.fail(1, "slow", on="download")
    command = ["download", ids[0], "gone", "--to", inbox, "--workers", 2]
    screen, theirs = os.openpty()

    with started(
        *command,
        "--base-url",
        service.url,
        environment={**CREDENTIALS, "TERM": "xterm", "COLUMNS": "120"},
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b"".join(until(b" of 103 bytes", screen, process))
        process.send_signal(signal.SIGINT)
        shown += b"".join(until(None, screen, process))
    os.close(screen)

    assert process.returncode == 130
    assert shown.count(b"gone: MediaNotFound") == 1


def until(
    wanted: bytes | None, screen: int, process: subprocess.Popen[str]
) -> Iterator[bytes]:
    """Return what is shown until it is there; None: until nobody shows anything."""
    hangs = threading.Timer(PATIENCE, process.kill)
    hangs.start()
    for chunk in shown_on(screen):
        yield chunk
        if wanted is not None and wanted in chunk:
            break
    hangs.cancel()


@on_linux
def test_killed(service: Service, ids: list[str], inbox: Path) -> None:
    """Workers end with the process that started them, however that ends."""
    service.simulator.fail(8, "stall", on="download")
    command = ["download", *ids, "--to", inbox, "--workers", 2, "--timeout", 300]

    with started(
        *command, "--base-url", service.url, environment=CREDENTIALS
    ) as process:
        first_lines(process, 3)
        workers = children(process)
        process.kill()
        left = [worker for worker in workers if not wait_for_end(worker)]
        for worker in left:
            os.kill(worker, signal.SIGKILL)
        _, err = rest(process)

    assert len(workers) == 2
    assert (left, err) == ([], "")


def test_one_id_twice(service: Service, inbox: Path) -> None:
    """Each mention has its outcome, also of an id that Python keeps only once."""
    code, out, err = run(
        service, "download", *"xxxx", "--to", inbox, "--workers", 2, "--json"
    )

    assert (code, err.count("x: MediaNotFound")) == (1, 4)
    assert [line["item"] for line in json_lines(out)] == [*"xxxx"]


def test_warnings(service: Service, many: list[Path], tmp_path: Path) -> None:
    """What a worker warns of is told, without a traceback."""
    cache = tmp_path / "cache"
    cache.mkdir()

    code, out, err = run(
        service, "upload", *many[:1], "--workers", 2, "--cache", cache, "--quiet"
    )

    assert (code, len(out.splitlines())) == (0, 1)
    assert "failed and is passed over" in err
    assert err.count("\n") == 1


def test_manifest_that_is_something_else(
    service: Service, many: list[Path], tmp_path: Path
) -> None:
    """What no worker can begin with is told once, with the exit code of usage."""
    manifest = tmp_path / "letter.txt"
    manifest.write_text("Dear all,\n")

    code, out, err = run(
        service, "upload", *many, "--workers", 2, "--manifest", manifest
    )

    assert (code, out) == (2, "")
    assert "holds something else" in err
    assert err.count("\n") == 1


def test_list_that_cannot_be_read(service: Service, inbox: Path) -> None:
    """Standard input that nobody may read fails in a line."""
    unreadable = os.open(os.devnull, os.O_WRONLY)
    try:
        code, out, err = run(
            service, "download", "-", "--to", inbox, "--workers", 2, stdin=unreadable
        )
    finally:
        os.close(unreadable)

    assert (code, out) == (1, "")
    assert "Traceback" not in err
    assert err.count("\n") == 1


def test_no_worker_is_started_without_credentials(
    service: Service, many: list[Path]
) -> None:
    """What is wrong for all is told by one."""
    command = ["upload", *many, "--workers", 2, "--base-url", service.url]

    with started(*command) as process:
        _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 2
    assert err.count("\n") == 1


async def process_of(program: str) -> anyio.abc.Process:
    command = [sys.executable, "-c", program]
    return await anyio.open_process(command, stderr=None)


async def test_nothing_is_given_to_a_worker_that_is_gone() -> None:
    """Who gives it something waits; that it is gone is found out by who listens."""
    worker = Worker(await process_of("import sys; sys.stdin.close()"), 1)
    await worker.process.wait()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(worker.send, b"[1]\n" * 100_000)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await worker.process.aclose()


async def test_a_worker_that_is_cancelled_while_it_starts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is ended as well, and waited for."""
    process = await process_of("import signal; signal.pause()")
    crew = Crew(Tally(None), PlainScreen(), 1)

    async def starting(_: Share) -> anyio.abc.Process:
        crew.scope.cancel()
        await anyio.lowlevel.checkpoint()
        return process

    async def items() -> AsyncGenerator[str]:
        await anyio.sleep_forever()
        yield ""

    monkeypatch.setattr(_crew, "started", starting)
    work = Uploads(type="image", cache=None)
    share = Share(work=work, common=Common(), folder=tmp_path, form="text", live=False)
    with crew.scope:
        async with aclosing(items()) as none:
            await crew.run(none, [share])
    code = process.returncode
    with suppress(ProcessLookupError):
        process.kill()
    await process.aclose()

    assert code == -signal.SIGTERM


async def test_a_worker_that_does_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed after a while."""
    monkeypatch.setattr(_crew, "_PATIENCE", 0.01)
    program = """if True:
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(end="-", flush=True)
        signal.pause()
    """
    process = await process_of(program)
    assert process.stdout is not None
    await process.stdout.receive()

    await ended(process, asked=True)

    assert process.returncode == -signal.SIGKILL


BOUNDS = [(1, 1, None), (2, 16, None), (3, 16, 20), (8, 3, 100), (8, 16, 5), (7, 7, 7)]


@pytest.mark.parametrize(("workers", "concurrency", "calls"), BOUNDS)
def test_parts(workers: int, concurrency: int, calls: int | None) -> None:
    """The parts of a bound add up to it, and none is empty."""
    rate = None if calls is None else Rate(calls, 60)
    common = Common(workers=workers, concurrency=concurrency, rate=rate)

    parts = list(parts_of(common))

    assert len(parts) == min(workers, concurrency, calls or workers)
    assert sum(part.concurrency for part in parts) == concurrency
    assert min(part.concurrency for part in parts) >= 1
    rates = [part.rate for part in parts if part.rate is not None]
    assert sum(part.calls for part in rates) == (calls or 0)
    assert {part.per for part in rates} <= {60}
