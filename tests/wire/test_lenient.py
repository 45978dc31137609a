from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxmedia_async._wire.lenient import json_object, plain_text, whole_number


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"a":"b"}', id="plain"),
        pytest.param(b'\xef\xbb\xbf{"a":"b"}', id="BOM"),
        pytest.param(b' \r\n\t{"a":"b"}\n', id="space"),
    ],
)
def test_an_object_is_read(body: bytes) -> None:
    """A BOM and space around an object do no harm."""
    assert json_object(body, 100) == {"a": "b"}


def test_control_characters_and_broken_text_are_tolerated() -> None:
    """Raw control characters stay, and bytes that are not UTF-8 are replaced."""
    assert json_object(b'{"a":"\x01\n\xff"}', 100) == {"a": "\x01\n\ufffd"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"a":1', id="without its last brace"),
        pytest.param(b'{"a":1}}', id="one brace too many"),
        pytest.param(b"[1]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"a"', id="a str"),
        pytest.param(b'{"a":' + b"9" * 10_000 + b"}", id="a 10 000-digit number"),
        pytest.param(b'{"a":' + b"[" * 200_000, id="200 000 nested brackets"),
        pytest.param(b'{"a":' * 60_000, id="nested objects"),
        pytest.param(b"<html>", id="html"),
    ],
)
def test_everything_else_is_no_object(body: bytes) -> None:
    """Fault 13: whatever is no object is None, and nothing is raised."""
    assert json_object(body, 1_000_000) is None


def test_no_more_than_the_limit_is_parsed() -> None:
    """Fault 13: a body of one byte too many is not even looked at."""
    body = b'{"a":1}'

    assert json_object(body, len(body)) == {"a": 1}
    assert json_object(body, len(body) - 1) is None


@given(body=st.binary())
def test_no_bytes_raise(body: bytes) -> None:
    """Fault 13: any bytes at all give an object or None."""
    parsed = json_object(b"{" + body, 1000)

    assert parsed is None or isinstance(parsed, dict)


@given(content=st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_whatever_is_json_is_read(content: dict[str, object]) -> None:
    """What the standard library writes is read back unchanged."""
    assert json_object(json.dumps(content).encode(), 1_000_000) == content


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0, 0),
        (-1, -1),
        (40007, 40007),
        pytest.param("40007", 40007, id="str of digits"),
        pytest.param("-1", -1, id="str of -1"),
        pytest.param("0", 0, id="str of 0"),
        (10**10 - 1, 10**10 - 1),
        (10**10, None),
        ("9" * 11, None),
        (True, None),
        (False, None),
        (None, None),
        (1.0, None),
        ("", None),
        pytest.param("1.0", None, id="str of a fraction"),
        ("٣", None),
        ("0x1", None),
        ("1\n", None),
        ([1], None),
    ],
)
def test_numbers_may_stand_in_quotes(value: object, number: int | None) -> None:
    """Integers and their digits count; ``true`` and all else do not."""
    assert whole_number(value) == number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("abc", "abc"),
        ("聊", "聊"),
        ("", None),
        (None, None),
        (5, None),
        ("a\nb", None),
        ("\ud800", None),
    ],
)
def test_text_is_printable_and_not_empty(value: object, text: str | None) -> None:
    """Only a str that can stand in a URL is a text."""
    assert plain_text(value) == text
