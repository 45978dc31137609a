"""Which refusals are tried again, and which are not."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
import pytest

from tests.fakes import JPEG, TOKEN, FakeWeChat, client_of, error
from wxmedia_async import (
    WECOM,
    APIError,
    AppToken,
    CredentialsError,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RetryPolicy,
    ServerBusy,
    TokenRejected,
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (40164, CredentialsError),
        (41004, CredentialsError),
        (50002, PermissionDenied),
        (40118, MediaNotFound),
        (45009, QuotaExceeded),
        (48006, QuotaExceeded),
        (40004, MediaRejected),
        (43001, APIError),
    ],
)
async def test_not_tried_again(
    code: int, expected: type[APIError], tmp_path: Path
) -> None:
    """What another try cannot mend is raised after the first."""
    service = FakeWeChat(answers=[error(code), error(code)])

    async with client_of(service) as client:
        with pytest.raises(APIError) as caught:
            await client.download("ID", tmp_path)

    assert type(caught.value) is expected
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert caught.value.attempts == 1


async def test_wecom_differences() -> None:
    """In WeCom 40001 is a wrong secret, and 45009 no more than a pause."""
    service = FakeWeChat(answers=[error(40001), error(45009)])

    async with client_of(service, platform=WECOM, deadline=1.0) as client:
        with pytest.raises(CredentialsError):
            await client.read("ID")
        with pytest.raises(RateLimited):
            await client.read("ID")

    assert len(service.requests) == 2


@pytest.mark.parametrize("code", [-1, -1000, 6000, 45033, 61450])
async def test_busy(code: int) -> None:
    """ServerBusy: tried again, as often as the policy says, and counted."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(code)] * 3)

    async with client_of(service) as client:
        await client.read("ID")
        service.answers = [error(code)] * 4
        with pytest.raises(ServerBusy) as caught:
            await client.read("ID")

    assert caught.value.attempts == 4
    assert len(service.requests) == 8


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 599])
async def test_busy_by_its_status(status: int) -> None:
    """ServerBusy: statuses that say so are tried again as well."""
    service = FakeWeChat({"ID": JPEG}, answers=[httpx.Response(status)])

    async with client_of(service) as client:
        found = await client.read("ID")

    assert found.content == JPEG


async def test_rate_limited_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """RateLimited: with time enough, a transfer is tried again after the pause."""
    monkeypatch.setattr(RateLimited, "retry_after", 0.02)
    service = FakeWeChat({"ID": JPEG}, answers=[error(45011)])

    async with client_of(service) as client:
        started = anyio.current_time()
        await client.read("ID")

    # uvloop's clock ticks once a millisecond.
    assert anyio.current_time() - started >= 0.019
    assert len(service.requests) == 2


async def test_pause_counts_for_those_who_wait_for_a_slot() -> None:
    """RateLimited: whoever has been waiting for a slot starts nothing either."""
    service = FakeWeChat({"ID": JPEG}, gate=anyio.Event())
    service.answers = [error(45011)]
    failures = list[RateLimited]()

    async def read() -> None:
        try:
            await client.read("ID")
        except RateLimited as failure:
            failures.append(failure)

    async with client_of(service, max_concurrency=1, deadline=5.0) as client:
        async with anyio.create_task_group() as readers:
            for _ in range(5):
                readers.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert service.gate is not None
            service.gate.set()

    assert len(failures) == 5
    assert len(service.requests) == 1


async def test_quota_is_no_pause() -> None:
    """QuotaExceeded: it fails at once, and stops nobody else's transfer."""
    service = FakeWeChat({"ID": JPEG}, answers=[error(45009)])

    async with client_of(service) as client:
        with pytest.raises(QuotaExceeded):
            await client.read("ID")
        await client.read("ID")

    assert len(service.requests) == 2


@pytest.mark.parametrize("token", [TOKEN, None])
async def test_token_that_cannot_be_renewed(token: str | None) -> None:
    """TokenRejected: without a way to renew, the refusal is raised at once."""
    service = FakeWeChat(valid="another")

    async with client_of(service, token=token) as client:
        with pytest.raises(TokenRejected) as caught:
            await client.read("ID")

    assert (caught.value.code, caught.value.attempts) == (40001, 1)
    assert len(service.requests) == 1


async def test_provider_that_repeats_its_token() -> None:
    """TokenRejected: a renewal that brings the same token is no renewal."""
    service = FakeWeChat(valid="another")

    async def get() -> str:
        return TOKEN

    async with client_of(service, token=get) as client:
        with pytest.raises(TokenRejected) as caught:
            await client.read("ID")

    assert caught.value.attempts == 1
    assert len(service.requests) == 1


@pytest.mark.parametrize("code", [40001, 40014, 42001])
async def test_three_refused_in_a_row(code: int) -> None:
    """TokenRejected: raised when the third fetched token in a row is refused."""
    service = FakeWeChat({"ID": JPEG})
    refusals = 3

    def refuse(request: httpx.Request) -> httpx.Response:
        nonlocal refusals
        if request.url.path.endswith("token"):
            return service._answer(request, {}, b"")
        refusals -= 1
        return error(code)

    token = AppToken("wx1", "s", endpoint="token")
    async with client_of(service, token=token) as client:
        await client.read("ID")
        service.answers = [refuse] * 5
        with pytest.raises(TokenRejected) as caught:
            await client.read("ID")

    assert (caught.value.code, caught.value.attempts) == (code, 3)
    assert (refusals, service.tokens) == (0, 3)


async def test_renewal_costs_no_attempt_of_the_policy() -> None:
    """A renewal comes on top of the tries that the policy allows."""
    service = FakeWeChat({"ID": JPEG})

    async with client_of(service, token=AppToken("wx1", "s")) as client:
        await client.read("ID")
        service.valid = "somebody fetched another one"
        found = await client.with_options(retry=RetryPolicy(attempts=1)).read("ID")

    assert found.content == JPEG
