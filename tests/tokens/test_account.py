"""Whose token it is."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest

from wxmedia_async import (
    AppToken,
    CloudbaseToken,
    CorpToken,
    FileTokenStore,
    StaticToken,
)
from wxmedia_async._tokens.account import account_name, identity_of
from wxmedia_async._tokens.bound import bind
from wxmedia_async._tokens.providers import TokenCall, TokenLike


class Provider:
    async def get(self) -> str:
        return "SECRET"

    async def renew(self, rejected: str) -> str:
        return "SECRET"

    async def function(self) -> str:
        return "SECRET"

    def __eq__(self, other: object) -> bool:  # which makes it unhashable
        return True


async def send(_: TokenCall) -> Mapping[str, object]:
    raise AssertionError


async def function() -> str:
    return "SECRET"


PROVIDER, OTHER = Provider(), Provider()
STORE = FileTokenStore("tokens")


PAIRS: list[tuple[TokenLike, TokenLike]] = [
    (None, None),
    ("SECRET", "SECRET"),
    ("SECRET", StaticToken("SECRET")),
    (AppToken("app", "SECRET"), AppToken("app", "SECRET")),
    (
        AppToken("app", "SECRET"),
        AppToken("app", "SECRET", endpoint="token", store=STORE),
    ),
    (CorpToken("corp", "SECRET"), CorpToken("corp", "SECRET", store=STORE)),
    (CloudbaseToken(), CloudbaseToken()),
    (PROVIDER, PROVIDER),
    (function, function),
    (PROVIDER.function, PROVIDER.function),
]


@pytest.mark.parametrize("pair", PAIRS, ids=itertools.count())
def test_one_account(pair: tuple[TokenLike, TokenLike]) -> None:
    """Equal credentials are one account, bound or not, and show no secret."""
    one, other = pair
    bound = bind(one, send, scope="here"), bind(other, send, scope="there")

    accounts = [identity_of(token) for token in (one, other, *bound)]

    assert len(set(accounts)) == 1
    assert "SECRET" not in repr(accounts)


def test_other_accounts() -> None:
    """All else are accounts of their own."""
    tokens: list[TokenLike] = [
        None,
        "SECRET",
        "TOKEN",
        AppToken("one", "SECRET"),
        AppToken("two", "SECRET"),
        CorpToken("one", "SECRET"),
        CorpToken("one", "TOKEN"),
        CloudbaseToken(),
        CloudbaseToken("/elsewhere"),
        PROVIDER,
        OTHER,
        PROVIDER.function,
        OTHER.function,
        function,
    ]

    assert len({identity_of(token) for token in tokens}) == len(tokens)


def test_names_of_accounts() -> None:
    """An appid and a corpid are known; other tokens tell no name."""
    app, corp = AppToken("app", "SECRET"), CorpToken("corp", "SECRET")

    assert account_name(app) == account_name(bind(app, send, scope="here")) == "app"
    assert account_name(corp) == "corp"
    assert (
        account_name("SECRET") is account_name(PROVIDER) is account_name(None) is None
    )
