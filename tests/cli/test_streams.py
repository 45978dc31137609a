"""Standard streams that are closed, full, left by their reader, or do not block."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO, cast

import anyio
import pytest

from tests.cli.service import CREDENTIALS, Service, json_lines, started
from wxmedia_async import cli
from wxmedia_async.cli import _streams, main
from wxmedia_async.cli._screen import has_room
from wxmedia_async.cli._streams import Output, Undelivered, descriptor_of, takes_more

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="streams of POSIX")

PATIENCE = 20
FULL = "/dev/full"

Captured = pytest.CaptureFixture[str]
Lines = Callable[[str], list[object]]

needs_full_disk = pytest.mark.skipif(not os.path.exists(FULL), reason="no /dev/full")


@pytest.fixture
def line_of(service: Service, pictures: list[Path], tmp_path: Path) -> Lines:
    """Gives a command line that succeeds, for the name of a command."""
    on = ["--base-url", service.url]

    def line_of(command: str) -> list[object]:
        media_id = service.simulator.put(b"\xff\xd8\xff")
        lines: dict[str, list[object]] = {
            "upload": ["upload", *pictures, *on],
            "download": ["download", media_id, "--to", tmp_path / "in", *on],
            "upload --json": ["upload", "--json", *pictures, *on],
            "download --json": [
                *["download", "--json", media_id, "--to", tmp_path / "in", *on],
            ],
            "upload --quiet": ["upload", "--quiet", *pictures, *on],
            "simulate": ["simulate"],
            "demo": ["demo", "--json"],
            "--help": ["--help"],
            "--version": ["--version"],
            "upload --help": ["upload", "--help"],
        }
        return lines[command]

    return line_of


def ended(
    arguments: list[object], redirect: str = "", stdin: bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end, with redirections as in a shell."""
    python = [sys.executable, "-W", "error", "-m", "wxmedia_async"]
    known = {
        name: value for name, value in os.environ.items() if name[:8] != "WXMEDIA_"
    }
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirect}', *python, *map(str, arguments)],
        env=known | CREDENTIALS,
        input=stdin,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


OUTPUT_COMMANDS = [
    "upload",
    "download",
    "upload --json",
    "download --json",
    "upload --quiet",
    "simulate",
    "demo",
    "--help",
    "--version",
    "upload --help",
]


@pytest.mark.parametrize("command", OUTPUT_COMMANDS)
def test_no_standard_output(service: Service, line_of: Lines, command: str) -> None:
    """Without a standard output nothing is done, and one line says why; exit code 1."""
    stored = set(service.simulator.media)
    line = line_of(command)
    known = set(service.simulator.media) | stored

    done = ended(line, ">&-")

    assert done.returncode == 1
    assert done.stderr.startswith("wxmedia: standard output: ")
    assert "it is closed" in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(service.simulator.media) == known


@pytest.mark.parametrize("command", OUTPUT_COMMANDS)
def test_standard_output_to_read_from(line_of: Lines, command: str) -> None:
    """A standard output that is open for reading alone is as good as none."""
    done = ended(line_of(command), "1</dev/null")

    assert done.returncode == 1
    assert done.stderr.startswith("wxmedia: standard output: ")
    assert done.stderr.count("\n") == 1


@needs_full_disk
@pytest.mark.parametrize("command", OUTPUT_COMMANDS)
def test_full_disk(line_of: Lines, command: str) -> None:
    """Results that do not fit on the disk end a command with a line; exit code 1."""
    done = ended(line_of(command), f">{FULL}")

    assert done.returncode == 1
    assert done.stderr.startswith("wxmedia: standard output: ")
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", OUTPUT_COMMANDS)
def test_reader_that_left(line_of: Lines, command: str) -> None:
    """Where nobody reads the output it ends at once, in silence; exit code 1."""
    reads, writes = os.pipe()
    os.close(reads)
    python = [sys.executable, "-m", "wxmedia_async", *map(str, line_of(command))]
    try:
        done = subprocess.run(
            python,
            env=os.environ | CREDENTIALS,
            stdout=writes,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(writes)

    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.parametrize("where", ["2>&-", "2</dev/null"])
@pytest.mark.parametrize("command", ["upload", "download", "upload --json", "demo"])
def test_no_standard_error(line_of: Lines, command: str, where: str) -> None:
    """Without a standard error all is done as ever, where there is nothing to say."""
    done = ended(line_of(command), where)

    assert done.returncode == 0
    assert done.stdout.count("\n") >= 1


@pytest.mark.parametrize(
    "where",
    ["2>&-", "2</dev/null", pytest.param(f"2>{FULL}", marks=needs_full_disk)],
)
@pytest.mark.parametrize("options", [[], ["--json"], ["--quiet"]])
def test_failures_without_standard_error(
    service: Service, pictures: list[Path], options: list[str], where: str
) -> None:
    """Failures that cannot be named leave the results whole; the exit code tells."""
    line = ["upload", "missing.jpg", *pictures, *options, "--base-url", service.url]

    done = ended([*line], where)

    assert done.returncode == 1
    assert done.stdout.count("\n") == 4


@pytest.mark.parametrize("where", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("line", ["nonsense", "upload", "download ID --to x"])
def test_usage_that_nobody_hears_of(line: str, where: str) -> None:
    """Wrong usage has its exit code where there is no stream to name it on."""
    done = ended([*line.split(), "--nonsense"], where)

    assert done.returncode in {1, 2}
    assert done.stdout == ""


@pytest.mark.parametrize("code", [0, 2, 130])
def test_words_that_were_not_written(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all is done but not all was said, the exit code tells of that."""

    def warn(_: object) -> int:
        sys.stderr.write("wxmedia: a warning\n")
        return code

    monkeypatch.setattr(cli, "_run", warn)
    monkeypatch.setattr(sys, "stderr", None)

    assert main([]) == (code or 1)


@pytest.mark.parametrize("command", ["upload", "download"])
def test_no_standard_input(service: Service, tmp_path: Path, command: str) -> None:
    """A list that is to come from a standard input that is closed is an error."""
    to = ["--to", tmp_path / "in"] if command == "download" else []

    done = ended([command, "-", *to, "--base-url", service.url], "<&-")

    assert done.returncode == 1
    assert "standard input is closed" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("command", ["upload", "download", "demo", "simulate"])
def test_standard_input_that_nobody_needs(line_of: Lines, command: str) -> None:
    """Whoever reads no list does not miss a standard input."""
    line = line_of(command)
    if command == "simulate":
        line = ["simulate", "--help"]

    assert ended(line, "<&-").returncode == 0


def test_no_file_becomes_a_standard_stream(
    service: Service, tmp_path: Path, pictures: list[Path]
) -> None:
    """With all streams closed, nothing that is opened gets their descriptors."""
    program = (
        "import os, sys; from wxmedia_async.cli import main; main(['--help']);"
        "os._exit(os.open(os.devnull, os.O_RDONLY))"
    )

    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, program],
        check=False,
    )

    assert done.returncode > 2


def wait_until_full(pipe: int) -> None:
    """Return when nobody can write to the pipe any more."""
    late = time.monotonic() + PATIENCE
    while takes_more(pipe, 0):
        assert time.monotonic() < late
        # Who fills it is another process, and a pipe wakes nobody when it is full.
        time.sleep(0.01)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("options", [[], ["--json"], ["--quiet"]])
def test_pipe_that_does_not_block(
    service: Service, tmp_path: Path, options: list[str], stream: str
) -> None:
    """Every line arrives through a pipe that does not block, from long names too."""
    long = "x" * 200
    files = [tmp_path / f"{long}{index:03}.jpg" for index in range(300)]
    if stream == "stdout":
        for index, file in enumerate(files):
            file.write_bytes(b"\xff\xd8\xff%d" % index)
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    line = ["upload", *files, *options, "--base-url", service.url]
    others = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}

    with started(
        *line, environment=CREDENTIALS, **(others | {stream: writes})
    ) as process:
        wait_until_full(writes)
        os.close(writes)
        with open(reads, "rb") as pipe:
            lines = pipe.read().splitlines()
        process.wait(PATIENCE)

    assert process.returncode == (0 if stream == "stdout" else 1)
    assert len(lines) == 300
    assert all(any(file.name in str(one) for one in lines) for file in files)


def test_slow_reader_can_be_left(service: Service, tmp_path: Path) -> None:
    """Ctrl-C ends a command whose reader has stopped to read."""
    files = [tmp_path / f"{'x' * 200}{index:03}.jpg" for index in range(400)]
    reads, writes = os.pipe()
    try:
        with started(
            *["upload", *files, "--base-url", service.url],
            environment=CREDENTIALS,
            stdout=writes,
            stderr=subprocess.DEVNULL,
        ) as process:
            wait_until_full(writes)
            process.send_signal(signal.SIGINT)
            try:
                code = process.wait(PATIENCE)
            finally:
                process.kill()
    finally:
        os.close(reads)
        os.close(writes)

    assert code == 130


@pytest.mark.parametrize("size", [0, 1, 5_000, 300_000])
def test_output_waits_for_its_reader(size: int) -> None:
    """However long a text is, all of it comes through a pipe that does not block."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    got = bytearray()

    def read() -> None:
        while chunk := os.read(reads, 1000):
            got.extend(chunk)

    with open(writes, "w", encoding="utf-8") as file:
        output = Output(file)
        reader = threading.Thread(target=read)
        reader.start()
        written = output.write("猫" * size)
    reader.join()
    os.close(reads)

    assert written == size
    assert got.decode() == "猫" * size


def test_output_is_a_stream(tmp_path: Path) -> None:
    """Whoever looks at the stream sees what Python's own would show."""
    with open(tmp_path / "out", "w", encoding="ascii") as file:
        output = Output(file)
        output.write("猫\udc80\n")

        assert (output.fileno(), output.encoding) == (file.fileno(), "ascii")
        assert not output.isatty()
    assert (tmp_path / "out").read_bytes() == b"\\u732b\\udc80\n"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gbk", "ascii"])
def test_encodings(encoding: str, tmp_path: Path) -> None:
    """Lines are one text in the stream's encoding, whose mark comes once."""
    with open(tmp_path / "out", "w", encoding=encoding) as file:
        output = Output(file)
        for line in ("one\n", "two\n"):
            output.write(line)

    assert (tmp_path / "out").read_text(encoding=encoding) == "one\ntwo\n"


def test_output_of_something_else() -> None:
    """A stream that is no file, as of a notebook, is written to as it is."""
    file = io.StringIO()
    output = Output(file)

    output.write("line\n")

    assert file.getvalue() == "line\n"
    assert descriptor_of(file) is None
    with pytest.raises(io.UnsupportedOperation):
        output.fileno()


def test_output_that_was_closed() -> None:
    """A stream that Python has closed takes nothing, and says so."""
    file = io.StringIO()
    file.close()

    with pytest.raises(Undelivered):
        Output(file).write("line\n")
    with pytest.raises(Undelivered):
        Output(None).write("")
    assert not Output(None).isatty()


def test_no_standard_output_in_this_process(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that calls the command line without a standard output is told so."""
    monkeypatch.setattr(sys, "stdout", None)

    code = main(["--version"])

    assert code == 1
    assert "it is closed" in capsys.readouterr().err


def test_closed_descriptors_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each standard stream that is closed is opened to nowhere, and no other."""
    opened: list[str] = []

    def fstat(descriptor: int) -> None:
        if descriptor == 1:
            raise OSError(9, "Bad file descriptor")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fstat)
        patch.setattr(os, "open", lambda path, _: opened.append(path))
        _streams._occupy_closed_descriptors()

    assert opened == [os.devnull]


async def test_room_in_a_pipe() -> None:
    """Whoever waits for room in a pipe lets others run, until somebody reads."""
    reads, writes = os.pipe()
    os.set_blocking(writes, False)
    seen: list[str] = []

    async def read() -> None:
        seen.append("read")
        os.read(reads, 1 << 20)

    with open(writes, "wb", buffering=0) as pipe, open(reads, "rb"):
        while pipe.write(bytes(4096)):
            pass
        file = cast("TextIO", pipe)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await has_room(file)
            seen.append("room")
        await has_room(file)

    assert seen == ["read", "room"]


def test_streams_are_given_back(capsys: Captured) -> None:
    """After a command the streams are what they were before."""
    streams = sys.stdout, sys.stderr

    main(["--version"])

    assert (sys.stdout, sys.stderr) == streams
    assert capsys.readouterr().out


def test_json_in_order(service: Service, pictures: list[Path]) -> None:
    """Results and failures that go to one file stay whole lines."""
    missing = ["missing.jpg"] * 20

    done = ended(
        ["upload", "--json", *missing, *pictures, "--base-url", service.url], "2>&1"
    )

    lines = done.stdout.splitlines()
    results = [one for one in lines if one.startswith("{")]
    assert len(json_lines("\n".join(results))) == 23
    assert sum(one.startswith("wxmedia: missing.jpg: ") for one in lines) == 20
