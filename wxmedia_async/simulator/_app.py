"""Simulator: the service, as an ASGI application."""

from __future__ import annotations

import json
import re
import secrets
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

import anyio

from .._platforms import OFFICIAL_ACCOUNT, Limit, Platform
from . import _replies
from ._faults import Call, Fault, Faults, InFlight, is_status
from ._form import MediaForm, NotAForm
from ._media import Shelf, StoredMedia, new_file
from ._requests import Receive, Scope, SeenRequest, Send, whole_body
from ._tokens import OVERLAP, Tokens

if TYPE_CHECKING:
    from .._client import MediaClient

_MAX_JSON = 1024 * 1024
_MOST_REQUESTS = 10_000
_RANGE = re.compile(r"bytes=(\d+)-(\d+)", re.ASCII)
_WITHOUT_RANGE = 20 * 1024 * 1024
_LINK = "/vweixinp/"
_DRIP = 0.05

Handler = Callable[[SeenRequest, Scope, Receive, Send], Awaitable[None]]


class Simulator:
    """
    Behaves like WeChat's service for temporary media; for tests.

    An ASGI application: `client()` wires a client to it in process, and
    ``wxmedia simulate`` serves it on a port. It keeps media for three days and
    tokens for two hours, on a clock that tests can move.

    Args:
        platform: Whose dialect it speaks, and whose limits it keeps. Without
            limits it takes everything.

        appid: The only one that it knows; None: any will do.

        secret: The only one that it accepts; None: any will do.

        clock: Gives the time in seconds.

    Attributes:
        token_fetches: Calls of token endpoints that gave a token.

        requests: The latest 10 000 requests.

        sent: The customer messages that were sent.

        video_links: Whether a video is answered by a link to it.

        open_access: Whether calls without a token are let through, as within
            Cloud Hosting.

        capacity: Media calls at once, above which all are refused; None: any.

        latency: Seconds that each media call takes.
    """

    def __init__(
        self,
        platform: Platform = OFFICIAL_ACCOUNT,
        *,
        appid: str | None = None,
        secret: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.platform = platform
        self.token_fetches = 0
        self.requests: deque[SeenRequest] = deque(maxlen=_MOST_REQUESTS)
        self.sent: list[Mapping[str, Any]] = []
        self.video_links = not platform.wecom
        self.open_access = False
        self.capacity: int | None = None
        self.latency = 0.0
        self._appid = appid
        self._secret = secret
        self._tokens = Tokens(clock)
        self._shelf = Shelf(clock)
        # Whoever forgets to close it is not to be warned of temporary files.
        weakref.finalize(self, self._shelf.clear)
        self._faults = Faults()
        self._in_flight = InFlight()
        self._routes: dict[tuple[str, str], Handler] = {
            ("POST", "/cgi-bin/media/upload"): self._upload,
            ("GET", "/cgi-bin/media/get"): self._download,
            ("HEAD", "/cgi-bin/media/get"): self._download,
            ("GET", "/cgi-bin/media/get/jssdk"): self._download,
            ("HEAD", "/cgi-bin/media/get/jssdk"): self._download,
            ("POST", "/cgi-bin/stable_token"): self._stable_token,
            ("GET", "/cgi-bin/token"): self._token,
            ("GET", "/cgi-bin/gettoken"): self._corp_token,
            ("POST", "/cgi-bin/message/custom/send"): self._send_message,
        }

    def __repr__(self) -> str:
        return f"<Simulator of {self.platform.name}, {len(self.media)} media>"

    @property
    def media(self) -> Mapping[str, StoredMedia]:
        """What is stored, by media_id."""
        return self._shelf.media

    @property
    def in_flight_peak(self) -> int:
        """The most media calls that ran at a time, headers and body."""
        return self._in_flight.peak

    def put(
        self, content: bytes, type: str = "image", filename: str = "media.jpg"
    ) -> str:
        """Store a media, as if a customer had sent it; return its media_id."""
        file = new_file()
        file.write(content)
        return self._shelf.add(file, type, filename, "")

    def fail(self, n: int, fault: Fault, on: Call = "download") -> None:
        """
        Let the next *n* calls fail.

        Args:
            n: How many.

            fault: An errcode, an HTTP status, or ``"reset"`` (the connection
                breaks), ``"truncate"`` (in the middle of the body),
                ``"stall"`` (nothing comes any more) or ``"slow"`` (a byte now
                and then).

            on: ``"upload"``, ``"download"`` or ``"token"``.
        """
        self._faults.add(n, fault, on)

    def revoke_tokens(self) -> None:
        """Refuse all tokens from now on, as if somebody had fetched another."""
        self._tokens.revoke()

    def close(self) -> None:
        """Forget all media, and the temporary files they are in."""
        self._shelf.clear()

    def client(self, **options: Any) -> MediaClient:
        """
        Return a `MediaClient` that is wired to this, in process.

        Bodies are streamed both ways. It takes the options of `MediaClient`;
        a token is given out unless there is one among them.
        """
        import httpx

        from .._client import MediaClient
        from ._inprocess import InProcess

        if "token" not in options:
            options["token"], _ = self._tokens.stable("client")
        options.setdefault("platform", self.platform)
        options.setdefault("base_url", "http://simulator")
        options.setdefault("http", httpx.AsyncClient(transport=InProcess(self)))
        return MediaClient(options.pop("token"), **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request = SeenRequest.of(scope)
        self.requests.append(request)
        route = self._routes.get((request.method, request.path))
        if route is None and request.path.startswith(_LINK):
            route = self._follow_link
        if route is None:
            await _replies.status_page(404).send(send)
            return
        await route(request, scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self.close()
                return

    async def _upload(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        with self._in_flight.one() as running:
            await anyio.sleep(self.latency)
            fault = self._faults.take("upload")
            if fault in ("reset", "stall"):
                await _break(fault, receive)
                return
            # Seen on every stack that sends chunks: not even read.
            if "content-length" not in request.headers:
                await _replies.status_page(412).send(send)
                return
            file = new_file()
            try:
                answer = await self._received(request, receive, file)
            except BaseException:
                file.close()
                raise
            refusal = self._refusal(fault, running)
            if refusal is not None:
                file.close()
            head = refusal or answer(file)
            await _stream(head, len(head.body), [head.body], fault, receive, send)

    async def _received(
        self, request: SeenRequest, receive: Receive, file: Any
    ) -> Callable[[Any], _replies.Answer]:
        """Read the body, and return what makes the answer of it."""
        try:
            form = MediaForm.of(request.headers.get("content-type", ""), file)
            async for chunk in _chunks(receive):
                form.feed(chunk)
            form.finish()
        except NotAForm:
            async for _ in _chunks(receive):
                pass
            return lambda file: self._refused(file, 41005)
        return lambda file: self._stored(request, form, file)

    def _stored(
        self, request: SeenRequest, form: MediaForm, file: Any
    ) -> _replies.Answer:
        type = request.query.get("type", "")
        code = self._token_code(request) or self._media_code(type, form, file)
        if code is not None:
            return self._refused(file, code)
        media_id = self._shelf.add(file, type, form.filename, form.content_type)
        stored = self._shelf.media[media_id]
        return _replies.uploaded(media_id, stored, wecom=self.platform.wecom)

    def _refused(self, file: Any, code: int) -> _replies.Answer:
        file.close()
        return _replies.failure(code, wecom=self.platform.wecom)

    def _media_code(self, type: str, form: MediaForm, file: Any) -> int | None:
        limits = self.platform.limits
        limit = limits.get(type) if limits else Limit(1 << 62)
        if limit is None:
            return 40005 if self.platform.wecom else 40004
        size = file.seek(0, 2) or file.tell()
        if size == 0:
            return 44001
        if size < limit.min_bytes:
            return 40006
        if size > limit.max_bytes:
            return 45001
        return _suffix_code(_replies.suffix_of(form.filename), limit)

    async def _download(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        with self._in_flight.one() as running:
            await anyio.sleep(self.latency)
            fault = self._faults.take("download")
            if fault in ("reset", "stall"):
                await _break(fault, receive)
                return
            answer = self._refusal(fault, running) or self._unavailable(request, scope)
            if answer is not None:
                await answer.send(send, method=request.method)
                return
            media_id = request.query["media_id"]
            stored = self._shelf.media[media_id]
            head = _replies.media_head(
                media_id,
                stored,
                self.platform,
                hd_voice=request.path.endswith("jssdk"),
            )
            await _send_media(request, stored, head, fault, receive, send)

    def _unavailable(
        self, request: SeenRequest, scope: Scope
    ) -> _replies.Answer | None:
        """Return what is answered instead of a media."""
        code = self._token_code(request) or self._media_id_code(request)
        if code is not None:
            return _replies.failure(code, wecom=self.platform.wecom)
        stored = self._shelf.media[request.query["media_id"]]
        if stored.type == "video" and self.video_links:
            return _replies.document({"video_url": _link(request, scope)})
        return None

    def _media_id_code(self, request: SeenRequest) -> int | None:
        if "media_id" not in request.query:
            return 41006
        stored = self._shelf.find(request.query["media_id"])
        hd_voice = request.path.endswith("jssdk")
        if hd_voice and self.platform.name == "mini_program":
            return 48001
        if stored is None or (hd_voice and stored.type != "voice"):
            return 40007
        too_large = self.platform.wecom and stored.size > _WITHOUT_RANGE
        return 830002 if too_large and "range" not in request.headers else None

    async def _follow_link(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        media_id = unquote(request.path.removeprefix(_LINK)).removesuffix(".mp4")
        stored = self._shelf.find(media_id)
        if stored is None or "vkey" not in request.query:
            await _replies.status_page(403).send(send)
            return
        head = _replies.Answer(200, (("content-type", "video/mp4"),))
        with self._in_flight.one():
            fault = self._faults.take("download")
            await _send_media(request, stored, head, fault, receive, send)

    def _refusal(self, fault: Fault | None, running: int) -> _replies.Answer | None:
        wecom = self.platform.wecom
        if self.capacity is not None and running > self.capacity:
            return _replies.failure(45033 if wecom else -1, wecom=wecom)
        if fault is None or isinstance(fault, str):
            return None
        if is_status(fault):
            return _replies.status_page(fault)
        return _replies.failure(fault, wecom=wecom)

    def _token_code(self, request: SeenRequest) -> int | None:
        token = request.query.get("access_token", "")
        if not token:
            return None if self.open_access else 41001
        state = self._tokens.state(token)
        if state == "unknown":
            return 40014 if self.platform.wecom else 40001
        return 42001 if state == "expired" else None

    async def _stable_token(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        asked = _json(await whole_body(receive, _MAX_JSON))
        if asked.get("grant_type") != "client_credential":
            await _replies.failure(40002, wecom=False).send(send)
            return
        await self._give_token(
            str(asked.get("appid", "")),
            str(asked.get("secret", "")),
            lambda family: (
                self._forced(family)
                if asked.get("force_refresh") is True
                else self._tokens.stable(family)
            ),
            send,
        )

    def _forced(self, family: str) -> tuple[str, int] | int:
        if not self._tokens.may_force():
            return 45011
        return self._tokens.fresh(family, keep_old=0.0)

    async def _token(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await self._give_token(
            request.query.get("appid", ""),
            request.query.get("secret", ""),
            lambda family: self._tokens.fresh(f"{family} token", keep_old=OVERLAP),
            send,
        )

    async def _corp_token(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        await self._give_token(
            request.query.get("corpid", ""),
            request.query.get("corpsecret", ""),
            self._tokens.stable,
            send,
        )

    async def _give_token(
        self,
        appid: str,
        secret: str,
        issue: Callable[[str], tuple[str, int] | int],
        send: Send,
    ) -> None:
        wecom = self.platform.wecom
        fault = self._faults.take("token")
        answer = self._refusal(fault, 0)
        code = self._credentials_code(appid, secret)
        if answer is None and code is None:
            issued = issue(f"{appid} {secret}" if wecom else appid)
            if isinstance(issued, tuple):
                self.token_fetches += 1
                value = {"access_token": issued[0], "expires_in": issued[1]}
                answer = _replies.success(value, wecom=wecom)
            else:
                code = issued
        await (answer or _replies.failure(code or -1, wecom=wecom)).send(send)

    def _credentials_code(self, appid: str, secret: str) -> int | None:
        if not appid:
            return 41002
        if not secret:
            return 41004
        if self._appid not in (None, appid):
            return 40013
        if self._secret in (None, secret):
            return None
        return 40001 if self.platform.wecom else 40125

    async def _send_message(
        self, request: SeenRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        message = _json(await whole_body(receive, _MAX_JSON))
        code = self._token_code(request)
        if code is not None:
            await _replies.failure(code, wecom=self.platform.wecom).send(send)
            return
        self.sent.append(message)
        await _replies.document({"errcode": 0, "errmsg": "ok"}).send(send)


def _suffix_code(suffix: str, limit: Limit) -> int | None:
    """A name needs a suffix that fits."""
    if not limit.suffixes or suffix in limit.suffixes:
        return None
    return 40113 if suffix else 40005


def _json(body: bytes) -> dict[str, Any]:
    try:
        value: object = json.loads(body)
    except ValueError:
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _link(request: SeenRequest, scope: Scope) -> str:
    host = request.headers.get("host", "simulator")
    media_id = request.query["media_id"]
    vkey = secrets.token_hex(16)
    return f"{scope['scheme']}://{host}{_LINK}{media_id}.mp4?vkey={vkey}"


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if body := message.get("body", b""):
            yield body
        more = message.get("more_body", False)


async def _send_media(
    request: SeenRequest,
    stored: StoredMedia,
    head: _replies.Answer,
    fault: Fault | None,
    receive: Receive,
    send: Send,
) -> None:
    start, stop = 0, stored.size
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is not None and ("accept-ranges", "bytes") in head.headers:
        start, stop = int(asked[1]), min(int(asked[2]) + 1, stored.size)
        shown = f"bytes {start}-{stop - 1}/{stored.size}"
        head = _replies.Answer(206, (*head.headers, ("content-range", shown)))
    pieces = () if request.method == "HEAD" else stored.pieces(start, stop)
    await _stream(head, stop - start, pieces, fault, receive, send)


async def _stream(
    head: _replies.Answer,
    length: int,
    pieces: Iterable[bytes],
    fault: Fault | None,
    receive: Receive,
    send: Send,
) -> None:
    """Send a body piece by piece, with what is to go wrong on the way."""
    await head.begin(send, length)
    left = length // 2 if fault == "truncate" else length
    for piece in pieces:
        await _send_piece(piece[:left], send, slow=fault == "slow")
        left -= len(piece[:left])
    if fault == "truncate":
        await _break(fault, receive)
        return
    await send({"type": "http.response.body", "body": b""})


async def _send_piece(piece: bytes, send: Send, *, slow: bool) -> None:
    if not slow:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
        return
    for place in range(len(piece)):
        await anyio.sleep(_DRIP)
        byte = piece[place : place + 1]
        await send({"type": "http.response.body", "body": byte, "more_body": True})


async def _break(fault: Fault, receive: Receive) -> None:
    """Stop answering: for good, or by breaking the connection."""
    if fault != "stall":
        _abort(receive)
    while (await receive())["type"] != "http.disconnect":
        pass


def _abort(receive: Receive) -> None:
    # ASGI has no word for it. uvicorn's `receive` is bound to the object that
    # holds the connection; in process nothing is, and the error tells.
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the simulator broke the connection")
    transport.abort()
