from __future__ import annotations

import pytest

from wxmedia_async import (
    MINI_PROGRAM,
    OFFICIAL_ACCOUNT,
    WECOM,
    AppToken,
    CorpToken,
    Platform,
    StaticToken,
)
from wxmedia_async.cli._credentials import token_from

PAIR = {"WXMEDIA_APPID": "id", "WXMEDIA_SECRET": "secret"}


@pytest.mark.parametrize(
    ("platform", "token"),
    [
        (MINI_PROGRAM, AppToken("id", "secret")),
        (OFFICIAL_ACCOUNT, AppToken("id", "secret")),
        (WECOM, CorpToken("id", "secret")),
    ],
    ids=["mini_program", "official_account", "wecom"],
)
def test_id_and_secret(platform: Platform, token: object) -> None:
    """An id and its secret fetch tokens in the manner of the platform."""
    assert token_from(PAIR, platform) == token


def test_token_comes_first() -> None:
    """A token that was set is used as it is, whatever else is set."""
    environment = {**PAIR, "WXMEDIA_TOKEN": "token"}

    assert token_from(environment, MINI_PROGRAM) == StaticToken("token")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "WXMEDIA_APPID and WXMEDIA_SECRET, or WXMEDIA_TOKEN"),
        ({"WXMEDIA_APPID": "id"}, "set WXMEDIA_SECRET, or WXMEDIA_TOKEN"),
        ({"WXMEDIA_SECRET": "hush"}, "set WXMEDIA_APPID, or WXMEDIA_TOKEN"),
        ({**PAIR, "WXMEDIA_SECRET": ""}, "set WXMEDIA_SECRET, or WXMEDIA_TOKEN"),
    ],
    ids=["nothing", "no secret", "no id", "empty"],
)
def test_missing(environment: dict[str, str], named: str) -> None:
    """What is missing is named, and no value is told."""
    with pytest.raises(ValueError, match=named) as caught:
        token_from(environment, MINI_PROGRAM)

    assert "hush" not in str(caught.value)
