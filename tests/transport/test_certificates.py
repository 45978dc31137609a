"""Certificates that the environment names."""

from __future__ import annotations

import errno
import os
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.transport.conftest import Authority
from wxmedia_async import MediaClient
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._certificates import maker_for


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def gone(folder: Path) -> Path:
    return folder / "gone"


def empty(folder: Path) -> Path:
    (folder / "empty.pem").touch()
    return folder / "empty.pem"


def no_certificate(folder: Path) -> Path:
    (folder / "text.pem").write_text("none")
    return folder / "text.pem"


def a_folder(folder: Path) -> Path:
    return folder


def below_a_file(folder: Path) -> Path:
    return empty(folder) / "ca.pem"


@pytest.mark.parametrize(
    ("variable", "make"),
    [
        ("SSL_CERT_FILE", gone),
        ("SSL_CERT_FILE", empty),
        ("SSL_CERT_FILE", no_certificate),
        ("SSL_CERT_FILE", a_folder),
        ("SSL_CERT_FILE", below_a_file),
        ("SSL_CERT_DIR", gone),
        ("SSL_CERT_DIR", a_folder),
        ("SSL_CERT_DIR", empty),
    ],
)
def test_path_without_certificates(
    variable: str, make: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 2: it is a ValueError of the constructor, with the variable and the path."""
    assert callable(make)
    path = make(tmp_path)
    monkeypatch.setenv(variable, str(path))

    for make_client in (lambda: MediaClient(None), SocketTransport):
        with pytest.raises(ValueError, match=variable) as info:
            make_client()
        assert str(path) in str(info.value)


def test_file_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of somebody else's is named as well."""

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setenv("SSL_CERT_FILE", "/secret/ca.pem")

    with pytest.raises(ValueError, match=r"SSL_CERT_FILE.*/secret/ca\.pem.*denied"):
        maker_for(True)


def test_lack_of_descriptors_is_no_wrong_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """That no file can be opened just now is an OSError, and blames no variable."""

    def refuse(path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    monkeypatch.setenv("SSL_CERT_FILE", "ca.pem")

    with pytest.raises(OSError, match="open files"):
        maker_for(True)


def test_certificates_of_the_environment(
    authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file, and a folder among others, give the certificates that they hold."""
    pem = authority.ca.cert_pem
    pem.write_to_path(str(tmp_path / "ca.pem"))
    pem.write_to_path(str(tmp_path / "0a1b2c3d.0"))

    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'gone'}{os.pathsep}{tmp_path}")
    by_folder = maker_for(True)()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    by_file = maker_for(True)()

    assert by_folder.verify_mode == ssl.CERT_REQUIRED
    assert len(by_file.get_ca_certs()) == 1


@pytest.mark.parametrize("verify", [False, ssl.create_default_context()])
def test_environment_that_does_not_count(
    verify: ssl.SSLContext | bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the caller says what is trusted, nobody looks at the variables."""
    monkeypatch.setenv("SSL_CERT_FILE", "gone")

    assert isinstance(maker_for(verify)(), ssl.SSLContext)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SSL_CERT_FILE", "/gone/ca.pem"), ("HTTPS_PROXY", "http://u:hunter2#@h:1")],
)
def test_command_line_says_it_in_a_line(variable: str, value: str) -> None:
    """A variable that cannot be used is one line of the command, and exit code 2."""
    command = [sys.executable, "-m", "wxmedia_async.cli", "upload", __file__]
    environment = os.environ | {"WXMEDIA_TOKEN": "TOKEN", variable: value}

    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert variable in done.stderr
    assert "hunter2" not in done.stderr
    assert done.stderr.count("\n") == 1
