from __future__ import annotations

import subprocess
import sys

import httpx
import pytest

from tests.transport.servers import fetch, request_to
from wxmedia_async.transport import SocketTransport
from wxmedia_async.transport._origin import origin_of


@pytest.mark.parametrize(
    "port", ["0", "65536", "70000", "99999", "99999999999999999999"]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "some.test"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_port_that_is_none(
    transport: SocketTransport, scheme: str, host: str, port: str
) -> None:
    """A port beyond those of TCP is refused, and is not taken for another one."""
    with pytest.raises(httpx.LocalProtocolError, match="port"):
        await fetch(transport, request_to(f"{scheme}://{host}:{port}/"))


@pytest.mark.parametrize(
    ("url", "port"),
    [("http://a.test/", 80), ("https://a.test/", 443), ("http://a.test:65535/", 65535)],
)
def test_port(url: str, port: int) -> None:
    """Every port of TCP will do, and there is one for each scheme."""
    assert origin_of(httpx.URL(url), {}).port == port


@pytest.mark.parametrize("host", ["a%00b", "a%20b", "%F0%9F%92%A9", "a" * 300])
async def test_odd_host(transport: SocketTransport, host: str) -> None:
    """A host that is no name is an error of httpx's."""
    with pytest.raises(httpx.TransportError):
        await fetch(transport, request_to(f"http://{host}/"))


def test_scope_that_is_none() -> None:
    """So is an address in a network that nobody can name."""
    with pytest.raises(httpx.LocalProtocolError, match="name"):
        origin_of(httpx.URL("http://[fe80::1%é]/"), {})


async def test_odd_server_name(transport: SocketTransport) -> None:
    """So is a name to expect that is none."""
    request = request_to("https://127.0.0.1:9/", sni_hostname=b"\xff")

    with pytest.raises(httpx.LocalProtocolError, match="name"):
        await fetch(transport, request)


async def test_tunnel(transport: SocketTransport) -> None:
    """A tunnel would be left open behind a reply that has no body: none is made."""
    with pytest.raises(httpx.LocalProtocolError, match="tunnel"):
        await fetch(transport, request_to("http://127.0.0.1:9/", "CONNECT"))


def test_platform_that_lacks_it_all() -> None:
    """Where the system has no poll, sendfile and preadv, the module says so itself."""
    script = """
import os, select
for module, name in ((select, "poll"), (os, "sendfile"), (os, "preadv")):
    delattr(module, name)
from wxmedia_async.transport import supported
raise SystemExit(supported())
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)

    assert done.returncode == 0
