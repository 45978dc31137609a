"""h11 reads the same bytes: it may be laxer than we are, but never stricter."""

from __future__ import annotations

import re

import h11
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.transport.scripted import MAX_HEAD, Reading, read_reply

Verdict = tuple[int, list[tuple[bytes, bytes]], bytes]

# Why we refuse what h11 takes. Every one is where another reader, before or
# behind us, is known to see something else.
STRICTER = {
    "a line that ends without CR": rb"(?<!\r)\n",
    "a header over several lines": rb"\r\n[ \t]",
    "a length twice": rb"(?is)content-length:.*content-length:",
    "a list of lengths": rb"(?i)content-length:[^\r\n]*,",
    "a length and chunked": rb"(?is)content-length:.*transfer-encoding:"
    rb"|transfer-encoding:.*content-length:",
    "control characters": rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]",
    "chunked in HTTP/1.0": rb"(?is)HTTP/1\.0.*transfer-encoding",
    "another version": rb"HTTP/(?!1\.[01] )",
    "space around the size of a chunk": rb"\n[0-9A-Fa-f]+[ \t]",
    "an extension that is none": rb"\n[0-9A-Fa-f]+;",
    "a length beyond 64 bits": rb"(?i)content-length:[ \t]*[0-9]{16}",
}


def by_h11(pieces: list[bytes], method: str) -> Verdict | None:
    """Return what h11 makes of a reply; None: an error, or not whole."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    try:
        return _events(connection, [*pieces, b""])
    except h11.RemoteProtocolError:
        return None


def _events(connection: h11.Connection, pieces: list[bytes]) -> Verdict | None:
    head: h11.Response | None = None
    body = b""
    for piece in pieces:
        connection.receive_data(piece)
        while (event := connection.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return head.status_code, list(head.headers), body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    return None


def by_us(pieces: list[bytes], method: str) -> Verdict | None:
    try:
        reading: Reading = read_reply(pieces, method)
    except httpx.RemoteProtocolError:
        return None
    headers = [(name.lower(), value) for name, value in reading.headers]
    return reading.status, headers, reading.body


LINES = [
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 200",
    b"HTTP/1.0 200 OK",
    b"HTTP/1.1 204 No Content",
    b"HTTP/1.1 100 Continue",
    b"HTTP/1.1 101 Switching Protocols",
    b"HTTP/1.1 304 Not Modified",
    b"HTTP/1.1 999 ",
    b"HTTP/1.2 200 OK",
    b"Content-Length: 5",
    b"Content-Length: 0",
    b"Content-Length: 5, 5",
    b"Content-Length: 18446744073709551616",
    b"content-length:\t5 ",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: Chunked ",
    b"Connection: close",
    b"Connection: keep-alive",
    b"X: y",
    b"X:",
    b" folded",
    b"X : y",
    b"5",
    b"5;a=b",
    b"05 ",
    b"hello",
    b"0",
    b"",
    b"",
    b"",
]

wires = st.one_of(
    st.lists(st.sampled_from(LINES), min_size=2, max_size=12).map(b"\r\n".join),
    st.tuples(
        st.sampled_from(LINES[:9]),
        st.lists(st.sampled_from(LINES[9:23]), max_size=4),
        st.sampled_from(
            [
                b"hello",
                b"5\r\nhello\r\n0\r\n\r\n",
                b"2;x\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
            ]
        ),
    ).map(lambda parts: b"\r\n".join([parts[0], *parts[1], b"", parts[2]])),
)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    wire = draw(wires)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(wire)))
        gone = draw(st.integers(0, 2))
        new = draw(
            st.sampled_from(
                [b"", b"\r", b"\n", b"\0", b" ", b"\t", b":", b"1", b"\x80"]
            )
        )
        wire = wire[:at] + new + wire[at + gone :]
    return wire


def explained(wire: bytes) -> list[str]:
    return [why for why, pattern in STRICTER.items() if re.search(pattern, wire)]


def cut(wire: bytes, places: set[int]) -> list[bytes]:
    ends = [*sorted(place for place in places if place < len(wire)), len(wire)]
    return [wire[a:b] for a, b in zip([0, *ends], ends, strict=False)]


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(
    wire=mangled(),
    places=st.sets(st.integers(1, 80), max_size=4),
    method=st.sampled_from(["GET", "HEAD"]),
)
def test_against_h11(wire: bytes, places: set[int], method: str) -> None:
    """We read a reply as h11 does, or refuse it for a reason that we can name."""
    pieces = cut(wire, places)

    ours, theirs = by_us(pieces, method), by_h11(pieces, method)

    if ours is None:
        assert theirs is None or explained(wire)
    else:
        assert ours == theirs


@settings(max_examples=300, deadline=None, derandomize=True)
@given(wire=mangled(), places=st.sets(st.integers(1, 80), max_size=20))
def test_cuts_change_nothing(wire: bytes, places: set[int]) -> None:
    """A reply means the same however the network cuts it."""
    assert by_us(cut(wire, places), "GET") == by_us([wire], "GET")


@pytest.mark.parametrize("why", STRICTER)
def test_reasons(why: str) -> None:
    """Each reason to be stricter than h11 is one that occurs."""
    wire = EXAMPLES[why]

    assert by_h11([wire], "GET") is not None
    assert by_us([wire], "GET") is None
    assert why in explained(wire)


HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"

EXAMPLES = {
    "a line that ends without CR": HEAD + b"X: y\n\r\n",
    "a header over several lines": HEAD + b"X: y\r\n z\r\n\r\n",
    "a length twice": HEAD + b"Content-Length: 0\r\n" * 2 + b"\r\n",
    "a list of lengths": HEAD + b"Content-Length: 0, 0\r\n\r\n",
    "a length and chunked": HEAD + b"Content-Length: 9\r\n" + CHUNKED + b"\r\n" + HELLO,
    "control characters": HEAD + b"X: \x01\r\n\r\n",
    "chunked in HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n" + HELLO,
    "another version": b"HTTP/1.2 200 OK\r\n\r\n",
    "space around the size of a chunk": HEAD + CHUNKED + b"\r\n5 " + HELLO[1:],
    "an extension that is none": HEAD + CHUNKED + b"\r\n5;a b" + HELLO[1:],
    "a length beyond 64 bits": b"HTTP/1.1 304 Not Modified\r\n"
    b"Content-Length: 18446744073709551616\r\n\r\n",
}
