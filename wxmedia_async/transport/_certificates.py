"""Which certificates are trusted, where the environment says so."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import httpx

# As `openssl rehash` names them, and as OpenSSL looks for them.
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")

# Where the path is wrong; what this machine lacks stays an OSError.
_UNREADABLE = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    ssl.SSLError,
)


def context_for(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    """
    Return the context of all TLS connections.

    Args:
        verify: As for httpx, which obeys SSL_CERT_FILE, else SSL_CERT_DIR.

    Raises:
        ValueError: One of these leads to no certificates.
    """
    if isinstance(verify, ssl.SSLContext):
        return verify
    if not verify:
        return httpx.create_ssl_context(verify=False)
    if file := os.environ.get("SSL_CERT_FILE"):
        return _of_file(file)
    if folders := os.environ.get("SSL_CERT_DIR"):
        _check(folders)
    return httpx.create_ssl_context(verify=True)


def _of_file(path: str) -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context(verify=True)
    except _UNREADABLE as error:
        reason = _reason(error)
    raise ValueError(f"SSL_CERT_FILE is {path!r}: {reason}")


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "no certificate was found in it"
    return error.strerror or type(error).__name__


def _check(folders: str) -> None:
    """OpenSSL takes any folder, and then finds nothing in it."""
    reason = "no certificate was found in it, by a name such as 0a1b2c3d.0"
    for folder in folders.split(os.pathsep):
        try:
            if any(_HASHED.fullmatch(path.name) for path in Path(folder).iterdir()):
                return
        except _UNREADABLE as error:
            reason = _reason(error)
    raise ValueError(f"SSL_CERT_DIR is {folders!r}: {reason}")
