from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator

import attrs
import pytest
import trustme

from wxmedia_async.transport import SocketTransport


@pytest.fixture
async def transport(anyio_backend: object) -> AsyncGenerator[SocketTransport]:
    async with SocketTransport(verify=False) as transport:
        yield transport


@attrs.frozen
class Authority:
    """A certificate authority, and what to trust it with."""

    ca: trustme.CA

    def client(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context

    def server(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names).configure_cert(context)
        return context


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority(trustme.CA())
