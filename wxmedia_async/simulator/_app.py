"""Simulator: the service, as an ASGI application."""

from __future__ import annotations

import re
import secrets
import time
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import IO, TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, unquote

import anyio
import attrs

from .._platforms import OFFICIAL_ACCOUNT, Limit, Platform
from . import _replies
from ._faults import Call, Fault, Faults, InFlight, is_status
from ._form import MediaForm
from ._media import Shelf, StoredMedia, new_file
from ._replies import Answer
from ._requests import TOO_LONG, Caller, Receive, Scope, SeenRequest, Send
from ._sending import reset, send_answer
from ._token_endpoints import TokenEndpoints, parsed
from ._tokens import Tokens

if TYPE_CHECKING:
    import httpx

    from .. import MediaClient

_MOST_KEPT = 10_000
# https://developers.weixin.qq.com/doc/offiaccount/Message_Management/Service_Center_messages.html
# has no number; this is more than any message needs.
_LONGEST_MESSAGE = 64 * 1024
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})", re.ASCII)
_MOST_AT_ONCE = 20 * 1024 * 1024
_LINK = "/vweixinp/"
_ANY_SIZE = Limit(1 << 62, min_bytes=0)

Handler: TypeAlias = Callable[[Caller], Awaitable[Answer]]


@attrs.frozen
class _Route:
    handler: Handler
    call: Call | None = None
    errcodes: bool = True


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
        requests: The latest 10 000 requests.

        sent: The latest 10 000 customer messages that were sent.

        video_links: Whether a video is answered by a link to it.

        open_access: Whether calls without a token are let through, as within
            Cloud Hosting.

        capacity: Media calls at once, above which all are refused; None: any.

        latency: Seconds before each media call is looked at.
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
        self.requests: deque[SeenRequest] = deque(maxlen=_MOST_KEPT)
        self.sent: list[Mapping[str, Any]] = []
        self.video_links: bool = not platform.wecom
        self.open_access = False
        self.capacity: int | None = None
        self.latency: float = 0.0
        self._tokens = Tokens(clock)
        self._token_endpoints = TokenEndpoints(
            self._tokens, appid, secret, platform.wecom
        )
        self._shelf = Shelf(clock)
        # Whoever forgets to close it is not to be warned of temporary files.
        weakref.finalize(self, self._shelf.clear)
        self._faults = Faults()
        self._in_flight = InFlight()
        self._routes = self._routes_of_platform()

    def _routes_of_platform(self) -> dict[tuple[str, str], _Route]:
        download = _Route(self._download, "download")
        routes = {
            ("POST", "/cgi-bin/media/upload"): _Route(self._upload, "upload"),
            ("GET", "/cgi-bin/media/get"): download,
            ("HEAD", "/cgi-bin/media/get"): download,
            ("GET", "/cgi-bin/media/get/jssdk"): download,
            ("HEAD", "/cgi-bin/media/get/jssdk"): download,
        }
        tokens = self._token_endpoints
        if self.platform.wecom:
            routes["GET", "/cgi-bin/gettoken"] = _Route(tokens.corp_token, "token")
            routes["POST", "/cgi-bin/message/send"] = _Route(self._send_message)
        else:
            routes["POST", "/cgi-bin/stable_token"] = _Route(tokens.stable, "token")
            routes["GET", "/cgi-bin/token"] = _Route(tokens.token, "token")
            routes["POST", "/cgi-bin/message/custom/send"] = _Route(self._send_message)
        return routes

    def __repr__(self) -> str:
        return f"<Simulator of {self.platform.name}, {len(self.media)} media>"

    @property
    def media(self) -> Mapping[str, StoredMedia]:
        """What is stored, by media_id."""
        return self._shelf

    @property
    def token_fetches(self) -> int:
        """Calls of token endpoints that gave a token."""
        return self._token_endpoints.fetches

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

    def transport(self) -> httpx.AsyncBaseTransport:
        """
        Return a transport that leads to this, in process.

        For applications that build their own client; bodies are streamed both
        ways: ``httpx.AsyncClient(transport=simulator.transport())``.
        """
        from ._inprocess import InProcess

        return InProcess(self)

    def client(self, **options: Any) -> MediaClient:
        """
        Return a `MediaClient` that is wired to this, in process.

        Bodies are streamed both ways. It takes the options of `MediaClient`;
        a token is given out unless there is one among them.
        """
        import httpx

        from .. import MediaClient

        if "token" not in options:
            options["token"], _ = self._tokens.stable("client")
        options.setdefault("platform", self.platform)
        options.setdefault("base_url", "http://simulator")
        options.setdefault("http", httpx.AsyncClient(transport=self.transport()))
        return MediaClient(options.pop("token"), **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        request = SeenRequest.of(scope)
        self.requests.append(request)
        route = self._route_of(request)
        root = scope.get("root_path", "").rstrip("/")
        caller = Caller(request, scope["scheme"], root, receive, send)
        if route.call not in ("upload", "download"):
            await self._answer(caller, route)
            return
        with self._in_flight.one() as running:
            await anyio.sleep(self.latency)
            await self._answer(caller, route, running)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                self.close()
                return

    def _route_of(self, request: SeenRequest) -> _Route:
        if request.path == TOO_LONG:
            return _Route(_too_long)
        if request.path.startswith(_LINK) and request.method in ("GET", "HEAD"):
            # It leads to a file server, which knows nothing of errcodes.
            return _Route(self._follow_link, "download", errcodes=False)
        return self._routes.get((request.method, request.path), _Route(_not_found))

    async def _answer(self, caller: Caller, route: _Route, running: int = 0) -> None:
        fault = None if route.call is None else self._faults.take(route.call)
        if fault == "reset":
            await reset(caller)
        elif fault == "stall":
            await caller.disconnected()
        else:
            refusal = self._refusal(route, fault, running)
            answer = (
                await _refuse(caller, refusal)
                if refusal is not None
                else await route.handler(caller)
            )
            await send_answer(answer, caller, fault)

    def _refusal(
        self, route: _Route, fault: Fault | None, running: int
    ) -> Answer | None:
        if self.capacity is not None and running > self.capacity:
            fault = 45033 if self.platform.wecom else -1
        if not isinstance(fault, int):
            return None
        if is_status(fault):
            return _replies.status_page(fault)
        return self._failure(fault) if route.errcodes else _replies.status_page(503)

    def _failure(self, code: int) -> Answer:
        return _replies.failure(code, wecom=self.platform.wecom)

    async def _upload(self, caller: Caller) -> Answer:
        headers = caller.request.headers
        # Seen on every stack that sends chunks: not even read.
        if "content-length" not in headers or "transfer-encoding" in headers:
            return _replies.status_page(412)
        form = MediaForm.of(headers.get("content-type", ""), new_file())
        try:
            async for chunk in caller.chunks():
                form.feed(chunk)
            answer = self._stored(caller.request, form)
        except BaseException:
            form.file.close()
            raise
        return answer

    def _stored(self, request: SeenRequest, form: MediaForm) -> Answer:
        type = request.query.get("type", "")
        code = self._token_code(request) or self._media_code(type, form)
        if code is not None:
            form.file.close()
            return self._failure(code)
        media_id = self._shelf.add(form.file, type, form.filename, form.content_type)
        stored = self._shelf[media_id]
        return _replies.uploaded(media_id, stored, wecom=self.platform.wecom)

    def _media_code(self, type: str, form: MediaForm) -> int | None:
        if not form.complete:
            return 41005
        limits = self.platform.limits
        limit = limits.get(type) if limits else _ANY_SIZE
        if limit is None:
            return 40005 if self.platform.wecom else 40004
        return _size_code(form.file, limit) or _suffix_code(form.filename, limit)

    async def _download(self, caller: Caller) -> Answer:
        request = caller.request
        code = self._token_code(request) or self._media_id_code(request)
        if code is not None:
            return self._failure(code)
        media_id = request.query["media_id"]
        stored = self._shelf[media_id]
        if stored.type == "video" and self.video_links:
            return _replies.document({"video_url": _link(caller)})
        hd_voice = request.path.endswith("jssdk")
        whole = _replies.media(media_id, stored, self.platform, hd_voice=hd_voice)
        asked = self._range(request, stored)
        return whole if asked is None else _replies.part(whole, stored, asked)

    def _media_id_code(self, request: SeenRequest) -> int | None:
        if "media_id" not in request.query:
            return 41006
        stored = self._shelf.get(request.query["media_id"])
        hd_voice = request.path.endswith("jssdk")
        if hd_voice and self.platform.name == "mini_program":
            return 48001
        if stored is None or (hd_voice and stored.type != "voice"):
            return 40007
        asked = self._range(request, stored)
        length = stored.size if asked is None else len(asked)
        # https://developer.work.weixin.qq.com/document/path/90254
        return 830002 if self.platform.wecom and length > _MOST_AT_ONCE else None

    def _range(self, request: SeenRequest, stored: StoredMedia) -> range | None:
        """Return the places that are asked for; None: all, as there are no ranges."""
        asked = _RANGE.fullmatch(request.headers.get("range", ""))
        if asked is None or not self.platform.wecom:
            return None
        start, last = int(asked[1]), int(asked[2] or stored.size)
        return range(start, min(last + 1, stored.size)) if start <= last else None

    async def _follow_link(self, caller: Caller) -> Answer:
        request = caller.request
        media_id = unquote(request.path.removeprefix(_LINK)).removesuffix(".mp4")
        stored = self._shelf.get(media_id)
        if stored is None or "vkey" not in request.query:
            return _replies.status_page(403)
        return _replies.linked(stored)

    def _token_code(self, request: SeenRequest) -> int | None:
        token = request.query.get("access_token", "")
        if not token:
            return None if self.open_access else 41001
        state = self._tokens.state(token)
        if state == "unknown":
            return 40014 if self.platform.wecom else 40001
        return 42001 if state == "expired" else None

    async def _send_message(self, caller: Caller) -> Answer:
        body = await caller.body(_LONGEST_MESSAGE)
        code = self._token_code(caller.request)
        if code is None and len(body) > _LONGEST_MESSAGE:
            code = 45002
        if code is not None:
            return self._failure(code)
        self.sent.append(parsed(body))
        del self.sent[:-_MOST_KEPT]
        return _replies.document({"errcode": 0, "errmsg": "ok"})


async def _not_found(caller: Caller) -> Answer:
    return _replies.status_page(404)


async def _too_long(caller: Caller) -> Answer:
    return await _refuse(caller, _replies.status_page(431))


async def _refuse(caller: Caller, refusal: Answer) -> Answer:
    # Whoever is still sending would not see the answer.
    await caller.skip_body()
    return refusal


def _size_code(file: IO[bytes], limit: Limit) -> int | None:
    size = file.seek(0, 2)
    if size == 0:
        return 44001
    if size < limit.min_bytes:
        return 40006
    return 45001 if size > limit.max_bytes else None


def _suffix_code(filename: str, limit: Limit) -> int | None:
    """A name needs a suffix that fits."""
    suffix = _replies.suffix_of(filename)
    if not limit.suffixes or suffix in limit.suffixes:
        return None
    return 40113 if suffix else 40005


def _link(caller: Caller) -> str:
    host = caller.request.headers.get("host", "simulator")
    media_id = caller.request.query["media_id"]
    vkey = secrets.token_hex(16)
    path = f"{quote(caller.root)}{_LINK}{media_id}.mp4"
    return f"{caller.scheme}://{host}{path}?vkey={vkey}"
