from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wxmedia_async._wire.redaction import EXCERPT, excerpt, redacted

SECRET = "T0K/EN+with=odd chars"
TOKEN = "57_aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789"

tokens = st.text("ABCDEFGHIJabcdefghij0123456789_-", min_size=12, max_size=600)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param(f"<{SECRET}>", "<***>", id="as it is"),
        pytest.param(f"x{quote(SECRET, safe='')}x", "x***x", id="encoded"),
        pytest.param("T0K%2fEN%2bwith%3dodd%20chars", "***", id="encoded, lower case"),
        pytest.param(f"{SECRET} {SECRET}", "*** ***", id="twice"),
        pytest.param("nothing to see", "nothing to see", id="not there"),
    ],
)
def test_a_known_secret_is_replaced(text: str, shown: str) -> None:
    """Fault 12: a secret that we know is found wherever it stands."""
    assert redacted(text, [SECRET]) == shown


def test_a_secret_within_another_leaves_nothing_of_it() -> None:
    """The longer of two secrets is replaced first."""
    assert redacted("abcdef abc", ["abc", "abcdef"]) == "*** ***"


def test_an_empty_secret_is_ignored() -> None:
    """No token means nothing to look for."""
    assert redacted("text", [""]) == "text"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("?access_token=abc&media_id=1", "?access_token=***&media_id=1"),
        ("?a=1&cloudbase_access_token=abc", "?a=1&cloudbase_access_token=***"),
        ("component_access_token=abc", "component_access_token=***"),
        ("?appid=1&secret=abc HTTP/1.1", "?appid=1&secret=*** HTTP/1.1"),
        ("?corpid=1&corpsecret=abc", "?corpid=1&corpsecret=***"),
        ("&amp;appsecret=abc&amp;b=1", "&amp;appsecret=***&amp;b=1"),
        ("http://1.2.3.4/a.mp4?vkey=ABC&e=1", "http://1.2.3.4/a.mp4?vkey=***&e=1"),
        ('<a href="?access_token=abc">', '<a href="?access_token=***">'),
        ("u%3Faccess_token%3Dabc%26b%3D1", "u%3Faccess_token%3D***%26b%3D1"),
        ("access_token=a%2Bc&b=1", "access_token=***&b=1"),
        ("ACCESS_TOKEN=abc", "ACCESS_TOKEN=***"),
        ('{"access_token":"abc","a":1}', '{"access_token":"***","a":1}'),
        ('{"secret" : "a\\"c d", "a":1}', '{"secret" : "***", "a":1}'),
        ("{'access_token': 'abc'}", "{'access_token': '***'}"),
        ('"{\\"secret\\":\\"abc\\"}"', '"{\\"secret\\":\\"***\\"}"'),
        ("&quot;vkey&quot;:&quot;abc&quot;", "&quot;vkey&quot;:&quot;***&quot;"),
        ("https://me:pass@host/a@b", "https://***@host/a@b"),
        ("https://me:p@ss@host/", "https://***@host/"),
        ("https://host/?mail=a@b", "https://host/?mail=a@b"),
        ("access_token is missing", "access_token is missing"),
        ("invalid appsecret, rid: 1-2", "invalid appsecret, rid: 1-2"),
    ],
)
def test_the_value_of_a_secret_name_is_replaced(text: str, shown: str) -> None:
    """Fault 34: what a URL, a form or a JSON document calls secret is not shown."""
    assert redacted(text) == shown


@given(text=st.text(), secrets=st.lists(tokens, max_size=3))
def test_nothing_is_left_of_a_secret(text: str, secrets: list[str]) -> None:
    """Wherever secrets are put into a text, none comes out."""
    shown = redacted(text.join(["", *secrets, ""]), secrets)

    assert not any(secret in shown for secret in secrets)


@given(text=st.text())
def test_redacting_twice_changes_nothing(text: str) -> None:
    """What was redacted may be redacted again, by another layer."""
    once = redacted(text, [TOKEN])

    assert redacted(once, [TOKEN]) == once


def test_an_excerpt_is_one_short_line() -> None:
    """Fault 12: line breaks and control characters are spaces, 200 characters."""
    shown = excerpt(b"<html>\r\n\t<p>\x00\x1b[31m sorry\xff" + b"x" * 1000)

    assert shown.startswith("<html> <p> [31m sorry\ufffdxxx")
    assert len(shown) == EXCERPT
    assert shown.isprintable()


def test_an_excerpt_of_nothing_is_empty() -> None:
    """An empty body gives an empty excerpt."""
    assert excerpt(b"") == ""


@given(token=tokens, start=st.integers(min_value=0, max_value=9000))
@example(token=TOKEN, start=EXCERPT - 5)
@example(token=TOKEN, start=8192 - 5)
def test_no_part_of_a_token_is_in_an_excerpt(token: str, start: int) -> None:
    """Fault 12: a token on the border of what is shown or searched is not shown."""
    body = b"~" * start + token.encode() + b"~" * 9000

    assert token[:4] not in excerpt(body, [token])


@given(token=tokens, end=st.integers(min_value=4))
def test_a_body_that_ends_in_a_token_does_not_show_it(token: str, end: int) -> None:
    """Fault 12: a body cut off in the middle of a token shows no half of it."""
    body = b"x" + token[:end].encode()

    assert excerpt(body, [token]) == "x***"


def test_tokens_that_fill_the_window_are_not_shown() -> None:
    """Fault 12: many long tokens become short masks, and still none is shown."""
    shown = excerpt(f"{TOKEN} ".encode() * 500, [TOKEN])

    assert "57_a" not in shown
    assert len(shown) == EXCERPT


def test_control_characters_do_not_hide_a_token() -> None:
    """A token is looked for in the text as it is shown."""
    assert excerpt(f"\x00{TOKEN}\x00".encode(), [TOKEN]) == "***"
