"""Following a link that WeChat named, with nothing of ours in the requests."""

from __future__ import annotations

from contextlib import suppress

import httpx

from .._errors import UnexpectedReply, UnsafeURL
from .reply import Reply
from .secrets import NOTHING_SECRET, Hidden, secrets_of
from .session import Session
from .transfer import Transfer

_MAX_REDIRECTS = 3


async def follow(session: Session, transfer: Transfer, url: str) -> Reply:
    """
    Fetch *url*, and what it redirects to.

    Raises:
        UnsafeURL: When it leads to where no public server is.

        UnexpectedReply: When it redirects again and again.
    """
    secrets: Hidden = NOTHING_SECRET
    for _ in range(_MAX_REDIRECTS + 1):
        link = parse_link(url)
        # Who is redirected to may quote where one came from.
        secrets = Hidden((*secrets, *secrets_of(link)))
        reply = await session.fetch(transfer, link, secrets)
        if reply.head.location is None:
            return reply
        await reply.aclose()
        url = _joined(url, reply.head.location)
    raise UnexpectedReply(f"WeChat's link redirects more than {_MAX_REDIRECTS} times")


def parse_link(url: str) -> httpx.URL:
    """
    Read what WeChat, or a server that it named, has sent as a link.

    Raises:
        UnsafeURL: It is none that can be fetched.
    """
    # A host is decoded when it is asked for, and may turn out to be no name.
    with suppress(httpx.InvalidURL, UnicodeError):
        link = httpx.URL(url)
        if link.host and (link.port is None or 0 < link.port < 65536):
            return link
    raise UnsafeURL("WeChat named a link that is not a URL")


def _joined(url: str, location: str) -> str:
    try:
        return str(httpx.URL(url).join(location))
    except (httpx.InvalidURL, UnicodeError):
        raise UnsafeURL(
            "WeChat's link redirects to something that is not a URL"
        ) from None
