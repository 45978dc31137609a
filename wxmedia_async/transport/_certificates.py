"""Which certificates are trusted, also where the environment says so."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import httpx

# As `openssl rehash` names them, and as OpenSSL looks for them.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")

# What OpenSSL takes out of a file.
_PEM = re.compile(
    rb"^-----BEGIN (?:(?:X509 |TRUSTED )?CERTIFICATE|X509 CRL)-----", re.MULTILINE
)

# Where the path is wrong; what this machine lacks stays an OSError.
_UNREADABLE = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ssl.SSLError,
)

_NONE = "no certificate was found in it"

Maker: TypeAlias = Callable[[], ssl.SSLContext]
"""
Makes the context of all TLS connections, which takes some 30 ms.

It raises a `ValueError` where the certificates cannot be read.
"""


def maker_for(verify: ssl.SSLContext | bool) -> Maker:
    """
    Return what makes a context, and look at what can be seen without making it.

    Args:
        verify: As for httpx, which obeys SSL_CERT_FILE, else SSL_CERT_DIR.

    Raises:
        TypeError: It is neither a context nor a bool.

        ValueError: One of these leads to no certificates.
    """
    if isinstance(verify, ssl.SSLContext):
        return lambda: verify
    if not isinstance(verify, bool):
        raise TypeError("verify is an ssl.SSLContext or a bool")
    if not verify:
        return partial(httpx.create_ssl_context, verify=False)
    # The environment of this moment counts, whenever the context is made.
    if file := os.environ.get("SSL_CERT_FILE"):
        return _from_file(file)
    if folders := os.environ.get("SSL_CERT_DIR"):
        return _from_folders(folders)
    return _from_httpx


def _from_httpx() -> ssl.SSLContext:
    with _named("the certificates that httpx comes with"):
        return httpx.create_ssl_context(trust_env=False)


def _from_file(path: str) -> Maker:
    name = f"SSL_CERT_FILE is {path!r}"
    with _named(name):
        if not _PEM.search(Path(path).read_bytes()):
            raise ValueError(f"{name}: {_NONE}")

    def make() -> ssl.SSLContext:
        with _named(name):
            return ssl.create_default_context(cafile=path)

    return make


def _from_folders(folders: str) -> Maker:
    """OpenSSL takes any folder, and then finds nothing in it."""
    reason = f"{_NONE}, by a name such as 0a1b2c3d.0"
    for folder in folders.split(os.pathsep):
        try:
            if any(_HASHED.fullmatch(path.name) for path in Path(folder).iterdir()):
                return partial(ssl.create_default_context, capath=folders)
        except _UNREADABLE as error:
            reason = _reason(error)
    raise ValueError(f"SSL_CERT_DIR is {folders!r}: {reason}")


@contextmanager
def _named(name: str) -> Generator[None]:
    try:
        yield
    except _UNREADABLE as error:
        reason = _reason(error)
    else:
        return
    raise ValueError(f"{name}: {reason}")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return _NONE
    return error.strerror or type(error).__name__
