from __future__ import annotations

import runpy
import subprocess
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

import attrs
import pytest

import wxmedia_async
from wxmedia_async.cli import _transfer, main

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials in the environment."""
    for name in ("WXMEDIA_APPID", "WXMEDIA_SECRET", "WXMEDIA_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token in the environment."""
    monkeypatch.setenv("WXMEDIA_TOKEN", "token")


@pytest.mark.usefixtures("token")
@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("nonsense", "nonsense"),
        ("upload", "FILES"),
        ("download --to x", "IDS"),
        ("download ID", "--to"),
        ("download ID --to x --overwriet", "--overwriet is not an option"),
        ("upload a.jpg --nonsense", "--nonsense is not an option"),
        ("upload -x", "-x is not an option"),
        ("upload a.jpg --timeout 0", "--timeout"),
        ("upload a.jpg --timeout nan", "--timeout"),
        ("upload a.jpg --deadline 0", "--deadline"),
        ("upload a.jpg --retries -1", "--retries"),
        ("upload a.jpg --hd-voice", "--hd-voice is not an option"),
        ("download ID --to x --max-bytes 0", "--max-bytes"),
        ("download ID --to x --cache c", "--cache is not an option"),
        ("upload a.jpg --type picture", "picture"),
        ("upload a.jpg --platform wechat", "wechat"),
        ("upload a.jpg --concurrency 0", "--concurrency"),
        ("upload a.jpg --concurrency many", "many"),
        ("upload a.jpg --rate fast", "--rate"),
        ("upload a.jpg --rate 0/60", "--rate"),
        ("upload a.jpg --rate 10/0", "--rate"),
        ("upload a.jpg --base-url ftp://example.org", "base_url"),
        ("upload a.jpg --manifest nowhere/sent.jsonl", "FileNotFoundError"),
        ("simulate --port 70000", "--port"),
        ("simulate --max-bytes 0", "--max-bytes"),
        ("demo --concurrency 0", "--concurrency"),
    ],
)
def test_wrong_usage(line: str, named: str, capsys: Captured) -> None:
    """A wrong option or argument is named on standard error; exit code 2."""
    code = main(line.split())

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert named in err


@pytest.mark.usefixtures("token")
def test_manifest_that_is_something_else(tmp_path: Path, capsys: Captured) -> None:
    """A file that is no manifest is left as it is; exit code 2."""
    picture = tmp_path / "cat.jpg"
    picture.write_bytes(b"\xff\xd8\xff")

    code = main(["upload", str(picture), "--manifest", str(picture)])

    assert code == 2
    assert "manifest" in capsys.readouterr().err
    assert picture.read_bytes() == b"\xff\xd8\xff"


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize("line", ["upload a.jpg", "download ID --to x"])
def test_no_credentials(line: str, capsys: Captured) -> None:
    """Without credentials the variables are named; exit code 2."""
    code = main(line.split())

    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert "WXMEDIA_APPID and WXMEDIA_SECRET, or WXMEDIA_TOKEN" in err


@pytest.mark.parametrize("command", ["upload", "download", "simulate", "demo"])
def test_help(command: str, capsys: Captured) -> None:
    """Each command explains itself."""
    code = main([command, "--help"])

    assert code == 0
    assert f"wxmedia {command}" in capsys.readouterr().out


def test_help_names_credentials(capsys: Captured) -> None:
    """The help tells where credentials come from."""
    code = main([])

    out = capsys.readouterr().out
    assert code == 0
    assert "WXMEDIA_APPID" in out
    assert "WXMEDIA_TOKEN" in out


def test_version(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """The version is that of the package; the arguments are the process's own."""
    monkeypatch.setattr(sys, "argv", ["wxmedia", "--version"])

    code = main()

    assert code == 0
    assert capsys.readouterr().out.count(".") == 2


@attrs.frozen
class Absent(MetaPathFinder):
    """Has a package be missing."""

    package: str

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:
        if fullname.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {fullname}", name=fullname)


@pytest.mark.parametrize("missing", ["cyclopts", "rich", "uvicorn"])
def test_without_the_extra(
    missing: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra, one line says how to install it; exit code 2."""
    for name in list(sys.modules):
        if name.startswith(("wxmedia_async.cli.", missing)):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(missing), *sys.meta_path])

    code = main(["demo"])

    assert code == 2
    assert capsys.readouterr().err == (
        'wxmedia: not all is installed: pip install "wxmedia_async[cli]"\n'
    )


def test_broken_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another module that is missing is not blamed on the extra."""
    monkeypatch.setitem(sys.modules, "wxmedia_async.cli._transfer", None)

    with pytest.raises(ModuleNotFoundError, match="_transfer"):
        main(["upload", "cat.jpg"])


def test_library_needs_no_extra() -> None:
    """The library is there without any extra."""
    program = (
        "import sys;"
        "sys.modules.update(dict.fromkeys(('rich', 'cyclopts', 'uvicorn', 'redis')));"
        "import wxmedia_async"
    )

    done = subprocess.run([sys.executable, "-c", program], check=False)

    assert done.returncode == 0


@pytest.mark.parametrize("folder", ["wxmedia_async", "wxmedia_async/cli"])
def test_as_a_module(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """``python -m wxmedia_async`` is the same command, and so is its folder."""
    monkeypatch.setattr(sys, "argv", ["wxmedia", "nonsense"])
    path = Path(wxmedia_async.__file__).parents[1] / folder / "__main__.py"

    with pytest.raises(SystemExit) as exited:
        # Not run_module: pytest loads the modules of its plugins by its own
        # loader, which that cannot use.
        runpy.run_path(str(path), run_name="__main__")

    assert exited.value.code == 2


@pytest.mark.parametrize("line", ["--help", "--version", "upload --help", "nonsense"])
def test_help_is_quick(line: str) -> None:
    """What transfers nothing loads nothing that it would need."""
    program = """if True:
        import sys
        from wxmedia_async.cli import main
        main(sys.argv[1:])
        heavy = "httpx anyio ssl uvicorn sqlite3 markdown_it wxmedia_async._client"
        sys.exit(f"loaded: {sys.modules.keys() & set(heavy.split())}")
    """

    done = subprocess.run(
        [sys.executable, "-c", program, *line.split()],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.splitlines()[-1] == "loaded: set()"


def test_interrupted_before_there_is_a_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C at a moment when nothing receives it gives 130 as well."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_transfer, "transfer", interrupted)

    assert main(["upload", "cat.jpg"]) == 130
