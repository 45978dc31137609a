from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from wxmedia_async.transport._origin import Origin, origin_of
from wxmedia_async.transport._request import Outgoing, Writer


class Empty(httpx.AsyncByteStream):
    """A stream of nothing."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        return
        yield b""


def prepared_from(request: httpx.Request) -> Outgoing:
    return Writer().outgoing(
        request.method,
        request.url,
        request.headers.raw,
        request.stream,
        request.extensions,
    )


def prepared(
    method: str = "GET",
    url: str = "http://x/",
    headers: list[tuple[bytes, bytes]] | None = None,
    content: bytes | httpx.AsyncByteStream | None = None,
) -> Outgoing:
    request = httpx.Request(method, url, headers=headers or [], content=content)
    return prepared_from(request)


def test_head() -> None:
    """A head is the request line, and each header as it was given."""
    headers = [(b"X-Odd", b"a \t\xff b"), (b"X-Empty", b"")]

    head = prepared("GET", "http://x:81/a%20b?c=d#e", headers).head

    assert head == (
        b"GET /a%20b?c=d HTTP/1.1\r\n"
        b"Host: x:81\r\nX-Odd: a \t\xff b\r\nX-Empty: \r\n\r\n"
    )


@pytest.mark.parametrize(
    "header",
    [
        pytest.param((b"X", b"a\r\nY: b"), id="another-header"),
        pytest.param((b"X", b"a\r\n\r\nGET / HTTP/1.1"), id="another-request"),
        pytest.param((b"X: a\r\nY", b"b"), id="in-a-name"),
        pytest.param((b"X", b"a\nb"), id="lf"),
        pytest.param((b"X", b"a\rb"), id="cr"),
        pytest.param((b"X", b"a\0b"), id="nul"),
        pytest.param((b"X", b"a\x7fb"), id="control"),
        pytest.param((b"X", b" a"), id="leading-space"),
        pytest.param((b"X", b"a\t"), id="trailing-tab"),
        pytest.param((b"X", b"a\n"), id="trailing-lf"),
        pytest.param((b"X y", b"a"), id="space-in-a-name"),
        pytest.param((b"X:", b"a"), id="colon-in-a-name"),
        pytest.param((b"", b"a"), id="no-name"),
        pytest.param((b"\xff", b"a"), id="name-beyond-ascii"),
    ],
)
def test_illegal_header(header: tuple[bytes, bytes]) -> None:
    """Fault 18: a header that would be read as something else is not sent."""
    with pytest.raises(httpx.LocalProtocolError, match="illegal"):
        prepared(headers=[header])


@pytest.mark.parametrize("method", ["", "GET /x", "G\r\nET", "GÉT"])
def test_illegal_method(method: str) -> None:
    """A method is a token."""
    with pytest.raises(httpx.LocalProtocolError, match="illegal"):
        prepared(method)


@pytest.mark.parametrize("target", [b"/a b", b"/a\r\nX: y", b"/\xff"])
def test_illegal_target(target: bytes) -> None:
    """Fault 18: a target that holds a space or a line end is not sent."""
    request = httpx.Request("GET", "http://x/", extensions={"target": target})

    with pytest.raises(httpx.LocalProtocolError, match="illegal"):
        prepared_from(request)


def test_another_target() -> None:
    """The target can be another than the URL's."""
    request = httpx.Request("OPTIONS", "http://x/", extensions={"target": b"*"})

    assert prepared_from(request).head.startswith(b"OPTIONS * HTTP/1.1\r\n")


LENGTH = b"Content-Length"
CHUNKED = b"Transfer-Encoding", b"chunked"


@pytest.mark.parametrize(
    ("headers", "content"),
    [
        pytest.param([(LENGTH, b"1"), (LENGTH, b"1")], Empty(), id="two-lengths"),
        pytest.param([(LENGTH, b"1"), CHUNKED], Empty(), id="length-and-chunked"),
        pytest.param([CHUNKED, CHUNKED], Empty(), id="chunked-twice"),
        pytest.param([(b"Transfer-Encoding", b"gzip")], Empty(), id="gzip"),
        pytest.param([(LENGTH, b"+1")], Empty(), id="signed"),
        pytest.param([(LENGTH, b"1" * 19)], Empty(), id="huge"),
        pytest.param([(LENGTH, b"2")], b"a", id="longer-than-the-body"),
        pytest.param([(LENGTH, b"0")], b"a", id="shorter-than-the-body"),
    ],
)
def test_framing(
    headers: list[tuple[bytes, bytes]], content: bytes | httpx.AsyncByteStream
) -> None:
    """A request whose body could be read in two ways is not sent."""
    request = httpx.Request("POST", "http://x/", headers=[(b"Host", b"x"), *headers])
    request.stream = (
        httpx.ByteStream(content) if isinstance(content, bytes) else content
    )

    with pytest.raises(httpx.LocalProtocolError):
        prepared_from(request)


@pytest.mark.parametrize("hosts", [[], [(b"Host", b"x"), (b"Host", b"y")]])
def test_host(hosts: list[tuple[bytes, bytes]]) -> None:
    """A request has one Host header, neither none nor two."""
    request = httpx.Request("GET", "http://x/")
    request.headers = httpx.Headers(hosts)

    with pytest.raises(httpx.LocalProtocolError, match="Host"):
        prepared_from(request)


def test_body_of_a_sync_client() -> None:
    """A stream that cannot be read asynchronously is refused."""

    class Sync(httpx.SyncByteStream):
        """Nothing to iterate."""

    request = httpx.Request("POST", "http://x/", headers={"Host": "x"}, stream=Sync())

    with pytest.raises(httpx.LocalProtocolError, match="async"):
        prepared_from(request)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://x.test/", Origin(False, "x.test", 80, "x.test")),
        ("https://x.test./", Origin(True, "x.test.", 443, "x.test")),
        ("https://x.test:8443/", Origin(True, "x.test", 8443, "x.test")),
        ("http://[::1]:81/", Origin(False, "::1", 81, "::1")),
        ("http://中国.icom.museum/", None),
    ],
)
def test_origin(url: str, origin: Origin | None) -> None:
    """A request goes to the host and port of its URL, international ones too."""
    name = "xn--fiqs8s.icom.museum"
    expected = origin or Origin(False, name, 80, name)

    assert origin_of(httpx.URL(url), {}) == expected


@pytest.mark.parametrize("url", ["ftp://x/", "/relative", "file:///etc/passwd"])
def test_unsupported(url: str) -> None:
    """Nothing but http and https is spoken, and the URL is not in the error."""
    with pytest.raises(httpx.UnsupportedProtocol, match="the URL is no"):
        origin_of(httpx.URL(url), {})
