from __future__ import annotations

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart import create_form_parser
from python_multipart.multipart import File

from wxmedia_async._wire.multipart import Envelope, envelope, media_type

BOUNDARY = "0123456789abcdef0123456789abcdef"

filenames = st.text(
    st.characters(exclude_characters="\r\n\0", exclude_categories=()), max_size=50
)

# The boundary of these tests is known, so chance may put it into a file.
contents = st.binary(max_size=500).filter(
    lambda content: BOUNDARY.encode() not in content
)


def wrapped(content: bytes, filename: str = "a.jpg") -> tuple[Envelope, bytes]:
    wrap = envelope(filename=filename, content_type="image/jpeg", boundary=BOUNDARY)
    return wrap, wrap.head + content + wrap.tail


def as_received(filename: str) -> str:
    """Encode as browsers do, and as filesystems do with what is not UTF-8."""
    for char in ['"', "\\", *map(chr, range(1, 32)), "\x7f"]:
        filename = filename.replace(char, f"%{ord(char):02X}")
    no_byte = dict.fromkeys((*range(0xD800, 0xDC80), *range(0xDD00, 0xE000)), "?")
    sent = filename.translate(no_byte).encode(errors="surrogateescape")
    return sent.decode(errors="replace")


def test_the_body_is_byte_for_byte_what_a_browser_sends() -> None:
    """One part named media, with a plain filename and no filename*."""
    wrap, body = wrapped(b"bytes", "cat.jpg")

    assert body == (
        b"--0123456789abcdef0123456789abcdef\r\n"
        b'Content-Disposition: form-data; name="media"; filename="cat.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n"
        b"\r\n"
        b"bytes\r\n"
        b"--0123456789abcdef0123456789abcdef--\r\n"
    )
    assert wrap.content_type == f"multipart/form-data; boundary={BOUNDARY}"
    assert wrap.length(5) == len(body)


def test_a_name_that_is_not_ascii_is_sent_as_utf8() -> None:
    """Raw UTF-8 stands in the quotes, which WeChat understands."""
    wrap, _ = wrapped(b"", "聊天.jpg")

    assert 'filename="聊天.jpg"'.encode() in wrap.head
    assert b"filename*" not in wrap.head


@pytest.mark.parametrize(
    ("filename", "sent"),
    [
        ('a".jpg', b'"a%22.jpg"'),
        ("a\\", b'"a%5C"'),
        ("a\x01\x1f\x7f", b'"a%01%1F%7F"'),
        ("a\udcff", b'"a\xff"'),
        ("a\ud800", b'"a?"'),
        ("", b'""'),
    ],
)
def test_what_would_end_the_name_is_encoded(filename: str, sent: bytes) -> None:
    """Fault 18: quotes, backslashes and control characters cannot break out."""
    wrap, _ = wrapped(b"", filename)

    assert b"filename=" + sent + b"\r\n" in wrap.head


@pytest.mark.parametrize("char", ["\r", "\n", "\0"])
def test_a_line_break_in_a_name_is_refused(char: str) -> None:
    """Fault 18: CR, LF and NUL in a filename are a ValueError."""
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        wrapped(b"", f"a{char}b.jpg")


@pytest.mark.parametrize(
    "content_type",
    [
        "image/jpeg",
        "text/plain; charset=utf-8",
        'text/plain;charset="a b"; x=y',
        "application/vnd.a+json",
    ],
)
def test_a_media_type_may_have_parameters(content_type: str) -> None:
    """A media type is sent as it is."""
    wrap = envelope(filename="a", content_type=content_type, boundary=BOUNDARY)

    assert f"\r\nContent-Type: {content_type}\r\n\r\n".encode() in wrap.head


@pytest.mark.parametrize(
    "content_type",
    [
        *("", "image", "image/", "/jpeg", "image/jpeg\r\nX: y", "image/jpeg\n"),
        *("image/jp\0eg", "image/jpég", "a b/c", "image/jpeg;", "image/jpeg; x"),
        *('text/plain; x="\r\n"', 'text/plain; x="a', "image/jpeg; x=é"),
    ],
)
def test_what_is_no_media_type_is_refused(content_type: str) -> None:
    """Fault 18: a content type cannot bring headers of its own."""
    with pytest.raises(ValueError, match="not a media type"):
        envelope(filename="a", content_type=content_type, boundary=BOUNDARY)


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("image/jpeg", "image/jpeg"),
        (" image/jpeg ", "image/jpeg"),
        ("image/jpeg;", "image/jpeg"),
        ("image/jpeg ; ", "image/jpeg"),
        ("text/plain; charset=utf-8", "text/plain; charset=utf-8"),
        *((label, None) for label in (None, "", "jpg", "image/*", "*/*", "image/")),
        *((label, None) for label in ("image/jpeg\r\nX: y", "image/jpeg; q", "é/a")),
    ],
)
def test_a_label_is_corrected_or_left_out(label: str | None, meant: str | None) -> None:
    """What came with a form's file is a hint, and never a reason to fail."""
    assert media_type(label) == meant


@given(filename=filenames, content=contents)
def test_the_standard_library_reads_one_part(filename: str, content: bytes) -> None:
    """Fault 18: an independent reader finds our part, whole, and nothing else."""
    wrap, body = wrapped(content, filename)

    message = email.message_from_bytes(
        f"Content-Type: {wrap.content_type}\r\n\r\n".encode() + body,
        policy=email.policy.HTTP,
    )
    (part,) = message.iter_parts()

    assert part.keys() == ["Content-Disposition", "Content-Type"]
    assert part.get_content_type() == "image/jpeg"
    assert part.get_param("name", header="content-disposition") == "media"
    assert len(body) == wrap.length(len(content))


@given(filename=filenames, content=contents)
def test_python_multipart_reads_what_was_sent(filename: str, content: bytes) -> None:
    """Fault 18: a server's reader finds one file with our name and our bytes."""
    wrap, body = wrapped(content, filename)
    files: list[tuple[bytes | None, bytes | None, bytes]] = []

    def on_file(file: File) -> None:
        file.file_object.seek(0)
        files.append((file.field_name, file.file_name, file.file_object.read()))

    parser = create_form_parser(
        {"Content-Type": wrap.content_type.encode()}, None, on_file
    )
    parser.write(body)
    parser.finalize()

    ((field, name, received),) = files
    assert field == b"media"
    assert (name or b"").decode(errors="replace") == as_received(filename)
    assert received == content
