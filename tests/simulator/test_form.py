from __future__ import annotations

import io
import itertools
from collections.abc import Sequence

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wxmedia_async.simulator._form import MediaForm

BOUNDARY = "cut"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
# What is nearly a boundary comes often, so that it comes at every place.
NEARLY = [b"\r\n--cu", b"\r\n--", b"\r", b"\n", b"-", b"--cut", b"\r\n\r\n", b"x"]
CONTENTS = (st.binary() | st.lists(st.sampled_from(NEARLY)).map(b"".join)).filter(
    # Together they may be the delimiter itself, which no content ever holds.
    lambda content: b"\r\n--cut" not in content
)


def part(
    content: bytes,
    disposition: str = 'form-data; name="media"; filename="a.jpg"',
    *more: str,
) -> bytes:
    lines = [f"Content-Disposition: {disposition}", *more]
    head = "".join(f"{line}\r\n" for line in lines).encode()
    return b"--cut\r\n" + head + b"\r\n" + content + b"\r\n"


def read(
    body: bytes, content_type: str = TYPE, sizes: Sequence[int] = (1 << 20,)
) -> MediaForm:
    """Feed a body in chunks of the given sizes, over and over."""
    form = MediaForm.of(content_type, io.BytesIO())
    rest, size = io.BytesIO(body), itertools.cycle(sizes)
    while chunk := rest.read(next(size)):
        form.feed(chunk)
    return form


def content_of(form: MediaForm) -> bytes:
    form.file.seek(0)
    return form.file.read()


@given(content=CONTENTS, sizes=st.lists(st.integers(1, 20), min_size=1))
def test_any_content_in_any_chunks(content: bytes, sizes: list[int]) -> None:
    """Any content comes out as it went in, however the body is cut into chunks."""
    form = read(part(content) + b"--cut--\r\n", sizes=sizes)

    assert form.complete
    assert content_of(form) == content
    assert form.filename == "a.jpg"


@given(content=st.binary(max_size=2000))
def test_what_httpx_writes(content: bytes) -> None:
    """A form that httpx writes is understood: name, type and content."""
    request = httpx.Request(
        "POST", "http://x", files={"media": ("猫.png", content, "image/png")}
    )

    form = read(request.read(), request.headers["content-type"])

    assert form.complete
    assert (form.filename, form.content_type) == ("猫.png", "image/png")
    assert content_of(form) == content


def test_memory_does_not_grow_with_the_content() -> None:
    """Only what may be the beginning of a boundary is held back."""
    form = MediaForm.of(TYPE, io.BytesIO())
    form.feed(part(b"")[:-2])

    for _ in range(100):
        form.feed(b"\r" * 10_000)
        assert len(form._pending) < len("\r\n--cut")


def test_other_parts_are_passed_over() -> None:
    """Fields before and after the media, a preamble and an epilogue are ignored."""
    field = part(b"8", 'form-data; name="filelength"')
    other = part(b"no", 'form-data; name="other"; filename="b.jpg"')

    form = read(
        b"preamble\r\n" + field + other + part(b"yes") + field + b"--cut--\r\nepilogue"
    )

    assert form.complete
    assert content_of(form) == b"yes"


def test_the_first_media_counts() -> None:
    """Of two parts named media the first is taken."""
    form = read(part(b"first") + part(b"second") + b"--cut--\r\n")

    assert content_of(form) == b"first"


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ("form-data; name=media; filename=a.jpg", "a.jpg"),
        ('form-data; filename="a.jpg"; name="media"', "a.jpg"),
        ('form-data; name="media"; filename="a;b.jpg"', "a;b.jpg"),
        ('Form-Data; Name="media"; FileName="a.jpg"', "a.jpg"),
        ('form-data; name="media"; filename="聊.jpg"', "聊.jpg"),
        ('form-data; name="media"; filename*=utf-8\'\'b; filename="a.jpg"', "a.jpg"),
        ('form-data; name="media"; filename=""', ""),
    ],
)
def test_filenames(disposition: str, filename: str) -> None:
    """The plain filename is read, quoted or not, wherever it stands."""
    form = read(part(b"x", disposition) + b"--cut--")

    assert form.complete
    assert form.filename == filename


@pytest.mark.parametrize(
    "disposition",
    [
        'form-data; name="media"',
        "form-data; name=\"media\"; filename*=utf-8''a.jpg",
        'form-data; name="file"; filename="a.jpg"',
        'form-data; name="file"; filename="a; name=media; x.jpg"',
        'form-data; filename="a.jpg"',
        'form-data; name="mediator"; filename="a.jpg"',
    ],
)
def test_parts_that_are_not_the_media(disposition: str) -> None:
    """A part without the name media, or without a plain filename, does not count."""
    form = read(part(b"x", disposition) + b"--cut--\r\n")

    assert not form.complete
    assert content_of(form) == b""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--cut--\r\n",
        part(b"x"),
        part(b"x") + b"--cu",
        part(b"x") + b"--cut",
        part(b"x") + b"--cut-",
        part(b"x") + b"--cut\r\n",
        part(b"x")[:30],
        part(b"x").replace(b"--cut", b"--cat") + b"--cat--",
        b"--cut\r\nX: " + b"x" * 20_000 + part(b"x")[5:] + b"--cut--",
        b"--cut\r\n\r\n" + part(b"x").partition(b"\r\n")[2] + b"--cut--",
    ],
    ids=[
        "nothing",
        "no parts",
        "no end",
        "half a boundary",
        "an unfinished boundary",
        "half an end",
        "a part that never comes",
        "half a head",
        "another boundary",
        "a head without end",
        "a part without a head",
    ],
)
def test_broken_forms(body: bytes) -> None:
    """A form that is not well made is not complete."""
    assert not read(body).complete


@pytest.mark.parametrize(
    ("content_type", "understood"),
    [
        ("multipart/form-data; boundary=cut", True),
        ('Multipart/Form-Data; Boundary="cut"', True),
        ("multipart/form-data; charset=utf-8; boundary=cut", True),
        ("multipart/form-data;boundary=cut; charset=utf-8", True),
        ("multipart/form-data", False),
        ("multipart/mixed; boundary=cut", False),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_content_types(content_type: str, understood: bool) -> None:
    """Only multipart/form-data with a boundary is a form."""
    form = read(part(b"x") + b"--cut--\r\n", content_type)

    assert form.complete is understood
