"""Any other JSON call of the platform."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import attrs

from ._errors import APIError, MediaError, TransferError
from ._events import Subject
from ._platforms import MIB
from ._session.session import Session
from ._session.transfer import Transfer, json_exchange

_MAX_REPLY = 4 * MIB

# RFC 6585, section 4, and RFC 9110, section 15.6.4: refused before it was looked at.
_REFUSED_UNREAD = (429, 503)


async def call(
    session: Session,
    method: str,
    path: str,
    *,
    json: object,
    params: Mapping[str, str] | None,
) -> dict[str, object]:
    """Send one call, as `MediaClient.call` promises."""
    _check_path(path)
    repeatable = method.upper() in ("GET", "HEAD")
    exchange = attrs.evolve(
        json_exchange(method, path, _checked(params), json), repeatable=repeatable
    )

    async def attempt(transfer: Transfer) -> dict[str, object]:
        async with await session.exchange(transfer, exchange) as reply:
            return await reply.json(wecom=session.platform.wecom, limit=_MAX_REPLY)

    def obstacle(failure: MediaError) -> str | None:
        if repeatable or _did_nothing(failure):
            return None
        return "not tried again: WeChat may have carried it out"

    tries = partial(session.tried, attempt, obstacle=obstacle)
    return await session.bounded(tries, Subject("call", only_ours=True))


def _did_nothing(failure: MediaError) -> bool:
    """Whether WeChat cannot have carried the call out."""
    if isinstance(failure, TransferError):
        return failure.phase.nothing_sent
    # An errcode says so; a gateway's 500, 502 and 504 say nothing.
    return isinstance(failure, APIError) and (
        failure.code is not None or failure.status in _REFUSED_UNREAD
    )


def _checked(params: Mapping[str, str] | None) -> Mapping[str, str]:
    """Find out before a token is fetched what cannot be sent."""
    for name, value in (params or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("names and values of params must be str")
        (name + value).encode()  # half a character is a ValueError
    return params or {}


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError("a path must begin with a slash")
    if set(path) & {"?", "#"} or not path.isprintable():
        raise ValueError(
            "a path must be printable and without a query; give that as params="
        )
    path.encode()  # half a character is a ValueError
