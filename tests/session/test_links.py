from __future__ import annotations

import httpx
import pytest

from tests.fakes import FakeWeChat, client_of
from wxmedia_async import UnexpectedReply, UnsafeURL
from wxmedia_async._session.links import _joined
from wxmedia_async._session.secrets import Hidden

LOCATIONS = [
    "http://[::1",
    "http://a b:c/",
    "//[",
    "http://h:99999/",
    "http://h:0/",
    "http://xn--/",
    "x" * 70_000,
]


@pytest.mark.parametrize("location", LOCATIONS, ids=range(len(LOCATIONS)))
async def test_redirected_to_what_is_no_url(location: str) -> None:
    """A link's server that redirects to what is no URL ends the download at once."""
    video = httpx.Response(200, json={"video_url": "http://wechat.test/v"})
    moved = httpx.Response(302, headers={"Location": location})
    service = FakeWeChat(answers=[video, moved])

    async with client_of(service) as client:
        with pytest.raises((UnsafeURL, UnexpectedReply)):
            await client.read("ID")

    assert len(service.requests) == 2


def test_where_httpx_looks_at_no_redirect() -> None:
    """What a client lets through is judged here as well."""
    assert _joined("http://h/a?b", "../c") == "http://h/c"
    with pytest.raises(UnsafeURL):
        _joined("http://h/", "http://[::1")


def test_hidden() -> None:
    """Secrets are counted where they would be printed."""
    assert repr([Hidden(("one", "two"))]) == "[<2 secrets>]"
