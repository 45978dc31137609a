"""What a broken or hostile server may say: replies as they should be, and worse."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from random import Random
from typing import Literal

import attrs

from tests.fakes import JPEG, TOKEN
from tests.sockets.server import Peer, Request, response

End = Literal["stays", "closes", "resets", "stalls", "drips"]

KEY = "VKEY-that-must-never-be-seen"

_ENDS: tuple[End, ...] = ("stays", "closes", "resets", "stalls", "drips")

_STATUSES = (
    *("200 OK",) * 8,
    *("206 Partial Content", "204 None", "304 Same", "412 No", "429 Slow", "403 No"),
    *("301 Moved", "302 Found", "307 Again", "300 Many", "500 Oh", "502 Bad", "503 No"),
    *("999 ?", "099 ?", "1000 ?", "2OO OK", "200", "200 \xe4\xbd\xa0\x01", "101 Up"),
)

_NUMBERS = ("0", "1", "-1", "007", "1.5", "1e3", "0x10", "+5", " 5", "9" * 9, "9" * 40)
_DATES = (
    *("Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:00 -0000", "1 Jan"),
    *("Mon, 01 Jan 2024 00:00:00 +9999999999999", "Mon, 99 Jan 2024 99:99:99 GMT"),
    *("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 0000 00:00:00"),
    *("Thu, 31 Dec 9999 23:59:59 -2359", "Sat, 01 Jan 0001 00:00:00 +2359", ","),
)
_NAMES = (
    *("a.jpg", "../../x", "/abs", "..\\x", "nul\0.jpg", "CON", ".bashrc", "", "."),
    *(
        "\u202egpj.exe",
        "n" * 5000,
        "\u804a.xlsx",
        "a\r\nb",
        "%2e%2e%2fx",
        'q"q',
        "\xe9",
    ),
)
_ODD = ("", " ", "\xe9", "\xff\xfe", "\0", ",", ";", "a=b; c", "x" * 9000, '"', "=?b?=")

_HEADERS: dict[str, Sequence[str]] = {
    "Content-Length": (*_NUMBERS, "5, 5", "", "\u0665"),
    "Transfer-Encoding": ("chunked", "gzip, chunked", "identity", "chunked, chunked"),
    "Content-Encoding": ("gzip", "identity", "br, gzip", *_ODD),
    "Content-Type": ("image/jpeg", "text/html", "application/json; a=\xe9", *_ODD),
    "Content-Range": ("bytes 0-65535/70000", "bytes 0-0/1", "bytes */5", *_ODD),
    "Connection": ("close", "keep-alive", "upgrade", *_ODD),
    "Set-Cookie": ("a=b", "a=\xe9; Path=/", "=;", "a=b; Expires=\xff", *_ODD),
    "Retry-After": (*_NUMBERS, *_DATES, *_ODD),
    "Date": (*_DATES, *_ODD),
    "WWW-Authenticate": ("Basic realm=\xe9", "Digest", *_ODD),
    "Alt-Svc": ('h3=":443"', *_ODD),
    "X-Odd": _ODD,
}

_LINKS = (
    *("file:///etc/passwd", "http://127.0.0.1:1/", "http://[::1]/", "http://[::1", ""),
    *("http://u:p@10.0.0.1/", "http://10.0.0.1:0/", "http://10.0.0.1:99999/", "//h/x"),
    *("http://\u2488\u2488/", "http://xn--/", "http://xn--\u00fc.com/", "http://\xad/"),
    *("http://a..b/", "http://" + "a" * 70 + ".com/", "http:///", "http:/x", "x:y"),
    *("http://169.254.169.254/", "http://0x7f.1/", "http://2130706433/", "http://a b/"),
    *("http://localhost/", "http://\U0001d7d9.1/", "http://[fe80::1%25eth0]/", "\n"),
    *("HTTP://WWW.EXAMPLE.TEST/?\xe9", "http://example.test:80:80/", "ftp://h/", "?"),
    *(
        "http://[v1.x]/",
        "http://%31/",
        "http://h\u3002test/",
        "\ud800",
        "http://\ud800/",
    ),
)

_VALUES: tuple[object, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 10**30, -(10**12), float("nan"), 1e308),
    *("", "0", "-1", "x", "40001", " 7 ", "\ud800", "\u202e", "a\nb", "\0", "\xe9"),
    *([], {}, [1], {"a": []}, "x" * 3000, [[[]]]),
)
_CODES = (
    *(-1, -1000, 6000, 45033, 40001, 40014, 42001, 45009, 48006, 40013, 40164, 48001),
    *(40007, 46001, 40004, 45002, 41005, 43002, 830002, 99999, 45011),
)


@attrs.frozen
class Reply:
    """
    What is sent for one request, piece by piece, and what becomes of the connection.

    Attributes:
        unread: Whether the request's body is left alone.

        drop: What drips.
    """

    pieces: tuple[bytes, ...]
    end: End = "stays"
    unread: bool = False
    drop: bytes = b"x"

    def __str__(self) -> str:
        return f"{self.end} {self.unread} " + " | ".join(map(_short, self.pieces))

    @property
    def spoils(self) -> bool:
        """Whether the connection is of no use afterwards, whatever its bytes say."""
        return self.end != "stays" or len(self.pieces) > 1 or self.unread

    def play(self, peer: Peer) -> None:
        """Send it."""
        for piece in self.pieces:
            peer.send(piece)
            if len(self.pieces) > 1:
                time.sleep(0.003)
        if self.end == "resets":
            peer.reset()
        elif self.end == "stalls":
            peer.wait_closed()
        elif self.end == "drips":
            while not peer.wait_closed(0.02):
                peer.send(self.drop)


def _short(piece: bytes) -> str:
    shown = repr(piece)
    return shown if len(shown) < 900 else f"{shown[:800]}... {len(piece)} bytes"


def sane(request: Request) -> Reply:
    """Answer as WeChat would."""
    return Reply((_Speech(Random(0), request, wild=False).whole(),))


def hostile(request: Request, seed: str) -> Reply:
    """Answer as nobody should; the same for the same *seed*."""
    random = Random(seed)
    speech = _Speech(random, request, wild=random.random() < 0.8)
    data = speech.whole()
    if speech.wild and random.random() < 0.3:
        data = _mangled(random, data)
    if random.random() < 0.7:
        return Reply((data,))
    return _delivered(random, data)


def _delivered(random: Random, data: bytes) -> Reply:
    """Send it in pieces, or not all of it, or more."""
    if random.random() < 0.5:
        data = data[: random.randrange(len(data) + 1)]
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice((0, 3))))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    drop = random.choice((b"x", b"1\r\nx\r\n", b"X: y\r\n", b"HTTP/1.1 100 Go\r\n\r\n"))
    return Reply(
        tuple(pieces), random.choice(_ENDS), unread=random.random() < 0.3, drop=drop
    )


def _mangled(random: Random, data: bytes) -> bytes:
    """Change some bytes, nearer to the beginning than to the end."""
    mangled = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        at = int(len(mangled) * random.random() ** 3)
        piece = random.choice(
            (b"", b"\0", b"\r\n", b"\n", b"\xff", b":", b" ", b'"', b"9")
        )
        mangled[at : at + random.choice((0, 1, 1, 2, 30))] = piece * random.choice(
            (1, 3)
        )
    return bytes(mangled)


@attrs.define
class _Speech:
    """One reply in the making; *wild* ones are not what was asked for."""

    random: Random
    request: Request
    wild: bool

    def whole(self) -> bytes:
        """Return a reply, after interim ones now and then."""
        final = self._final()
        if self._rarely(0.04):
            final = (
                b"HTTP/1.1 100 Continue\r\n\r\n" * self.random.choice((1, 9)) + final
            )
        if self._rarely(0.05):
            final += self.random.choice((final, b"x", b"\r\n", b"HTTP/1.1 200 OK\r\n"))
        return final

    def _final(self) -> bytes:
        body, *headers = self._body()
        if self._rarely(0.1):
            body = self.random.choice(
                (b"", b"{", b"[" * 60_000, b"9" * 5000, bytes(300_000))
            )
        headers = [*headers, *self._framed(body)]
        status = self._status(headers)
        if self._rarely(0.1):
            self.random.shuffle(headers)
            del headers[:1]
        for _ in range(self.random.choice((0, 1, 1, 3)) if self.wild else 0):
            headers.append(self._odd_header())
        if "Transfer-Encoding: chunked" in headers:
            body = (
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
            )
        lines = [line.encode("utf-8", "replace") for line in headers]
        head = response(b"", status=status)[:-2]
        return head + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body

    def _framed(self, body: bytes) -> list[str]:
        if self._rarely(0.15):
            return ["Transfer-Encoding: chunked"]
        return [] if self._rarely(0.05) else [f"Content-Length: {len(body)}"]

    def _status(self, headers: list[str]) -> str:
        if any(line.startswith("Content-Range") for line in headers):
            return "206 Partial Content"
        if not self._rarely(0.3):
            return "200 OK"
        status = self.random.choice(_STATUSES)
        if status.startswith("30"):
            headers.append(f"Location: {self._link()}")
        return status

    def _odd_header(self) -> str:
        name = self.random.choice(list(_HEADERS))
        return f"{name}: {self.random.choice(_HEADERS[name])}"

    def _body(self) -> tuple[bytes, *tuple[str, ...]]:
        if self._rarely(0.3):
            kinds = self._media, self._error, self._token, self._stored, self._page
            return self.random.choice(kinds)()
        path = self.request.target.partition("?")[0]
        if path.endswith("token"):
            return self._token()
        if path.endswith("upload"):
            return self._stored()
        if "/media/get" in path and self._rarely(0.3):
            return self._json({"video_url": self._link()})
        if "/media/get" in path or path.startswith("/v/"):
            return self._media()
        return self._json({"errcode": 0, "value": "x"})

    def _media(self) -> tuple[bytes, *tuple[str, ...]]:
        name = self.random.choice(_NAMES) if self.wild else "ID.jpg"
        form = self.random.choice(("filename", "filename*", 'x"; filename'))
        named = f'{form}="{name}"' if self.wild else f'filename="{name}"'
        headers = (
            "Content-Type: image/jpeg",
            f"Content-Disposition: attachment; {named}",
        )
        asked = self.request.header("range")
        if asked is None:
            return JPEG, *headers
        start, stop = map(int, asked.removeprefix("bytes=").split("-"))
        size = self.random.choice((len(JPEG), 70_000, 10**9)) if self.wild else 70_000
        last = min(stop, size - 1)
        body = (JPEG * 40)[start : last + 1]
        return body, *headers, f"Content-Range: bytes {start}-{last}/{size}"

    def _error(self) -> tuple[bytes, *tuple[str, ...]]:
        code = self.random.choice(_CODES)
        return self._json({"errcode": code, "errmsg": f"no {self._echo()} rid: a-1"})

    def _token(self) -> tuple[bytes, *tuple[str, ...]]:
        token = f"token-{self.random.randrange(3)}" if self.wild else TOKEN
        return self._json({"access_token": token, "expires_in": 7200, "errcode": 0})

    def _stored(self) -> tuple[bytes, *tuple[str, ...]]:
        return self._json(
            {"type": "image", "media_id": "m1", "created_at": 1_700_000_000}
        )

    def _page(self) -> tuple[bytes, *tuple[str, ...]]:
        return f"<html>No route to {self._echo()}".encode(), "Content-Type: text/html"

    def _json(self, said: dict[str, object]) -> tuple[bytes, *tuple[str, ...]]:
        for name in [*said, "errcode", "errmsg"]:
            if self._rarely(0.1):
                said[name] = self.random.choice(_VALUES)
        text = json.dumps(said, ensure_ascii=self.random.random() < 0.5)
        return text.encode(errors="surrogatepass"), "Content-Type: text/plain"

    def _link(self) -> str:
        if self._rarely(0.5):
            return self.random.choice(_LINKS)
        key = "k" if self.wild else KEY
        host = self.request.header("host")
        path = f"/v/{self.random.randrange(9)}?vkey={key}"
        return f"http://{host}{path}"

    def _echo(self) -> str:
        """Quote the request, and with it what it holds of secrets."""
        body = self.request.body[:500].decode(errors="replace")
        return self.request.target + self.random.choice(("", body))

    def _rarely(self, share: float) -> bool:
        return self.wild and self.random.random() < share
