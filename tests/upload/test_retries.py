"""What is tried again, and what can be sent again."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest

from tests.fakes import JPEG, FakeWeChat, client_of, error
from tests.upload.sending import flow, said
from wxmedia_async import (
    AppToken,
    MediaRejected,
    RateLimited,
    ServerBusy,
    TokenRejected,
    TransferError,
)


@pytest.mark.parametrize(
    "answer",
    [
        error(-1, "system error"),
        error(-1000),
        error(45033),
        said("<html>Bad Gateway</html>", 502),
        said("slow down", 429),
        httpx.ConnectError("refused"),
        httpx.ReadError(""),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.ReadTimeout(""),
    ],
    ids=range(9),
)
async def test_tried_again(answer: httpx.Response | Exception) -> None:
    """Fault 19: what may pass is tried again, with all the bytes."""
    service = FakeWeChat(answers=[answer])

    async with client_of(service) as client:
        await client.upload(JPEG)

    assert service.stored == {"m0": JPEG}
    assert len(service.requests) == 2
    assert service.bodies[0] == service.bodies[1]


async def test_tries_are_counted() -> None:
    """After the last try its error is raised, and says how many there were."""
    service = FakeWeChat(answers=[error(-1, "system error")] * 9)

    async with client_of(service) as client:
        with pytest.raises(ServerBusy) as caught:
            await client.upload(JPEG)

    assert (caught.value.code, caught.value.attempts) == (-1, 4)
    assert caught.value.retryable
    assert len(service.requests) == 4


async def test_rate_limited_pauses_the_whole_client() -> None:
    """RateLimited: nobody starts within retry_after; who cannot wait fails so."""
    service = FakeWeChat(answers=[error(45011)])

    async with client_of(service, deadline=1.0) as client:
        with pytest.raises(RateLimited) as first:
            await client.upload(JPEG)
        with pytest.raises(RateLimited) as second:
            await client.upload(JPEG)

    assert first.value.retry_after == 60.0
    assert 55.0 < second.value.retry_after < 60.1
    assert len(service.requests) == 1


async def test_unretryable_transfer_error() -> None:
    """A request that httpx itself refuses is not tried again."""
    service = FakeWeChat(answers=[httpx.LocalProtocolError("illegal header")])

    async with client_of(service) as client:
        with pytest.raises(TransferError, match="illegal header") as caught:
            await client.upload(JPEG)

    assert (caught.value.attempts, caught.value.retryable) == (1, False)


async def test_renewed_token_sends_everything_again() -> None:
    """Fault 19: after a renewal of the token the whole body is sent once more."""
    service = FakeWeChat()

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        await client.upload(JPEG)
        service.valid = "somebody fetched another one"
        await client.upload(JPEG)

    assert service.stored == {"m0": JPEG, "m1": JPEG}
    assert service.tokens == 2


async def test_what_cannot_be_read_again() -> None:
    """Fault 19: a flow of known size is sent once, and the error says why."""
    service = FakeWeChat(answers=[error(-1)])

    async with client_of(service) as client:
        with pytest.raises(ServerBusy, match="cannot be read twice") as caught:
            await client.upload(flow(), size=len(JPEG))

    assert caught.value.attempts == 1
    assert len(service.requests) == 1


async def test_refused_token_and_a_flow() -> None:
    """Fault 19: a flow that was sent with a dead token is not sent again either."""
    service = FakeWeChat()

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        await client.upload(JPEG)
        service.valid = "somebody fetched another one"
        with pytest.raises(TokenRejected, match="cannot be read twice"):
            await client.upload(flow(), size=len(JPEG))

    assert service.stored == {"m0": JPEG}


async def test_flow_that_was_not_begun() -> None:
    """A flow is tried again as long as nothing of it was read."""

    class Unreachable(FakeWeChat):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if not self.answers:
                return await super().handle_async_request(request)
            self.answers.pop()
            raise httpx.ConnectError("refused")

    service = Unreachable(answers=[error(-1)])

    async with client_of(service) as client:
        await client.upload(flow(), size=len(JPEG))

    assert service.stored == {"m0": JPEG}


async def test_spooled_flow_is_tried_again() -> None:
    """Fault 19: a flow of unknown size is spooled, and can so be sent again."""
    service = FakeWeChat(answers=[error(-1)])

    async with client_of(service) as client:
        await client.upload(flow())

    assert service.stored == {"m0": JPEG}


async def test_file_object(tmp_path: Path) -> None:
    """Fault 20: a file is sent from where it stands, on each try, and left behind."""
    service = FakeWeChat(answers=[error(-1)])
    file = io.BytesIO(b"head" + JPEG)
    file.seek(4)

    async with client_of(service) as client:
        await client.upload(file)

    assert service.stored == {"m0": JPEG}
    assert file.tell() == 4 + len(JPEG)


async def test_file_object_after_a_failure() -> None:
    """Fault 20: after a failure a file stands where it stood."""
    service = FakeWeChat(answers=[error(40009)])
    file = io.BytesIO(b"head" + JPEG)
    file.seek(4)

    async with client_of(service) as client:
        with pytest.raises(MediaRejected):
            await client.upload(file)

    assert file.tell() == 4
