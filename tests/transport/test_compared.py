from __future__ import annotations

import httpx
import pytest

from tests.transport.servers import answering_and_closing, fetch, request_to, serving
from wxmedia_async.transport import SocketTransport

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"Content-Length: 5\r\n"

# Both give the same status, headers and body, or the same class of error.
SAME = {
    "length": OK + LENGTH + b"\r\nhello",
    "length-zero": OK + b"Content-Length: 0\r\n\r\n",
    "length-short": OK + LENGTH + b"\r\nhell",
    "length-missing-body": OK + LENGTH + b"\r\n",
    "length-surplus": OK + LENGTH + b"\r\nhello, world",
    "length-negative": OK + b"Content-Length: -5\r\n\r\nhello",
    "length-no-number": OK + b"Content-Length: five\r\n\r\nhello",
    "length-hex": OK + b"Content-Length: 0x5\r\n\r\nhello",
    "lengths-differ": OK + LENGTH + b"Content-Length: 6\r\n\r\nhello!",
    "lengths-differ-in-list": OK + b"Content-Length: 5, 6\r\n\r\nhello!",
    "closed": OK + b"\r\nhello",
    "closed-empty": OK + b"\r\n",
    "closed-old": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "old-length": b"HTTP/1.0 200 OK\r\n" + LENGTH + b"\r\nhello",
    "chunked": CHUNKED + b"5\r\nhello\r\n0\r\n\r\n",
    "chunked-pieces": CHUNKED + b"2\r\nhe\r\n03\r\nllo\r\n000\r\n\r\n",
    "chunked-upper": CHUNKED + b"A\r\nhellohello\r\n0\r\n\r\n",
    "chunked-extension": CHUNKED + b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n",
    "chunked-trailer": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "chunked-empty": CHUNKED + b"0\r\n\r\n",
    "chunked-cut-in-size": CHUNKED + b"5",
    "chunked-cut-in-data": CHUNKED + b"5\r\nhel",
    "chunked-cut-after-data": CHUNKED + b"5\r\nhello\r\n",
    "chunked-cut-before-end": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "chunked-no-size": CHUNKED + b"\r\nhello",
    "chunked-bad-size": CHUNKED + b"xyz\r\nhello\r\n0\r\n\r\n",
    "chunked-huge-size": CHUNKED + b"f" * 30 + b"\r\nhello",
    "chunked-too-long": CHUNKED + b"5\r\nhello!\r\n0\r\n\r\n",
    "chunked-surplus": CHUNKED + b"5\r\nhello\r\n0\r\n\r\nmore",
    "unknown-encoding": OK + b"Transfer-Encoding: gzip\r\n\r\nhello",
    "two-encodings": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "no-content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "no-content-length": b"HTTP/1.1 204 No Content\r\n" + LENGTH + b"\r\nhello",
    "not-modified": b"HTTP/1.1 304 Not Modified\r\n" + LENGTH + b"\r\n",
    "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + OK + LENGTH + b"\r\nhello",
    "two-interim": b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" * 2
    + OK
    + LENGTH
    + b"\r\nhello",
    "interim-only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no-reason": b"HTTP/1.1 200\r\n" + LENGTH + b"\r\nhello",
    "empty-reason": b"HTTP/1.1 200 \r\n" + LENGTH + b"\r\nhello",
    "high-status": b"HTTP/1.1 799 What\r\n" + LENGTH + b"\r\nhello",
    "same-header-twice": OK + b"X: a\r\nX: b\r\n" + LENGTH + b"\r\nhello",
    "latin-header": OK + b"X: \xe4\r\n" + LENGTH + b"\r\nhello",
    "space-before-colon": OK + b"Content-Length : 5\r\n\r\nhello",
    "no-colon": OK + b"Content-Length 5\r\n\r\nhello",
    "nul-in-header": OK + b"X: \0\r\n" + LENGTH + b"\r\nhello",
    "nothing": b"",
    "half-a-line": b"HTTP/1.1 20",
    "half-a-head": OK + b"Content-Le",
    "bad-status": b"HTTP/1.1 abc OK\r\n\r\n",
    "html": b"<html>\r\n\r\n</html>",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "head-of-200-kB": OK + b"X: " + b"y" * 200_000 + b"\r\n\r\n",
}

# We refuse what httpx takes.
STRICTER = {
    "same-length-twice": OK + LENGTH * 2 + b"\r\nhello",
    "same-length-in-list": OK + b"Content-Length: 5, 5\r\n\r\nhello",
    "length-and-chunked": OK + LENGTH + CHUNKED[len(OK) :] + b"5\r\nhello\r\n0\r\n\r\n",
    "bare-lf": OK.replace(b"\r", b"") + b"Content-Length: 5\n\nhello\r\n\r\n",
    "folded": OK + b"X: a\r\n b\r\n" + LENGTH + b"\r\nhello",
    "control": OK + b"X: \x01\r\n" + LENGTH + b"\r\nhello",
    "5000-headers": OK + b"X: y\r\n" * 5_000 + LENGTH + b"\r\nhello",
    "version-2": b"HTTP/2.0 200 OK\r\n" + LENGTH + b"\r\nhello",
    "old-chunked": b"HTTP/1.0" + CHUNKED[8:] + b"5\r\nhello\r\n0\r\n\r\n",
}

Outcome = tuple[int, list[tuple[bytes, bytes]], bytes] | type[Exception]


async def outcome(transport: httpx.AsyncBaseTransport, wire: bytes) -> Outcome:
    with serving(answering_and_closing(wire)) as server:
        try:
            response = await fetch(transport, request_to(server.url))
        except httpx.TransportError as error:
            return type(error)
        return response.status_code, response.headers.raw, response.content


@pytest.mark.parametrize("name", SAME)
async def test_same(transport: SocketTransport, name: str) -> None:
    """Whoever knows httpx's own transport meets no surprise."""
    async with httpx.AsyncHTTPTransport(verify=False) as stock:
        theirs = await outcome(stock, SAME[name])

    assert await outcome(transport, SAME[name]) == theirs


@pytest.mark.parametrize("name", STRICTER)
async def test_stricter(transport: SocketTransport, name: str) -> None:
    """Faults 8 and 11: what others could read differently is refused."""
    async with httpx.AsyncHTTPTransport(verify=False) as stock:
        theirs = await outcome(stock, STRICTER[name])

    assert not isinstance(theirs, type)
    assert await outcome(transport, STRICTER[name]) is httpx.RemoteProtocolError
