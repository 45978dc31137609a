from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.fakes import (
    BASE,
    EAGER,
    JPEG,
    SECRET,
    TOKEN,
    FakeWeChat,
    client_of,
    error,
    media,
    names_in,
)
from tests.sockets.server import CONTEXT, Server, always, client_to, routes, whole
from wxmedia_async import (
    MINI_PROGRAM,
    WECOM,
    AccessToken,
    Adaptive,
    AppToken,
    ClientClosed,
    CorpToken,
    MediaClient,
    MediaError,
    MemoryUploadCache,
    RetryPolicy,
    ServerBusy,
    StaticToken,
    TokenRejected,
    TransferError,
    TransferTimeout,
)

Call = Callable[[MediaClient, Path], Awaitable[object]]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The servers are on this machine, whatever its environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


WRONG: list[dict[str, Any]] = [
    {"max_concurrency": 0},
    {"max_concurrency": -1},
    {"max_concurrency": 2.5},
    {"max_concurrency": True},
    {"base_url": ""},
    {"base_url": "api.weixin.qq.com"},
    {"base_url": "ftp://api.weixin.qq.com"},
    {"base_url": "http://"},
    {"base_url": "http://gateway.test:port"},
    {"base_url": "http://gateway.test:0"},
    {"base_url": "http://gateway.test:65536"},
    {"base_url": "http://gateway.test/?key=1"},
    {"base_url": "http://gateway.test/#top"},
    {"base_url": "http://user:secret@gateway.test"},
    {"file_io": "fast"},
    {"timeout": -1.0},
    {"timeout": 0.0},
    {"timeout": float("nan")},
    {"deadline": -1.0},
    {"deadline": 0.0},
    {"token": ""},
    {"upload_cache": MemoryUploadCache()},
]


@pytest.mark.parametrize("options", WRONG, ids=range(len(WRONG)))
def test_wrong_options(options: dict[str, Any]) -> None:
    """A client that could not work is refused when it is made."""
    others = {"verify": CONTEXT} | options
    token = others.pop("token", TOKEN)

    with pytest.raises(ValueError):  # noqa: PT011  # any of them will do
        MediaClient(token, **others)


@pytest.mark.parametrize("token", [7, object(), b"bytes", AppToken], ids=range(4))
def test_what_is_no_token(token: Any) -> None:
    """What is no token, nor gives any, is a TypeError."""
    with pytest.raises(TypeError):
        MediaClient(token, verify=CONTEXT)


@pytest.mark.parametrize(
    "options",
    [
        {"platform": "wecom"},
        {"retry": 3},
        {"rate": 5},
        {"timeout": "30"},
        {"deadline": "300"},
    ],
    ids=str,
)
def test_options_of_the_wrong_kind(options: dict[str, Any]) -> None:
    """An option of another kind is a TypeError when the client is made."""
    with pytest.raises(TypeError):
        MediaClient(TOKEN, verify=CONTEXT, **options)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"deadline": -5}], ids=str)
def test_wrong_options_of_a_child(options: dict[str, Any]) -> None:
    """with_options refuses what the constructor refuses."""
    client = MediaClient(TOKEN, verify=CONTEXT)

    with pytest.raises(ValueError, match="positive"):
        client.with_options(**options)


def test_made_without_a_loop(anyio_backend: Any) -> None:
    """A client can be made where no event loop runs, and be used in the next."""
    name, backend_options = anyio_backend
    service = FakeWeChat({"ID": JPEG})
    client = client_of(service, max_concurrency=3)
    unused = MediaClient(AppToken("wx1", SECRET), max_concurrency=Adaptive(2, 9))

    async def use() -> bytes:
        async with client, unused:
            return (await client.read("ID")).content

    content = anyio.run(use, backend=name, backend_options=backend_options)

    assert content == JPEG


def test_repr() -> None:
    """A client names its platform, and nothing secret."""
    client = MediaClient(TOKEN, platform=WECOM, verify=CONTEXT)

    assert repr(client) == "<MediaClient of wecom>"


async def upload(client: MediaClient, folder: Path) -> None:
    await client.upload(JPEG)


async def download(client: MediaClient, folder: Path) -> None:
    await client.download("ID", folder)


async def read(client: MediaClient, folder: Path) -> None:
    await client.read("ID")


async def stream(client: MediaClient, folder: Path) -> None:
    async with client.stream("ID"):
        pass


async def call(client: MediaClient, folder: Path) -> None:
    await client.call("GET", "/cgi-bin/getcallbackip")


async def upload_many(client: MediaClient, folder: Path) -> None:
    async with client.upload_many([JPEG]) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


async def download_many(client: MediaClient, folder: Path) -> None:
    async with client.download_many(["ID"], folder) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


async def enter(client: MediaClient, folder: Path) -> None:
    async with client:
        pass


async def fetch_token(client: MediaClient, folder: Path) -> None:
    assert client.token is not None
    await client.token.get()


TRANSFERS: list[Call] = [upload, download, read, stream, upload_many, download_many]
CALLS: list[Call] = [*TRANSFERS, call, enter, fetch_token]


@pytest.mark.parametrize("made_by", ["constructor", "with_options"])
@pytest.mark.parametrize("work", CALLS)
async def test_used_after_close(work: Call, made_by: str, tmp_path: Path) -> None:
    """Fault 33: after aclose() every call raises ClientClosed, a child's as well."""
    service = FakeWeChat({"ID": JPEG})
    parent = client_of(service, token=AppToken("wx1", SECRET))
    child = parent.with_options(deadline=1.0)

    await parent.aclose()
    await parent.aclose()

    with pytest.raises(ClientClosed) as caught:
        await work(parent if made_by == "constructor" else child, tmp_path)
    assert caught.value.attempts == 0
    assert service.requests == []
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("work", TRANSFERS)
async def test_close_ends_what_runs(work: Call, tmp_path: Path) -> None:
    """Fault 33: closing ends what runs with ClientClosed, and waits for its end."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())
    client, failures = client_of(service, max_concurrency=1), list[MediaError]()

    async def run() -> None:
        with pytest.raises(ClientClosed) as caught:
            await work(client, tmp_path)
        failures.append(caught.value)

    async with anyio.create_task_group() as running:
        for _ in range(3):
            running.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()
        assert service.in_flight == 0

    assert len(failures) == 3
    assert names_in(tmp_path) == []


async def test_close_ends_those_who_wait_for_a_token() -> None:
    """Fault 33: who waits for a token gets ClientClosed too."""
    service = FakeWeChat(gate=anyio.Event())
    client = client_of(service, token=AppToken("wx1", SECRET))

    async def run() -> None:
        with pytest.raises(ClientClosed):
            await client.read("ID")

    async with anyio.create_task_group() as running:
        for _ in range(3):
            running.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()

    assert len(service.requests) == 1
    assert service.in_flight == 0


async def test_close_ends_a_back_off() -> None:
    """Fault 33: who waits for the next try gets ClientClosed as well."""
    service = FakeWeChat(answers=[error(-1)])
    patient = RetryPolicy(initial=100.0, maximum=100.0)
    client = client_of(service, retry=patient)

    async def run() -> None:
        with pytest.raises(ClientClosed) as caught:
            await client.read("ID")
        assert caught.value.attempts == 1

    async with anyio.create_task_group() as running:
        running.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        await client.aclose()


async def test_users_client_is_not_closed() -> None:
    """A client of the user's is never closed, and goes on working."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service)

    async with client_of(service, http=http) as client:
        assert client.http is http
        await client.read("ID")
    async with client_of(service, http=http) as client:
        await client.read("ID")

    assert not http.is_closed
    await http.aclose()


async def test_users_client_that_was_closed() -> None:
    """Fault 33: over a client that the user has closed, calls are ClientClosed."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service)
    await http.aclose()

    async with client_of(service, http=http) as client:
        with pytest.raises(ClientClosed, match="httpx client"):
            await client.read("ID")

    assert service.requests == []


async def test_own_client_is_closed() -> None:
    """The client that we made is closed with us, and not by a child."""
    client = MediaClient(TOKEN, base_url=BASE, verify=CONTEXT)
    child = client.with_options(retry=EAGER)

    async with child:
        assert child.http is client.http
    assert not client.http.is_closed

    await client.aclose()
    assert client.http.is_closed


async def test_users_client_carries_every_request() -> None:
    """With a client of the user's, its headers and cookies are sent, its auth not."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(
        transport=service,
        headers={"X-Ours": "1", "Accept-Encoding": "gzip"},
        cookies={"session": "ours"},
        params={"gateway": "7"},
        auth=("us", "ours"),
        base_url="http://elsewhere.test",
    )

    async with client_of(service, http=http, token=AppToken("wx1", SECRET)) as client:
        await client.upload(JPEG)
        await client.read("ID")
        await client.call("POST", "/cgi-bin/token", json={})

    assert [request.url.host for request in service.requests] == ["wechat.test"] * 4
    for request in service.requests:
        assert request.headers["x-ours"] == "1"
        assert request.headers["cookie"] == "session=ours"
        assert request.headers["accept-encoding"] == "identity"
        assert request.url.params["gateway"] == "7"
        assert "authorization" not in request.headers


async def test_users_redirects_are_not_followed() -> None:
    """Fault 15: a client that follows redirects does not do so for us."""
    moved = httpx.Response(302, headers={"Location": "https://example.com/"})
    service = FakeWeChat(answers=[moved])
    http = httpx.AsyncClient(transport=service, follow_redirects=True)

    async with client_of(service, http=http) as client:
        with pytest.raises(MediaError, match="HTTP 302"):
            await client.read("ID")

    assert len(service.requests) == 1


async def test_timeout_of_each_request() -> None:
    """Our timeout goes with every request, whatever the user's client says."""
    service = FakeWeChat({"ID": JPEG})
    http = httpx.AsyncClient(transport=service, timeout=99.0)

    async with client_of(service, http=http, timeout=7.0) as client:
        await client.read("ID")
        own = httpx.Timeout(1.0, read=2.0, pool=3.0)
        await client.with_options(timeout=own).read("ID")

    first, second = [request.extensions["timeout"] for request in service.requests]
    assert first == {"connect": 7.0, "read": 7.0, "write": 7.0, "pool": None}
    assert second == {"connect": 1.0, "read": 2.0, "write": 1.0, "pool": 3.0}


async def test_hooks_headers_and_auth_of_our_client() -> None:
    """What is put on `client.http` takes effect, on later requests too."""
    seen = list[str]()

    async def hook(request: httpx.Request) -> None:
        seen.append(request.url.path)

    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")
            client.http.headers["X-Ours"] = "1"
            client.http.cookies["session"] = "ours"
            client.http.auth = ("us", "ours")
            client.http.event_hooks["request"].append(hook)
            await client.read("ID")
            await client.with_options(timeout=9.0).read("ID")

    plain, *changed = server.requests
    assert plain.header("authorization") is None
    assert plain.header("user-agent") == "wxmedia_async"
    assert seen == ["/cgi-bin/media/get"] * 2
    for request in changed:
        assert request.header("x-ours") == "1"
        assert request.header("cookie") == "session=ours"
        assert request.header("authorization") == "Basic dXM6b3Vycw=="


class Traced:
    """Wraps a method as tracers do: in an object that passes for the method."""

    def __init__(self, method: Any, seen: list[str], owner: object = None) -> None:
        self.method, self.seen, self.owner = method, seen, owner

    def __get__(self, instance: object, owner: type | None = None) -> Traced:
        return Traced(self.method, self.seen, instance)

    def __getattr__(self, name: str) -> object:
        return getattr(self.method, name)

    async def __call__(
        self, request: httpx.Request, **options: object
    ) -> httpx.Response:
        self.seen.append(str(request.url))
        owner = () if self.owner is None else (self.owner,)
        response = await self.method(*owner, request, **options)
        assert isinstance(response, httpx.Response)
        return response


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (httpx.AsyncHTTPTransport, "handle_async_request"),
        (httpx.AsyncClient, "send"),
    ],
)
async def test_tracer_of_all_clients(
    cls: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracer that wraps httpx's classes sees our requests, without the token."""
    seen = list[str]()

    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")
            monkeypatch.setattr(cls, name, Traced(vars(cls)[name], seen))
            await client.read("ID")

    assert seen == [f"{server.url}/cgi-bin/media/get?access_token=***&media_id=ID"]


@pytest.mark.parametrize("name", ["send", "handle_async_request"])
async def test_tracer_of_one_client(name: str) -> None:
    """A tracer that wraps `client.http`, or its transport, sees our requests."""
    seen = list[str]()

    with Server(always(whole())) as server:
        async with client_to(server) as client:
            await client.read("ID")
            http = client.http
            traced: Any = http if name == "send" else http._transport
            setattr(traced, name, Traced(getattr(traced, name), seen))
            await client.read("ID")

    assert seen == [f"{server.url}/cgi-bin/media/get?access_token=***&media_id=ID"]


async def test_transport_of_our_client() -> None:
    """A transport that is mounted on `client.http` carries the requests."""
    service = FakeWeChat({"ID": JPEG})

    async with MediaClient(TOKEN, base_url=BASE, verify=CONTEXT) as client:
        client.http._mounts = {httpx._utils.URLPattern("all://"): service}
        found = await client.read("ID")

    assert found.content == JPEG


async def test_base_url() -> None:
    """A base_url may have a path of its own, and a slash at its end."""
    service = FakeWeChat()
    service.answers = [media(JPEG), media(JPEG)]
    http = httpx.AsyncClient(transport=service)

    for base_url in ("https://gateway.test/wechat", "https://gateway.test:8443/"):
        async with MediaClient(TOKEN, base_url=base_url, http=http) as client:
            await client.read("ID")

    first, second = [request.url for request in service.requests]
    assert (first.host, first.path) == ("gateway.test", "/wechat/cgi-bin/media/get")
    assert (second.port, second.path) == (8443, "/cgi-bin/media/get")


async def test_hosts() -> None:
    """Fault 1: a host that cannot be reached gives way to the next one, for all."""

    class FirstIsDown(FakeWeChat):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.host == "api.weixin.qq.com":
                self.requests.append(request)
                raise httpx.ConnectError("refused")
            return await super().handle_async_request(request)

    service = FirstIsDown({"ID": JPEG})
    http = httpx.AsyncClient(transport=service)

    async with MediaClient(AppToken("wx1", SECRET), http=http, retry=EAGER) as client:
        await client.read("ID")
        await client.read("ID")

    assert [request.url.host for request in service.requests] == [
        "api.weixin.qq.com",
        *["api2.weixin.qq.com"] * 3,
    ]


async def test_hosts_that_are_all_down() -> None:
    """Fault 1: where no host can be reached, the error names the last one."""
    service = FakeWeChat(answers=[httpx.ConnectError("refused")] * 9)
    http = httpx.AsyncClient(transport=service)

    async with MediaClient(TOKEN, http=http, retry=EAGER) as client:
        with pytest.raises(TransferError, match=r"connecting to sz\.api") as caught:
            await client.read("ID")

    assert (caught.value.phase, caught.value.attempts) == ("connect", 4)
    hosts = [f"https://{request.url.host}" for request in service.requests]
    assert hosts == list(MINI_PROGRAM.hosts[:4])


async def test_no_token() -> None:
    """token=None sends no access_token, as Cloud Hosting wants it."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, token=None) as client:
        await client.read("ID")
        assert client.token is None

    assert dict(service.requests[0].url.params) == {"media_id": "ID"}


async def test_kinds_of_tokens() -> None:
    """`client.token` is what another SDK can share, and each kind is sent."""
    service = FakeWeChat({"ID": JPEG})
    asked = 0

    async def function() -> str:
        nonlocal asked
        asked += 1
        return "from a function"

    class Provider:
        async def get(self) -> str:
            return "from a provider"

        async def renew(self, rejected: str) -> str:
            return rejected

    provider = Provider()
    async with client_of(service, token=TOKEN) as client:
        await client.read("ID")
        assert client.token == StaticToken(TOKEN)
    async with client_of(service, token=function) as client:
        await client.read("ID")
        await client.read("ID")
        assert client.token is not None
        assert await client.token.get() == "from a function"
    async with client_of(service, token=provider) as client:
        await client.read("ID")
        assert client.token is provider

    sent = [request.url.params["access_token"] for request in service.requests]
    assert sent == [TOKEN, "from a function", "from a function", "from a provider"]
    assert asked == 1


async def test_token_that_is_shared() -> None:
    """Clients that are given the same AppToken fetch one token between them."""
    service, token = FakeWeChat({"ID": JPEG}), AppToken("wx1", SECRET)

    async with client_of(service, token=token) as one:
        async with client_of(service, token=token) as other:
            await one.read("ID")
            await other.read("ID")
            assert one.token is not None
            assert await one.token.get() == service.valid

    assert service.tokens == 1


async def test_token_fetches_of_many() -> None:
    """Fault 26: a thousand reads on a cold client cause one fetch of a token."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        async with anyio.create_task_group() as readers:
            for _ in range(1000):
                readers.start_soon(client.read, "ID")
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert service.tokens == 1
    assert service.peak == 16
    assert len(service.requests) == 1001


async def test_renewals_of_many() -> None:
    """Fault 27: a token that dies under many transfers is renewed once."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        await client.read("ID")
        service.valid = "somebody fetched another one"
        async with anyio.create_task_group() as readers:
            for _ in range(100):
                readers.start_soon(client.read, "ID")

    assert service.tokens == 2


async def test_failed_fetch_fails_the_wave_once() -> None:
    """Fault 26: a fetch that fails is tried as often as one, and fails for all."""
    service = FakeWeChat(answers=[error(-1)] * 99, gate=anyio.Event())
    failures = list[ServerBusy]()

    async def run() -> None:
        with pytest.raises(ServerBusy) as caught:
            await client.read("ID")
        failures.append(caught.value)

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        async with anyio.create_task_group() as readers:
            for _ in range(50):
                readers.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert len(failures) == len(set(map(id, failures))) == 50
    assert len(service.requests) == 4


async def test_corp_token() -> None:
    """WeCom's token comes from gettoken."""
    service = FakeWeChat({"ID": JPEG})
    token = CorpToken("ww1", SECRET)

    async with client_of(service, token=token, platform=WECOM) as client:
        await client.read("ID")

    asked = service.requests[0].url
    assert asked.path == "/cgi-bin/gettoken"
    assert dict(asked.params) == {"corpid": "ww1", "corpsecret": SECRET}


@pytest.mark.parametrize("slots", [1, 7])
async def test_bound(slots: int) -> None:
    """However many transfers are started, only so many are in flight, over all calls."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, max_concurrency=slots) as client:
        child = client.with_options(deadline=9.0)
        async with anyio.create_task_group() as running:
            for _ in range(20):
                running.start_soon(client.upload, JPEG)
                running.start_soon(child.read, "ID")
            await anyio.wait_all_tasks_blocked()
            assert service.in_flight == slots
            assert service.gate is not None
            service.gate.set()

    assert service.peak == slots
    assert len(service.requests) == 40


async def test_one_slot_makes_progress(tmp_path: Path) -> None:
    """With one slot a batch gets through retries, a link and a renewal in between."""
    service = FakeWeChat({f"ID{n}": JPEG for n in range(10)})
    link = httpx.Response(200, text='{"video_url":"http://203.205.137.89/a"}')
    ids = list(service.stored)

    def expire(request: httpx.Request) -> httpx.Response:
        service.valid = "somebody fetched another one"
        return error(-1)

    async with client_of(
        service, token=AppToken("wx1", SECRET), max_concurrency=1
    ) as client:
        await client.token.get()  # type: ignore[union-attr]  # there is one
        service.answers = [link, media(JPEG), httpx.ReadError(""), expire]
        async with client.download_many(ids, tmp_path) as outcomes:
            done = [outcome.unwrap().media_id async for outcome in outcomes]

    assert sorted(done) == ids
    assert (service.tokens, service.peak) == (2, 1)


async def test_wait_for_a_slot_is_bounded() -> None:
    """Only an explicit httpx.Timeout.pool bounds the wait for a slot."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())

    async with client_of(service, max_concurrency=1, timeout=0.01) as client:
        brief = client.with_options(timeout=httpx.Timeout(9.0, pool=0.02))
        async with anyio.create_task_group() as running:
            running.start_soon(client.read, "ID")
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(TransferTimeout, match=r"no slot was free for 0\.02 s"):
                await brief.read("ID")
            running.start_soon(client.read, "ID")
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert len(service.requests) == 2


async def test_wait_for_a_slot_does_not_count() -> None:
    """Waiting for a slot takes nothing off the deadline."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())
    done = list[bytes]()

    async def read() -> None:
        done.append((await client.read("ID")).content)

    async with client_of(service, max_concurrency=1, deadline=0.05) as client:
        async with anyio.create_task_group() as running:
            running.start_soon(client.with_options(deadline=None).read, "ID")
            await anyio.wait_all_tasks_blocked()
            running.start_soon(read)
            await anyio.sleep(0.06)
            assert service.gate is not None
            service.gate.set()

    assert done == [JPEG]


async def test_deadline() -> None:
    """Fault 7: the deadline bounds one transfer with all its tries."""
    service = FakeWeChat(gate=anyio.Event())

    async with client_of(service, deadline=0.02) as client:
        with pytest.raises(TransferTimeout, match=r"deadline of 0\.02 s") as caught:
            await client.upload(JPEG)

    assert caught.value.attempts == 1
    assert service.in_flight == 0


async def test_wait_for_a_token_counts() -> None:
    """The time that a token takes counts toward the deadline."""
    service = FakeWeChat({"ID": JPEG})

    async def slow() -> str:
        await anyio.sleep_forever()
        return TOKEN

    async with client_of(service, token=slow, deadline=0.02) as client:
        with pytest.raises(TransferTimeout):
            await client.read("ID")

    assert service.requests == []


async def test_no_try_that_begins_after_the_deadline() -> None:
    """Where the next try would come too late, the last failure is raised at once."""
    service = FakeWeChat(answers=[error(-1)] * 9)
    patient = RetryPolicy(initial=1e9, maximum=1e9)

    async with client_of(service, retry=patient, deadline=1.0) as client:
        with pytest.raises(ServerBusy) as caught:
            await client.read("ID")

    assert caught.value.attempts == 1


async def test_with_options() -> None:
    """A child has options of its own; those that are not given stay."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(-1)])
    service.valid = TOKEN

    async with client_of(service) as client:
        once = client.with_options(retry=RetryPolicy(attempts=1))
        with pytest.raises(ServerBusy):
            await once.read("ID")
        with pytest.raises(TokenRejected):
            await client.with_options(token="another").read("ID")
        with pytest.raises(TokenRejected):
            await client.with_options(token=None).read("ID")
        found = await once.with_options(deadline=None).read("ID")

    assert found.content == JPEG
    assert repr(once) == repr(client)


async def test_other_account_over_the_same_client() -> None:
    """What one account has uploaded is never handed out for another's."""
    service, cache = FakeWeChat(created_at=int(time.time())), MemoryUploadCache()

    async def token_service() -> str:
        return TOKEN

    async with client_of(service, upload_cache=cache, account="one") as client:
        uploaded = await client.upload(JPEG)
        assert await client.upload(JPEG) == uploaded
        assert await client.with_options(deadline=9.0).upload(JPEG) == uploaded
        other = client.with_options(token=AppToken("wx2", SECRET))
        first = await other.upload(JPEG)
        assert await other.upload(JPEG) == first
        service.valid = TOKEN
        unnamed = client.with_options(token=token_service)
        uploads = [await unnamed.upload(JPEG) for _ in range(2)]

    ids = [uploaded.media_id, first.media_id, *[each.media_id for each in uploads]]
    assert len(set(ids)) == 4


def test_another_loop(anyio_backend: Any) -> None:
    """Fault 33: in another event loop a client says what is wrong."""
    name, backend_options = anyio_backend
    service = FakeWeChat({"ID": JPEG})
    client = client_of(service)
    run = partial(anyio.run, backend=name, backend_options=backend_options)

    async def read() -> None:
        await client.read("ID")

    async def upload_to_child() -> None:
        await client.with_options(deadline=None).upload(JPEG)

    run(read)

    with pytest.raises(RuntimeError, match="another event loop"):
        run(read)
    with pytest.raises(RuntimeError, match="another event loop"):
        run(upload_to_child)
    assert len(service.requests) == 1


class Turnstile:
    """A limiter of the user's, which counts who comes through."""

    def __init__(self) -> None:
        self.passed = 0

    async def acquire(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.passed += 1


async def test_rate_limiter() -> None:
    """A limiter of the user's is asked before each exchange, each try included."""
    service, turnstile = FakeWeChat({"ID": JPEG}, answers=[error(-1)]), Turnstile()

    async with client_of(service, rate=turnstile) as client:
        await client.read("ID")
        await client.upload(JPEG)

    assert turnstile.passed == len(service.requests) == 3


async def test_clock_that_jumps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 28: a clock that jumps by a day neither ends a token nor a transfer."""
    service = FakeWeChat({"ID": JPEG}, created_at=1_700_000_000)

    async with client_of(service, token=AppToken("wx1", SECRET)) as client:
        await client.read("ID")
        now = time.time
        monkeypatch.setattr("time.time", lambda: now() + 86_400)
        await client.read("ID")
        uploaded = await client.upload(JPEG)

    assert service.tokens == 1
    assert uploaded.created_at.timestamp() == 1_700_000_000


async def test_token_that_ends() -> None:
    """A token is replaced when it ends, and not sooner than that asks for."""
    service = FakeWeChat({"ID": JPEG})
    given = list[AccessToken]()

    async def function() -> AccessToken:
        ends = datetime.now(UTC) + timedelta(seconds=0 if not given else 7200)
        given.append(AccessToken(f"token{len(given)}", ends))
        return given[-1]

    async with client_of(service, token=function) as client:
        for _ in range(4):
            await client.read("ID")

    sent = [request.url.params["access_token"] for request in service.requests]
    assert sent == ["token0", "token1", "token1", "token1"]


async def test_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: a proxy that the environment names carries our requests."""
    with Server(routes({f"{BASE}/cgi-bin/media/get": whole()})) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:pass@"))

        async with MediaClient(TOKEN, base_url=BASE, verify=CONTEXT) as client:
            found = await client.read("ID")

    [request] = proxy.requests
    assert found.content == JPEG
    assert (
        request.target == f"{BASE}/cgi-bin/media/get?access_token={TOKEN}&media_id=ID"
    )
    assert request.header("proxy-authorization") == "Basic dXNlcjpwYXNz"


async def test_no_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault 35: hosts that NO_PROXY names are reached without a proxy."""
    with Server(always(whole())) as proxy, Server(always(whole(b"own"))) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")

        async with client_to(server) as client:
            found = await client.read("ID")

    assert found.content == b"own"
    assert proxy.requests == []


async def test_users_client_brings_its_own_proxies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 35: which proxies a client of the user's has is the user's matter."""
    service = FakeWeChat({"ID": JPEG})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    async with client_of(service) as client:
        found = await client.read("ID")

    assert found.content == JPEG
