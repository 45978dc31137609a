from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.cli.service import (
    CREDENTIALS,
    SECRET,
    Service,
    json_lines,
    shown_on,
    started,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

PATIENCE = 20
"""Seconds after which a process is taken to hang."""


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def test_ctrl_c(service: Service, pictures: list[Path], tmp_path: Path) -> None:
    """Ctrl-C ends cleanly, what is done stays done, and the manifest carries on."""
    manifest = tmp_path / "sent.jsonl"
    service.simulator.fail(1, "stall", on="upload")
    command = ["upload", *pictures, "--manifest", manifest, "--base-url", service.url]

    with started(*command, "--json", environment=CREDENTIALS) as process:
        assert process.stdout is not None
        done = [process.stdout.readline() for _ in pictures[1:]]
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=PATIENCE)
    interrupted = process.returncode
    with started(*command, "--json", environment=CREDENTIALS) as process:
        out, _ = process.communicate(timeout=PATIENCE)

    assert (interrupted, rest) == (130, "")
    assert "interrupted: 2 done, 0 failed, 0 skipped" in err
    assert "1 left; the same command carries on" in err
    assert "Traceback" not in err
    assert process.returncode == 0
    again = {line["item"] for line in json_lines(out) if line["skipped"]}
    assert again == {line["item"] for line in json_lines("".join(done))}
    assert sorted(service.contents().values()) == sorted(
        path.read_bytes() for path in pictures
    )


def test_ctrl_c_leaves_no_part_of_a_file(service: Service, inbox: Path) -> None:
    """Ctrl-C in the middle of a download leaves whole files only."""
    ids = [service.simulator.put(b"\xff\xd8\xff" + bytes(200_000)) for _ in range(2)]
    service.simulator.fail(1, "slow", on="download")
    command = ["download", *ids, "--to", inbox, "--base-url", service.url]

    with started(*command, environment=CREDENTIALS) as process:
        assert process.stdout is not None
        saved = process.stdout.readline().rstrip().split("\t")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert [str(path) for path in inbox.iterdir()] == [saved[2]]


def test_ids_from_a_pipe(service: Service, inbox: Path) -> None:
    """Ids are downloaded as they come; a pipe that stays open can be left."""
    first, second = (service.simulator.put(b"\xff\xd8\xff") for _ in range(2))
    command = ["download", "-", "--to", inbox, "--base-url", service.url]

    with started(*command, environment=CREDENTIALS, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = []
        for media_id in (first, second):
            process.stdin.write(f"{media_id}\n")
            process.stdin.flush()
            lines.append(process.stdout.readline().split("\t")[:2])
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130

    assert lines == [["saved", first], ["saved", second]]


def test_reader_that_goes_away(service: Service, pictures: list[Path]) -> None:
    """Where nobody reads the output any more, it ends without a traceback."""
    command = ["upload", *pictures, "--base-url", service.url]
    reads, writes = os.pipe()
    os.close(reads)

    with started(*command, environment=CREDENTIALS, stdout=writes) as process:
        os.close(writes)
        _, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, err) == (1, "")


def test_terminal(service: Service, pictures: list[Path]) -> None:
    """On a real terminal the results and the total are shown, and no secret."""
    command = ["upload", *pictures, "--base-url", service.url]

    shown = on_terminal(*command)

    assert shown.count("uploaded") == 3
    assert "3/3 files" in shown
    assert "3 done, 0 failed" in shown
    assert SECRET not in shown


def test_simulate(pictures: list[Path], inbox: Path, tmp_path: Path) -> None:
    """The simulated service prints its base URL, and takes any id and secret."""
    with simulating() as url:
        sent = started(
            "upload",
            pictures[0],
            "--base-url",
            url,
            "--json",
            environment={"WXMEDIA_APPID": "any", "WXMEDIA_SECRET": "any"},
        )
        [line] = json_lines(sent.communicate(timeout=PATIENCE)[0])
        got = started(
            "download",
            line["media_id"],
            "--base-url",
            url,
            "--to",
            inbox,
            environment={"WXMEDIA_APPID": "any", "WXMEDIA_SECRET": "any"},
        )
        got.communicate(timeout=PATIENCE)

    assert (sent.returncode, got.returncode) == (0, 0)
    [file] = inbox.iterdir()
    assert file.read_bytes() == pictures[0].read_bytes()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)]
)
def test_simulate_ends(number: signal.Signals, code: int) -> None:
    """Ctrl-C ends the simulated service with 130; SIGTERM is its normal end."""
    with started("simulate") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)

    assert (process.returncode, err) == (code, "")


def test_simulate_with_credentials() -> None:
    """The simulated service refuses what its environment does not name."""
    pair = {"appid": "id", "secret": "secret"}

    with simulating(WXMEDIA_SIM_APPID="id", WXMEDIA_SIM_SECRET="secret") as url:
        accepted = httpx.get(f"{url}/cgi-bin/token", params=pair).json()
        refused = httpx.get(
            f"{url}/cgi-bin/token", params={**pair, "secret": "wrong"}
        ).json()

    assert "access_token" in accepted
    assert refused["errcode"] == 40125


@contextmanager
def simulating(**environment: str) -> Iterator[str]:
    with started("simulate", environment=environment) as process:
        assert process.stdout is not None
        yield process.stdout.readline().rstrip()
        process.terminate()
        process.communicate(timeout=PATIENCE)


def on_terminal(*command: object) -> str:
    """Run a command on a terminal of its own; return all that is shown."""
    ours, theirs = os.openpty()
    with started(
        *command,
        environment={**CREDENTIALS, "TERM": "xterm", "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        shown = b"".join(shown_on(ours))
        os.close(ours)
    return shown.decode()
