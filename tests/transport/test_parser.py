from __future__ import annotations

import httpx
import pytest

from tests.transport.scripted import read_reply

HELLO = b"5\r\nhello\r\n0\r\n\r\n"


def reply(*lines: bytes, body: bytes = b"hello", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join([b"HTTP/%b 200 OK" % version, *lines, b"", body])


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(reply(b"Content-Length: 5"), id="length"),
        pytest.param(reply(b"content-length:5"), id="no-space"),
        pytest.param(reply(b"CONTENT-LENGTH: \t 5 \t "), id="spaces"),
        pytest.param(reply(b"Content-Length: 0000005"), id="zeros"),
        pytest.param(reply(b"Transfer-Encoding: Chunked", body=HELLO), id="case"),
        pytest.param(
            reply(b"Transfer-Encoding: chunked", body=b'0005;a="b"\r\n' + HELLO[3:]),
            id="extension",
        ),
        pytest.param(reply(b"Content-Length: 5", b"X:", b"Y: \xff"), id="odd-values"),
        pytest.param(reply(b"Content-Length: 5").replace(b" OK", b""), id="no-reason"),
        pytest.param(reply(b"Content-Length: 5", version=b"1.0"), id="old"),
        pytest.param(reply(), id="until-closed"),
    ],
)
def test_accepted(wire: bytes) -> None:
    """What the standard allows is understood."""
    assert read_reply([wire]).body == b"hello"


def chunked(body: bytes) -> bytes:
    return reply(b"Transfer-Encoding: chunked", body=body)


# Each makes two readers of the same bytes see two different replies. Most are
# from the tests of llhttp, some from the research on request smuggling.
REFUSED = {
    "two-lengths": reply(b"Content-Length: 5", b"Content-Length: 6"),
    "same-length-twice": reply(b"Content-Length: 5", b"Content-Length: 5"),
    "list-of-lengths": reply(b"Content-Length: 5, 5"),
    "signed-length": reply(b"Content-Length: +5"),
    "negative-length": reply(b"Content-Length: -5"),
    "hex-length": reply(b"Content-Length: 0x5"),
    "empty-length": reply(b"Content-Length:"),
    "split-length": reply(b"Content-Length: 5 5"),
    "length-overflow": reply(b"Content-Length: 18446744073709551621"),
    "length-then-chunked": reply(
        b"Content-Length: 5", b"Transfer-Encoding: chunked", body=HELLO
    ),
    "chunked-then-length": reply(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=HELLO
    ),
    "chunked-twice": reply(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=HELLO
    ),
    "chunked-not-last": reply(b"Transfer-Encoding: chunked, gzip", body=HELLO),
    "another-encoding": reply(b"Transfer-Encoding: gzip, chunked", body=HELLO),
    "identity": reply(b"Transfer-Encoding: identity"),
    "empty-encoding": reply(b"Transfer-Encoding:"),
    "nearly-chunked": reply(b"Transfer-Encoding: xchunked", body=HELLO),
    "quoted-chunked": reply(b'Transfer-Encoding: "chunked"', body=HELLO),
    "tabbed-chunked": reply(b"Transfer-Encoding:\x0bchunked", body=HELLO),
    "old-chunked": reply(b"Transfer-Encoding: chunked", body=HELLO, version=b"1.0"),
    "name-space": reply(b"Content-Length : 5"),
    "name-tab": reply(b"Content-Length\t: 5"),
    "name-control": reply(b"Content-\x01Length: 5"),
    "name-empty": reply(b": 5"),
    "name-missing": reply(b"Content-Length"),
    "folded": reply(b"Content-Length:", b" 5"),
    "folded-value": reply(b"X: a", b"\tb", b"Content-Length: 5"),
    "folded-first": reply(b" X: a", b"Content-Length: 5"),
    "value-nul": reply(b"X: a\0b", b"Content-Length: 5"),
    "value-control": reply(b"X: a\x7fb", b"Content-Length: 5"),
    "value-cr": reply(b"X: a\rContent-Length: 5"),
    "value-lf": reply(b"X: a\nContent-Length: 5"),
    "bare-lf": reply(b"Content-Length: 5").replace(b"\r\n", b"\n") + b"\r\n\r\n",
    "first-line-lf": reply(b"Content-Length: 5").replace(b"\r\n", b"\n", 1),
    "reason-nul": reply(b"Content-Length: 5").replace(b"OK", b"O\0K"),
    "reason-cr": reply(b"Content-Length: 5").replace(b"OK", b"O\rK"),
    "empty-line-first": b"\r\n" + reply(b"Content-Length: 5"),
    "space-first": b" " + reply(b"Content-Length: 5"),
    "lower-case": reply(b"Content-Length: 5").replace(b"HTTP", b"http"),
    "version-2": reply(b"Content-Length: 5", version=b"2.0"),
    "version-0.9": reply(b"Content-Length: 5", version=b"0.9"),
    "version-1.2": reply(b"Content-Length: 5", version=b"1.2"),
    "version-11": reply(b"Content-Length: 5", version=b"11"),
    "status-4-digits": reply(b"Content-Length: 5").replace(b"200", b"2000"),
    "status-2-digits": reply(b"Content-Length: 5").replace(b"200", b"20"),
    "status-0": reply(b"Content-Length: 5").replace(b"200", b"000"),
    "status-signed": reply(b"Content-Length: 5").replace(b"200", b"+20"),
    "status-glued": reply(b"Content-Length: 5").replace(b"200 ", b"200"),
    "chunk-size-missing": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-hex": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-signed": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-negative": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-underscore": chunked(b"0_5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-space": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk-size-space-first": chunked(b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-overflow": chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk-size-lf": chunked(b"5\nhello\r\n0\r\n\r\n"),
    "chunk-extension-lf": chunked(b"5;a\nhello\r\n0\r\n\r\n"),
    "chunk-extension-cr": chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "chunk-extension-nul": chunked(b"5;\0\r\nhello\r\n0\r\n\r\n"),
    "chunk-end-missing": chunked(b"5\r\nhello0\r\n\r\n"),
    "chunk-end-lf": chunked(b"5\r\nhello\n0\r\n\r\n"),
    "chunk-too-long": chunked(b"5\r\nhello!\r\n0\r\n\r\n"),
    "chunk-too-short": chunked(b"5\r\nhell\r\n0\r\n\r\n"),
    "trailer-length": chunked(b"5\r\nhello\r\n0\r\nContent Length: 1\r\n\r\n"),
    "trailer-lf": chunked(b"5\r\nhello\r\n0\r\nA: b\n\r\n"),
    "last-chunk-missing": chunked(b"5\r\nhello\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_refused(name: str, step: int) -> None:
    """Fault 11: what two readers could read in two ways is refused, cut or not."""
    wire = REFUSED[name]
    pieces = [wire[i : i + step] for i in range(0, len(wire), step)]

    with pytest.raises(httpx.RemoteProtocolError):
        read_reply(pieces)


@pytest.mark.parametrize(
    ("wire", "kept"),
    [
        (reply(b"Content-Length: 5"), True),
        (reply(b"Content-Length: 5", b"Connection: keep-alive"), True),
        (reply(b"Content-Length: 5", b"Connection: close"), False),
        (reply(b"Content-Length: 5", b"Connection: x , CLOSE"), False),
        (reply(b"Content-Length: 5", b"Connection: keep-alive, close"), False),
        (reply(b"Content-Length: 5", version=b"1.0"), False),
        (reply(b"Content-Length: 5", b"Connection: keep-alive", version=b"1.0"), True),
        (reply(b"Content-Length: 5", body=b"hello!"), False),
        (chunked(HELLO), True),
        (chunked(HELLO + b"HTTP/1.1 200 OK\r\n\r\n"), False),
        (chunked(HELLO + chunked(HELLO)), False),
        (reply(), False),
    ],
)
def test_kept_alive(wire: bytes, kept: bool) -> None:
    """A connection lives on where both sides agree on where the reply ended."""
    reading = read_reply([wire])

    assert reading.body == b"hello"
    assert reading.kept is kept
