"""Replies for tests: a plain head, and bodies that are broken."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from wxmedia_async._errors import MediaError
from wxmedia_async._wire.replies import ReplyHead

HEAD = ReplyHead(
    status=200,
    content_type="text/plain",
    disposition=None,
    length=None,
    chunked=True,
    encoding=None,
)
TOKEN = "57_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"

# Fault 13, each of them a body that no JSON parser should be trusted with.
BROKEN = [
    pytest.param(b'{"errcode":40007,"errmsg":"invalid"', id="no last brace"),
    pytest.param(b'{"errcode":' + b"9" * 10_000 + b"}", id="a 10 000-digit number"),
    pytest.param(b'{"errcode":' + b"[" * 60_000, id="nested brackets"),
    pytest.param(b'{"errcode":true}', id="errcode true"),
    pytest.param(b'{"errcode":null}', id="errcode null"),
    pytest.param(b'{"errcode":"none"}', id="errcode in words"),
    pytest.param(b'{"errcode":40007.5}', id="errcode a fraction"),
    pytest.param(b'{"errcode":99999999999}', id="errcode too long"),
    pytest.param(b'[{"errcode":40007}]', id="a list"),
    pytest.param(b"<html>errcode</html>", id="html"),
]


def raised(call: Callable[[], object]) -> MediaError:
    """Return what *call* raises."""
    with pytest.raises(MediaError) as caught:
        call()
    return caught.value
