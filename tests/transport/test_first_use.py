"""What is made when it is first used, and not when a client is."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sockets.server import Script, Server, always, client_to, whole
from tests.transport.conftest import Authority
from wxmedia_async import MediaClient, RetryPolicy
from wxmedia_async.transport import SocketTransport, _own

PATIENT = RetryPolicy(attempts=3)


@pytest.fixture(autouse=True)
def _no_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["sockets", "httpx"])
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Our sockets, and httpx's transport in their place."""
    stack: str = request.param
    if stack == "httpx":
        monkeypatch.setattr(_own, "supported", lambda: False)
    return stack


@pytest.fixture(scope="module")
def serving(authority: Authority) -> ssl.SSLContext:
    return authority.server("127.0.0.1")


@contextmanager
def making(
    monkeypatch: pytest.MonkeyPatch, failure: Exception | None = None
) -> Iterator[list[object]]:
    """Count the contexts that are made, and let them fail."""
    made = list[object]()
    create = httpx.create_ssl_context

    def creating(verify: Any = True, **options: Any) -> ssl.SSLContext:
        made.append(verify)
        if failure is not None:
            raise failure
        return create(False, **options)

    monkeypatch.setattr(httpx, "create_ssl_context", creating)
    yield made


def no_certificates() -> Exception:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def no_pem() -> Exception:
    return ssl.SSLError(1, "no certificate or crl found")


@pytest.mark.parametrize("verify", [True, False])
async def test_context_is_made_for_the_first_tls_connection(
    stack: str,
    verify: bool,
    serving: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client that is made, and one of a plain service, make none; others make one."""
    script = always(whole())
    with (
        making(monkeypatch) as made,
        Server(script) as plain,
        Server(script, tls=serving) as secure,
    ):
        async with client_to(plain, verify=verify) as client:
            await client.read("ID")
        assert not made

        async with client_to(secure, verify=verify, max_concurrency=4) as client:
            assert not made
            async with client.download_many(list("abc"), tmp_path) as outcomes:
                assert [outcome.ok async for outcome in outcomes] == [True] * 3

    assert made == [verify]


@pytest.mark.parametrize("failure", [no_certificates(), no_pem()])
async def test_context_that_cannot_be_made(
    stack: str,
    failure: Exception,
    serving: ssl.SSLContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is a ValueError of each transfer that says why, and tried once in all."""
    script: Script = always(whole())
    with making(monkeypatch, failure) as made, Server(script, tls=serving) as server:
        async with client_to(server, verify=True, retry=PATIENT) as client:
            for _ in range(3):
                with pytest.raises(ValueError, match="certificates that httpx comes"):
                    await client.read("ID")

    assert len(made) == 1
    assert not server.requests


async def test_machine_that_lacks_descriptors_for_a_moment(
    stack: str, serving: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this machine lacks just now is an OSError, and may be there the next time."""
    lack = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with Server(always(whole()), tls=serving) as server:
        async with client_to(server, verify=True) as client:
            with (
                monkeypatch.context() as patch,
                making(patch, lack),
                pytest.raises(OSError, match="open files"),
            ):
                await client.read("ID")
            with monkeypatch.context() as patch, making(patch):
                assert await client.read("ID")


@pytest.mark.parametrize("verify", [None, "ca.pem", 1, 0, object(), ssl.SSLContext])
def test_verify_of_the_wrong_kind(verify: Any) -> None:
    """What is neither a context nor a bool is refused when the client is made."""
    with pytest.raises(TypeError, match="verify"):
        MediaClient(None, verify=verify)
    with pytest.raises(TypeError, match="verify"):
        SocketTransport(verify=verify)


async def test_environment_when_the_client_was_made(
    serving: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variables count as they were then, whenever the context is made."""
    with Server(always(whole()), tls=serving) as server:
        async with client_to(server, verify=True) as client:
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone"))
            with making(monkeypatch):
                assert await client.read("ID")


async def test_transport_is_closed_before_its_first_use(stack: str) -> None:
    """A stack that was not used before the end is not made after it."""
    transport = _own.OwnTransport(verify=False)
    await transport.aclose()

    with pytest.raises(RuntimeError, match="closed"):
        await transport.handle_async_request(httpx.Request("GET", "http://127.0.0.1:1"))
