"""Any other JSON call of the platform."""

from __future__ import annotations

from collections.abc import Mapping

from ._errors import MediaError, TransferError
from ._platforms import MIB
from ._session.session import Session
from ._session.transfer import Exchange, Transfer

_MAX_REPLY = 4 * MIB


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
    exchange = Exchange(
        method=method, path=path, params=params or {}, json=json, repeatable=repeatable
    )

    async def attempt(transfer: Transfer) -> dict[str, object]:
        async with await session.exchange(transfer, exchange) as reply:
            return await reply.json(wecom=session.platform.wecom, limit=_MAX_REPLY)

    def obstacle(failure: MediaError) -> str | None:
        if repeatable or not isinstance(failure, TransferError):
            return None
        if failure.phase == "connect":
            return None
        return "not tried again: WeChat may have carried it out"

    return await session.run(attempt, obstacle=obstacle)


def _check_path(path: str) -> None:
    if not path.startswith("/"):
        raise ValueError("a path begins with a slash")
    if set(path) & {"?", "#"} or not path.isprintable():
        raise ValueError("a path is no more than that; what follows a ? is params")
