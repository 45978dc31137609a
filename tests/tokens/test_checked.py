"""What users plug in as a token is sealed, and looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from anyio.lowlevel import checkpoint

from wxmedia_async import (
    AccessToken,
    AppToken,
    CloudbaseToken,
    CredentialsError,
    QueryTokenProvider,
    ServerBusy,
    StaticToken,
    TokenRejected,
)
from wxmedia_async._foreign import Raised
from wxmedia_async._tokens.bound import bind
from wxmedia_async._tokens.checked import CheckedToken, checked
from wxmedia_async._tokens.providers import TokenCall, TokenLike

SOON = datetime.now(UTC) + timedelta(hours=1)
NO_TOKENS = ["", " ", "\n", "a\nb", "\ud800", None, 5, b"bytes", ["t"]]


async def refuse(_: TokenCall) -> Mapping[str, object]:
    raise CredentialsError(code=40013)


def bound(token: TokenLike) -> CheckedToken:
    made = checked(bind(token, refuse, scope="here"))
    assert made is not None
    return made


@attrs.define(eq=False)
class Provider:
    """A provider of a user's that gives, or raises, anything."""

    answer: Any

    async def get(self) -> str:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer  # type: ignore[no-any-return]

    async def renew(self, rejected: str) -> str:
        return await self.get()


def ways(answer: Any) -> list[Callable[[], Awaitable[str]]]:
    """All ways by which *answer* comes out of code of a user's."""
    provider = Provider(answer)
    function: Any = provider.get
    tokens = bound(provider), bound(function)
    return [
        way
        for token in tokens
        for way in (token.get, lambda token=token: token.renew("old"))
    ]


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize("answer", [*NO_TOKENS, AccessToken("", SOON)])
async def test_what_is_no_token(answer: Any, way: int) -> None:
    """Anything but a str that can be sent is a TypeError, from whichever method."""
    with pytest.raises((TypeError, Raised)) as refused:
        await ways(answer)[way]()

    error = refused.value
    assert type(error.error if isinstance(error, Raised) else error) is TypeError


async def test_what_is_a_token() -> None:
    """A printable str is passed on; only a function may give an AccessToken."""
    from_provider, renewed, from_function, function_renewed = ways("token")

    assert [
        await from_provider(),
        await renewed(),
        await from_function(),
        await function_renewed(),
    ] == ["token"] * 4
    assert await ways(AccessToken("token", SOON))[2]() == "token"
    with pytest.raises(TypeError, match="not AccessToken"):
        await ways(AccessToken("token", SOON))[0]()


@pytest.mark.parametrize("way", range(4))
@pytest.mark.parametrize(
    "error",
    [
        KeyError("mine"),
        ServerBusy(code=-1),
        TokenRejected(code=40001),
        OSError("theirs"),
        asyncio.CancelledError(),
    ],
)
async def test_what_they_raise_is_sealed(error: BaseException, way: int) -> None:
    """Whatever it is, it is not taken for ours; a cancellation of theirs neither."""
    with pytest.raises(Raised) as sealed:
        await ways(error)[way]()

    assert sealed.value.error is error


async def test_a_cancellation_of_a_token_functions_own() -> None:
    """It has failed for all who wait: none of them asks once more for each."""
    asked = 0

    async def function() -> str:
        nonlocal asked
        asked += 1
        await checkpoint()
        raise asyncio.CancelledError

    token, failures = bound(function), list[Raised]()

    async def ask() -> None:
        try:
            await token.get()
        except Raised as failure:
            failures.append(failure)

    async with anyio.create_task_group() as group:
        for _ in range(5):
            group.start_soon(ask)

    assert [type(one.error) for one in failures] == [asyncio.CancelledError] * 5
    assert asked == 1


async def test_a_token_function_fails_its_callers_as_it_did() -> None:
    """Who holds `client.token` gets what the function raised."""
    function: Any = Provider(KeyError("mine")).get
    provider = bind(function, refuse, scope="here")
    assert provider is not None

    with pytest.raises(KeyError, match="mine"):
        await provider.get()


async def test_our_own_are_not_sealed(tmp_path: Path) -> None:
    """What the service, or the disk, says to our own providers is ours to read."""
    with pytest.raises(CredentialsError):
        await bound(AppToken("app", "secret")).get()
    with pytest.raises(FileNotFoundError):
        await bound(CloudbaseToken(tmp_path / "none")).get()
    assert await bound("token").get() == "token"


async def test_a_subclass_of_ours_is_theirs() -> None:
    """A built-in provider that a user has changed may raise anything."""

    class Changed(StaticToken):
        async def get(self) -> str:
            raise ServerBusy(code=-1)

    with pytest.raises(Raised):
        await bound(Changed("token")).get()


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", "令牌".encode(), b"a\0b"])
async def test_a_cloudbase_file_without_a_token(tmp_path: Path, content: bytes) -> None:
    """An empty file, or one that holds something else, is an OSError naming it."""
    path = tmp_path / "token"
    path.write_bytes(content)

    for ask in (CloudbaseToken(path).get, lambda: CloudbaseToken(path).renew("old")):
        with pytest.raises(OSError, match=str(path)):
            await ask()


async def test_the_name_of_the_parameter() -> None:
    """A provider may name the query parameter of its tokens; others need not."""

    class Named(Provider):
        parameter = "authorizer_token"

    assert bound("token").parameter == "access_token"
    assert bound(Provider("token")).parameter == "access_token"
    assert bound(Named("token")).parameter == "authorizer_token"
    assert bound(CloudbaseToken()).parameter == "cloudbase_access_token"
    assert isinstance(CloudbaseToken(), QueryTokenProvider)


@pytest.mark.parametrize("wrong", [None, 5, "", b"token"])
def test_a_parameter_that_is_no_name(wrong: Any) -> None:
    """A name that no request could carry is a TypeError at once."""

    class Named(Provider):
        parameter = wrong

    with pytest.raises(TypeError, match="parameter"):
        bound(Named("token"))


def test_no_token_at_all() -> None:
    """Where none is sent there is nothing to look at."""
    assert checked(bind(None, refuse, scope="here")) is None


def test_no_secret_is_shown() -> None:
    """Fault 34: the repr of what the session holds tells account and parameter."""
    shown = repr([bound("SECRET"), bound(AppToken("app", "SECRET"))])

    assert "SECRET" not in shown
    assert "app" in shown
