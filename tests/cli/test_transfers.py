from __future__ import annotations

import logging
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ServiceOf
from tests.cli.service import SECRET, Service, json_lines
from wxmedia_async import OFFICIAL_ACCOUNT, WECOM
from wxmedia_async.cli import _transfer, main
from wxmedia_async.cli._screen import PlainScreen

pytestmark = pytest.mark.usefixtures("credentials")

Captured = pytest.CaptureFixture[str]


def uploaded_ids(out: str) -> list[str]:
    return [line.split("\t")[2] for line in out.splitlines()]


def test_upload(service: Service, pictures: list[Path], capsys: Captured) -> None:
    """Uploads of many files give a line each, with the media_id; exit code 0."""
    code = service.run("upload", *pictures)

    out, err = capsys.readouterr()
    stored = service.contents()
    assert (code, err) == (0, "")
    shown = {line.split("\t")[1]: line.split("\t")[2] for line in out.splitlines()}
    assert {path: stored[media_id] for path, media_id in shown.items()} == {
        str(path): path.read_bytes() for path in pictures
    }


def test_upload_json(service: Service, pictures: list[Path], capsys: Captured) -> None:
    """With --json each upload is one JSON object."""
    code = service.run("upload", "--json", pictures[0])

    [line] = json_lines(capsys.readouterr().out)
    assert code == 0
    assert (line["item"], line["ok"]) == (str(pictures[0]), True)
    assert line["media_id"] in service.simulator.media


def test_some_fail(service: Service, pictures: list[Path], capsys: Captured) -> None:
    """What fails is named on standard error with its reason; the rest is done; 1."""
    missing = str(pictures[0].with_name("missing.jpg"))
    empty = pictures[0].with_name("empty.jpg")
    empty.touch()

    code = service.run("upload", missing, str(empty), pictures[0])

    out, err = capsys.readouterr()
    assert code == 1
    assert len(service.simulator.media) == 1
    assert sorted(line.split("\t")[0] for line in out.splitlines()) == [
        "failed",
        "failed",
        "uploaded",
    ]
    assert f"wxmedia: {missing}: FileNotFoundError: " in err
    assert f"wxmedia: {empty}: MediaRejected: errcode 44001" in err


def test_failure_json(service: Service, tmp_path: Path, capsys: Captured) -> None:
    """With --json a failure has its class and errcode, and is named as well."""
    code = service.run("download", "wrong", "--json", "--to", tmp_path)

    out, err = capsys.readouterr()
    [line] = json_lines(out)
    assert code == 1
    assert (line["ok"], line["error"], line["code"]) == (False, "MediaNotFound", 40007)
    assert line["attempts"] == 1
    assert err.startswith("wxmedia: wrong: MediaNotFound: errcode 40007: ")


def test_download(service: Service, tmp_path: Path, capsys: Captured) -> None:
    """Downloads go into the folder, which is made; each gives a line; exit code 0."""
    ids = [service.simulator.put(b"\xff\xd8\xff" + bytes([n]) * 500) for n in range(3)]

    code = service.run("download", *ids, "--to", str(tmp_path / "in"))

    out, err = capsys.readouterr()
    saved = {line.split("\t")[1]: line.split("\t")[2] for line in out.splitlines()}
    assert (code, err) == (0, "")
    assert {i: Path(path).read_bytes() for i, path in saved.items()} == (
        service.contents()
    )
    assert all(Path(path).parent == tmp_path / "in" for path in saved.values())


def test_download_again(service: Service, tmp_path: Path, capsys: Captured) -> None:
    """A file that exists is left as it is, unless --overwrite says otherwise."""
    media_id = service.simulator.put(b"\xff\xd8\xffnew")
    command = ["download", media_id, "--to", tmp_path]
    file = tmp_path / f"{media_id}.jpg"
    file.write_bytes(b"old")

    refused = service.run(*command)
    kept = file.read_bytes()
    allowed = service.run(*command, "--overwrite")

    assert (refused, kept) == (1, b"old")
    assert "FileExistsError" in capsys.readouterr().err
    assert (allowed, file.read_bytes()) == (0, b"\xff\xd8\xffnew")


def test_download_from_standard_input(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A - stands for ids on the lines of standard input, among others."""
    ids = [service.simulator.put(b"\xff\xd8\xff") for _ in range(3)]
    (tmp_path / "ids").write_text(f"{ids[1]}\n{ids[2]}\n")

    with open(tmp_path / "ids") as file:
        monkeypatch.setattr(sys, "stdin", file)
        code = service.run("download", ids[0], "-", "--to", f"{tmp_path}/in")

    assert code == 0
    assert {path.stem for path in (tmp_path / "in").iterdir()} == set(ids)


def test_upload_from_standard_input(
    service: Service, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A - stands for paths on the lines of standard input, among others."""
    listed = pictures[0].with_name("listed")
    named = pictures[1].rename(pictures[1].with_name(" 猫 .jpg"))
    listed.write_text(f"{named}\n{pictures[2]}\n", encoding="utf-16")

    with open(listed) as file:
        monkeypatch.setattr(sys, "stdin", file)
        code = service.run("upload", pictures[0], "-")

    assert code == 0
    assert {media.filename for media in service.simulator.media.values()} == {
        pictures[0].name,
        " 猫 .jpg",
        pictures[2].name,
    }


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text")
def test_paths_that_are_no_text(
    service: Service, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path on standard input may hold bytes that are no text."""
    odd = os.fsencode(pictures[0].parent) + b"/\xfa\xfb.jpg"
    os.rename(pictures[0], odd)
    pictures[0].with_name("listed").write_bytes(odd)

    with open(pictures[0].with_name("listed")) as file:
        monkeypatch.setattr(sys, "stdin", file)
        code = service.run("upload", "-")

    assert code == 0


def test_names_after_two_hyphens(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """After -- everything is a file or an id, whatever it looks like."""
    monkeypatch.chdir(tmp_path)
    odd = ["--json", "-", "-x", "--", "--help"]
    for name in odd:
        Path(name).write_bytes(b"\xff\xd8\xff" + name.encode())

    sent = main(["upload", "--base-url", service.url, "--", *odd])
    uploaded = capsys.readouterr().out
    got = main(["download", "--to", "in", "--base-url", service.url, "--", *odd])

    assert sent == 0
    assert {line.split("\t")[1] for line in uploaded.splitlines()} == set(odd)
    assert got == 1
    err = capsys.readouterr().err
    assert all(f"wxmedia: {name}: MediaNotFound" in err for name in odd)


@pytest.mark.parametrize("line", ["simulate -- --port", "demo -- x", "-- upload"])
def test_nothing_to_name_after_two_hyphens(line: str, capsys: Captured) -> None:
    """Commands that take no names refuse them after -- as well."""
    assert main(line.split()) == 2
    assert capsys.readouterr().out == ""


def test_standard_input_that_cannot_be_read(
    service: Service,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Standard input that cannot be read is told, and no traceback is shown."""
    with open(tmp_path / "out", "w") as file:
        monkeypatch.setattr(sys, "stdin", file)
        code = main(["download", "-", "--to", f"{tmp_path}/in"])

    assert code == 1
    assert re.fullmatch(r"wxmedia: OSError: .*\n", capsys.readouterr().err)


def test_ids_that_begin_with_a_hyphen(
    service: Service, tmp_path: Path, capsys: Captured
) -> None:
    """WeChat makes ids that begin with a hyphen; they are no options."""
    code = service.run("download", "-x", "--to", tmp_path)

    assert code == 1
    assert "wxmedia: -x: MediaNotFound" in capsys.readouterr().err


def test_manifest(
    service: Service, pictures: list[Path], tmp_path: Path, capsys: Captured
) -> None:
    """Run again with the same manifest, only what is not finished is done."""
    command = ["upload", *pictures]
    command += ["--manifest", str(tmp_path / "sent.jsonl"), "--json"]
    hidden = pictures[2].rename(tmp_path / "hidden")

    first = service.run(*command)
    capsys.readouterr()
    hidden.rename(pictures[2])
    second = service.run(*command)

    lines = json_lines(capsys.readouterr().out)
    assert (first, second) == (1, 0)
    assert service.calls("upload") == 3
    assert {line["item"]: line["skipped"] for line in lines} == {
        str(pictures[0]): True,
        str(pictures[1]): True,
        str(pictures[2]): False,
    }


def test_skipped_as_text(
    service: Service, pictures: list[Path], tmp_path: Path, capsys: Captured
) -> None:
    """A file that the manifest knows is shown as skipped, with its media_id."""
    command = ["upload", pictures[0]]
    command += ["--manifest", str(tmp_path / "sent.jsonl")]
    service.run(*command)
    [media_id] = uploaded_ids(capsys.readouterr().out)

    service.run(*command)

    assert capsys.readouterr().out == f"skipped\t{pictures[0]}\t{media_id}\n"


def test_type_and_platform(service_of: ServiceOf, tmp_path: Path) -> None:
    """The type is given to the platform, whose limits apply."""
    service = service_of(OFFICIAL_ACCOUNT)
    voice = tmp_path / "hello.amr"
    voice.write_bytes(b"#!AMR\n" + bytes(100))
    command = ["upload", str(voice), "--type", "voice"]

    accepted = service.run(*command, "--platform", "official_account")
    refused = service.run(*command)

    assert (accepted, refused) == (0, 1)
    [media] = service.simulator.media.values()
    assert media.type == "voice"


def test_wecom(service_of: ServiceOf, pictures: list[Path]) -> None:
    """In WeCom the same variables hold the corpid and its secret."""
    service = service_of(WECOM)

    code = service.run("upload", pictures[0], "--platform", "wecom")

    assert code == 0
    assert service.calls("gettoken") == 1


def test_token(
    service: Service, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token of the environment is sent as it is; none is fetched."""
    service.simulator.open_access = True
    monkeypatch.setenv("WXMEDIA_TOKEN", "TOKEN")

    service.run("upload", pictures[0])

    assert service.simulator.token_fetches == 0
    assert [r.query["access_token"] for r in service.simulator.requests] == ["TOKEN"]


@pytest.mark.parametrize("rate", ["1000", "60000/60"])
def test_rate(service: Service, pictures: list[Path], rate: str) -> None:
    """A rate is calls per second, or calls per so many seconds."""
    code = service.run("upload", *pictures, "--rate", rate)

    assert code == 0


def test_wrong_secret(
    service: Service,
    pictures: list[Path],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 34: a secret that is refused is never shown, nor asked about twice."""
    monkeypatch.setenv("WXMEDIA_SECRET", f"{SECRET}-wrong")

    code = service.run("upload", *pictures, "--json")

    out, err = capsys.readouterr()
    assert code == 1
    assert [line["error"] for line in json_lines(out)] == ["CredentialsError"] * 3
    assert service.calls("token") == 1
    assert SECRET not in out + err


def test_no_secret_is_shown(
    service: Service, pictures: list[Path], tmp_path: Path, capsys: Captured
) -> None:
    """Fault 34: neither lines nor manifest hold the secret or a token."""
    manifest = tmp_path / "sent.jsonl"
    service.simulator.fail(5, 40001, on="upload")

    service.run(
        "upload", *pictures, "--manifest", str(manifest), "--json", "--concurrency", "1"
    )

    sent = [request.query.get("access_token") for request in service.simulator.requests]
    seen = "".join((*capsys.readouterr(), manifest.read_text()))
    assert any(sent)
    assert not any(token in seen for token in [*filter(None, sent), SECRET])


def test_live_display(
    service: Service,
    pictures: list[Path],
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a terminal a display is drawn, and each failure is told once."""
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    missing = str(tmp_path / "missing.jpg")

    code = service.run("upload", pictures[0], missing)

    out, err = capsys.readouterr()
    assert (code, out) == (1, "")
    assert re.search(rf"uploaded +{pictures[0]} +\S+\n", err)
    assert err.count("FileNotFoundError") == 1
    assert "2/2 files" in err
    assert "1 done, 1 failed, 0 skipped, 1.0 kB in" in err


def test_live_display_beside_a_pipe(
    service: Service,
    pictures: list[Path],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where only standard error is a terminal, results still go to the pipe."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    code = service.run("upload", pictures[0], "--json")

    out, err = capsys.readouterr()
    assert code == 0
    assert json_lines(out)[0]["ok"] is True
    assert "1/1 files" in err


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interrupted(
    service: Service,
    pictures: list[Path],
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was done when Ctrl-C came is told, and how to go on; exit code 130."""
    say = PlainScreen.say

    def say_and_interrupt(screen: PlainScreen, line: str) -> None:
        say(screen, line)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(PlainScreen, "say", say_and_interrupt)
    service.simulator.fail(1, "stall", on="upload")
    manifest = tmp_path / "sent.jsonl"

    code = service.run("upload", *pictures[:2], "--manifest", manifest)

    out, err = capsys.readouterr()
    assert code == 130
    assert out.startswith("uploaded\t")
    assert "interrupted: 1 done, 0 failed, 0 skipped" in err
    assert "1 left; the same command carries on" in err


def test_nobody_reads_the_output(
    service: Service,
    pictures: list[Path],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that goes away ends it in silence; exit code 1."""
    reads, writes = os.pipe()
    os.close(reads)

    with open(writes, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        code = service.run("upload", *pictures)

    assert code == 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "calls"), [([], 4), (["--retries", "0"], 1), (["--retries", "1"], 2)]
)
def test_retries(
    service: Service,
    pictures: list[Path],
    options: list[str],
    calls: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The number of retries is how often a file that failed is tried again."""
    # The shortest wait that there may be.
    monkeypatch.setattr("random.uniform", lambda *_: 0.0)
    service.simulator.fail(10, -1, on="upload")

    code = service.run("upload", pictures[0], *options)

    assert code == 1
    assert service.calls("upload") == calls


@pytest.mark.parametrize(
    "options",
    [["--timeout", "0.05", "--retries", "0"], ["--deadline", "0.05"]],
)
@pytest.mark.parametrize("command", ["upload", "download"])
def test_limits_of_time(
    service: Service,
    pictures: list[Path],
    command: str,
    options: list[str],
    capsys: Captured,
) -> None:
    """A stall ends after the timeout, a file with all its tries after the deadline."""
    media_id = service.simulator.put(b"\xff\xd8\xff")
    named = [pictures[0]] if command == "upload" else [media_id, "--to", "in"]
    service.simulator.fail(10, "stall", on="upload")
    service.simulator.fail(10, "stall", on="download")

    code = service.run(command, *named, *options)

    assert code == 1
    assert "TransferTimeout" in capsys.readouterr().err


def test_max_bytes(service: Service, tmp_path: Path, capsys: Captured) -> None:
    """A media above the limit is not taken; one that is not is."""
    small = service.simulator.put(b"\xff\xd8\xff" + bytes(100))
    large = service.simulator.put(b"\xff\xd8\xff" + bytes(200))

    code = service.run("download", small, large, "--to", tmp_path, "--max-bytes", 150)

    assert code == 1
    assert f"wxmedia: {large}: TooLarge" in capsys.readouterr().err
    assert (tmp_path / f"{small}.jpg").exists()


def test_hd_voice(service_of: ServiceOf, tmp_path: Path, capsys: Captured) -> None:
    """The speex recording of a voice is asked for, and named by its media_id."""
    service = service_of(OFFICIAL_ACCOUNT)
    voice = service.simulator.put(b"#!SPEEX", "voice", "a.amr")
    line = ["download", voice, "wrong", "--to", tmp_path, "--hd-voice"]

    code = service.run(*line, "--platform", "official_account")

    out, err = capsys.readouterr()
    assert code == 1
    assert service.calls("/media/get/jssdk") == 2
    assert f"saved\t{voice}\t" in out
    assert err.startswith("wxmedia: wrong: MediaNotFound")


def test_cache(service: Service, pictures: list[Path], tmp_path: Path) -> None:
    """With a cache the same bytes are uploaded once, by several commands too."""
    line = ["upload", *pictures[:2], pictures[0], "--cache", tmp_path / "cache"]

    first = service.run(*line)
    second = service.run(*line)

    assert (first, second) == (0, 0)
    assert service.calls("upload") == 2


def test_cache_of_a_token(
    service: Service,
    pictures: list[Path],
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cache beside a bare token has to know whose it is: WXMEDIA_APPID tells."""
    service.simulator.open_access = True
    monkeypatch.setenv("WXMEDIA_TOKEN", service.simulator._tokens.stable("x")[0])
    line = ["upload", pictures[0], "--cache", tmp_path / "cache"]

    named = service.run(*line)
    monkeypatch.delenv("WXMEDIA_APPID")
    nameless = service.run(*line)

    assert (named, nameless) == (0, 2)
    assert "set WXMEDIA_APPID beside WXMEDIA_TOKEN" in capsys.readouterr().err


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_quiet(
    service: Service,
    pictures: list[Path],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
) -> None:
    """With --quiet results and failures are written, even on a terminal no more."""
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)

    code = service.run("upload", pictures[0], "missing.jpg", "--quiet", *options)

    out, err = capsys.readouterr()
    assert code == 1
    assert out.count("\n") == (2 if options else 1)
    assert err.startswith("wxmedia: missing.jpg: FileNotFoundError: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("options", [[], ["--quiet"]])
def test_warnings_of_the_library(
    service: Service,
    pictures: list[Path],
    options: list[str],
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the library warns of is a line on standard error, without a traceback."""
    logger = logging.getLogger("wxmedia_async")

    async def warn(*_: object) -> None:
        try:
            raise OSError("no disk")
        except OSError:
            logger.warning("an aid failed:\n%s", "no disk", exc_info=True)
        logger.info("nothing for people")

    monkeypatch.setattr(_transfer, "has_room", warn)

    code = service.run("upload", pictures[0], *options)

    assert code == 0
    assert capsys.readouterr().err == "wxmedia: an aid failed:\\nno disk\n"
    assert logger.handlers == []


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("the proxy nonsense://proxy cannot be used:\nno such scheme"),
        FileNotFoundError(2, "No such file or directory", "/nowhere/bundle.pem"),
        PermissionError(13, "Permission denied", "/forbidden/bundle.pem"),
    ],
    ids=["proxy", "missing", "forbidden"],
)
@pytest.mark.parametrize("command", ["upload", "download"])
def test_client_that_cannot_be_made(
    command: str,
    failure: Exception,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the environment has that no client can use is one line; exit code 2."""

    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(_transfer, "MediaClient", fail)
    to = ["--to", "in"] if command == "download" else []

    code = main([command, "x", *to])

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("wxmedia: ")
    assert err.count("\n") == 1
    assert str(failure).splitlines()[0] in err
