"""WeChat's error codes: the exception for each, with what its errmsg tells."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address

from .._errors import (
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
from .redaction import redacted

RANGE_NEEDED = 830002
"""WeCom: more than 20 MB, to be fetched in ranges."""

# https://developers.weixin.qq.com/doc/offiaccount/Getting_Started/Global_Return_Code.html
# https://developer.work.weixin.qq.com/document/path/90313
_ROWS: tuple[tuple[type[APIError], tuple[int, ...]], ...] = (
    (TokenRejected, (40001, 40014, 42001)),
    (ServerBusy, (-1, -1000, 6000, 45033, 61450)),
    (RateLimited, (45011,)),
    (QuotaExceeded, (45009, 48006)),
    (CredentialsError, (40002, 40013, 40125, 40164, 40243, 41002, 41004, 42007)),
    (CredentialsError, (45035, 60020, 61004, 89501, 89503, 89506, 89507)),
    (PermissionDenied, (48001, 48002, 48003, 48004, 48005, 50001, 50002)),
    (PermissionDenied, (61003, 61007, 61023)),
    (MediaNotFound, (40007, 40118, 40121, 46001)),
    (MediaRejected, (40004, 40005, 40006, 40009, 40010, 40011, 40012, 40113, 40137)),
    (MediaRejected, (44001, 45001, 45002, 45007, 87014, 301015, 301016, 301017)),
)
_ANYWHERE = {code: error for error, codes in _ROWS for code in codes}

# A wrong secret, not an old token: renewing would only ask with it once more.
_TOKEN_CALL: dict[int, type[APIError]] = {40001: CredentialsError}

# In WeCom 45009 blocks for a minute, elsewhere for the rest of the day.
_WECOM: dict[int, type[APIError]] = {40001: CredentialsError, 45009: RateLimited}


_LONGEST_MESSAGE = 1000
_RID = re.compile(r"\brid: ?([0-9A-Za-z-]+)")
_HINT = re.compile(r"\bhint: ?\[([^\]]*)\]")
_IP = re.compile(r"\b(?:invalid|from) ip:? +(?:ipv6 +)?([0-9A-Fa-f:.]*[0-9A-Fa-f])")


def error_class(code: int, *, wecom: bool, token_call: bool = False) -> type[APIError]:
    """
    Find the exception for an errcode.

    Args:
        code: The errcode, not 0.

        wecom: Whether WeCom said it.

        token_call: Whether it answers a request for a token.

    Returns:
        `APIError` itself for a code without a class of its own.
    """
    special = (_WECOM if wecom else {}) | (_TOKEN_CALL if token_call else {})
    return special.get(code) or _ANYWHERE.get(code, APIError)


def api_error(
    code: int,
    errmsg: object,
    *,
    wecom: bool,
    token_call: bool = False,
    secrets: Collection[str] = (),
) -> APIError:
    """
    Make the exception for an errcode, with the facts that its errmsg holds.

    Args:
        code: The errcode, not 0.

        errmsg: As it was sent; ignored unless it is a str.

        wecom: Whether WeCom said it.

        token_call: Whether a token was asked for.

        secrets: What the message must not show.
    """
    message = _message(errmsg, secrets)
    error = error_class(code, wecom=wecom, token_call=token_call)(
        message,
        code=code,
        rid=_found(_RID, message),
        hint=_found(_HINT, message),
        status=200,
    )
    if isinstance(error, CredentialsError):
        error.ip = _address(_found(_IP, message))
    return error


def _message(errmsg: object, secrets: Collection[str]) -> str:
    if not isinstance(errmsg, str):
        return ""
    # JSON may hold lone surrogates, which no terminal or log file takes.
    encodable = errmsg.encode(errors="replace").decode()
    return redacted(encodable, secrets)[:_LONGEST_MESSAGE]


def _found(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None


def _address(text: str | None) -> str | None:
    try:
        return str(ip_address(text or ""))
    except ValueError:
        return None
