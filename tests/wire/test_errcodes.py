from __future__ import annotations

import pytest

from wxmedia_async._errors import (
    APIError,
    CredentialsError,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerBusy,
    TokenRejected,
)
from wxmedia_async._wire.errcodes import RANGE_NEEDED, api_error, error_class

# Each row of the protocol's table of error codes, as it is written there.
EVERYWHERE: dict[type[APIError], list[int]] = {
    TokenRejected: [40014, 42001],
    ServerBusy: [-1, -1000, 6000, 45033, 61450],
    RateLimited: [45011],
    QuotaExceeded: [48006],
    CredentialsError: [
        *(40002, 40013, 40125, 40164, 40243, 41002, 41004, 42007, 45035),
        *(60020, 61004, 89501, 89503, 89506, 89507),
    ],
    PermissionDenied: [
        *(48001, 48002, 48003, 48004, 48005, 50001, 50002, 61003, 61007, 61023)
    ],
    MediaNotFound: [40007, 40118, 40121, 46001],
    MediaRejected: [
        *(40004, 40005, 40006, 40009, 40010, 40011, 40012, 40113, 40137),
        *(44001, 45001, 45002, 45007, 87014, 301015, 301016, 301017),
    ],
    APIError: [
        *(41001, 41005, 41006, 43001, 43002, 43003, 44002, 40035, 40066, 40097),
        *(47001, RANGE_NEEDED, 123456, -2),
    ],
}
ROWS = [
    pytest.param(code, error, id=f"{error.__name__} {code}")
    for error, codes in EVERYWHERE.items()
    for code in codes
]


@pytest.mark.parametrize("token_call", [False, True], ids=["media", "token"])
@pytest.mark.parametrize("wecom", [False, True], ids=["weixin", "wecom"])
@pytest.mark.parametrize(("code", "error"), ROWS)
def test_a_code_has_its_class(
    code: int, error: type[APIError], wecom: bool, token_call: bool
) -> None:
    """Rows token, busy, rate, quota, credentials, permission, media, request."""
    assert error_class(code, wecom=wecom, token_call=token_call) is error


@pytest.mark.parametrize(
    ("code", "wecom", "token_call", "error"),
    [
        pytest.param(40001, False, False, TokenRejected, id="a token that died"),
        pytest.param(40001, False, True, CredentialsError, id="a wrong secret"),
        pytest.param(40001, True, False, CredentialsError, id="WeCom"),
        pytest.param(40001, True, True, CredentialsError, id="WeCom's gettoken"),
        pytest.param(45009, False, False, QuotaExceeded, id="the day is used up"),
        pytest.param(45009, False, True, QuotaExceeded, id="tokens are used up"),
        pytest.param(45009, True, False, RateLimited, id="WeCom's minute"),
        pytest.param(45009, True, True, RateLimited, id="WeCom's minute, gettoken"),
    ],
)
def test_a_code_that_depends_on_who_says_it(
    code: int, wecom: bool, token_call: bool, error: type[APIError]
) -> None:
    """Rows token, quota, rate and credentials: 40001 and 45009 mean two things."""
    assert error_class(code, wecom=wecom, token_call=token_call) is error


def test_an_error_carries_the_facts_of_its_errmsg() -> None:
    """The error has the code, the whole message, the request's id and the hint."""
    errmsg = "invalid media_id hint: [vBNlSA0614ge22] rid: 5f9b5c7a-1a2b3c4d-5e6f7a8b"

    error = api_error(40007, errmsg, wecom=False)

    assert type(error) is MediaNotFound
    assert error.code == 40007
    assert error.message == errmsg
    assert error.rid == "5f9b5c7a-1a2b3c4d-5e6f7a8b"
    assert error.hint == "vBNlSA0614ge22"
    assert error.status == 200
    assert not error.retryable


def test_an_errmsg_without_facts() -> None:
    """Where the errmsg names neither id nor hint, the error has neither."""
    error = api_error(-1, "system error", wecom=False)

    assert (error.rid, error.hint) == (None, None)
    assert error.retryable


@pytest.mark.parametrize(
    ("code", "errmsg", "ip"),
    [
        (
            40164,
            "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 1-2-3",
            "1.2.3.4",
        ),
        (40164, "invalid ip ipv6 2408:8000::1, not in whitelist", "2408:8000::1"),
        (
            60020,
            "not allow to access from your ip, hint: [1], from ip: 1.2.3.4, more",
            "1.2.3.4",
        ),
        (60020, "blocked, from ip: 1.2.3.4.", "1.2.3.4"),
        (40164, "invalid ip 999.2.3.4, not in whitelist", None),
        (40164, "not in whitelist", None),
    ],
)
def test_the_address_that_is_not_whitelisted_is_named(
    code: int, errmsg: str, ip: str | None
) -> None:
    """Row credentials: the caller's address is a fact of the error."""
    error = api_error(code, errmsg, wecom=True)

    assert isinstance(error, CredentialsError)
    assert error.ip == ip


def test_a_limit_says_how_long_to_wait() -> None:
    """Row rate: whoever is told to slow down waits a minute."""
    error = api_error(45011, "api minute-quota reached", wecom=False)

    assert isinstance(error, RateLimited)
    assert error.retry_after == 60.0


def test_a_message_shows_no_secret() -> None:
    """A token that WeChat quotes back is not in the error."""
    error = api_error(40014, "bad access_token T-0-K", wecom=False, secrets=["T-0-K"])

    assert error.message == "bad access_token ***"
    assert "T-0-K" not in repr(error) + str(error)


@pytest.mark.parametrize("errmsg", [None, 7, ["x"], {"a": 1}])
def test_an_errmsg_that_is_no_text_is_ignored(errmsg: object) -> None:
    """A message of another type does not hide the code."""
    error = api_error(40007, errmsg, wecom=False)

    assert error.message == ""
    assert error.code == 40007


def test_a_message_can_be_printed() -> None:
    """Lone surrogates are replaced, and a message has an end."""
    error = api_error(40007, "\ud800" + "x" * 5000, wecom=False)

    assert error.message.encode().startswith(b"?xxx")
    assert len(error.message) == 1000
