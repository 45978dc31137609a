from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath, PureWindowsPath
from posixpath import splitext
from typing import TypedDict

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wxmedia_async._wire.filenames import (
    LONGEST,
    from_disposition,
    safe_name,
    saved_name,
    upload_name,
)

JPEG = b"\xff\xd8\xff\xe0" + bytes(60)
WEBP = b"RIFF\0\0\0\0WEBP" + bytes(60)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)
MP3 = b"ID3\3" + bytes(60)
MP4 = b"\0\0\0\x18ftypisom" + bytes(60)
IMAGES = (".jpg", ".jpeg", ".png")

DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d) *(\..*)?", re.IGNORECASE)

hints = st.text(st.characters(exclude_categories=()), max_size=300) | st.text(
    st.sampled_from("./\\: CONULcon19a1\u200be\u0301\u212b聊\ud800\0\n"), max_size=300
)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (None, None),
        (b"", None),
        (b"attachment", None),
        (b'attachment; filename="MEDIA_ID.jpg"', "MEDIA_ID.jpg"),
        (b"attachment; filename=MEDIA_ID.jpg", "MEDIA_ID.jpg"),
        (b"attachment;filename = a.jpg ; size=1", "a.jpg"),
        (b'Attachment; FileName="a.jpg"', "a.jpg"),
        (b'filename="a.jpg"', "a.jpg"),
        (b'attachment; filename="voice"', "voice"),
        (b'attachment; filename=".amr"', "amr"),
        (b'attachment; filename=""', None),
        (b'attachment; filename="\xe8\x81\x8a.xlsx"', "聊.xlsx"),
        (b'attachment; filename="caf\xe9.jpg"', "café.jpg"),
        (
            b"attachment; filename*=utf-8''%E8%81%8A.xlsx; filename=\"x.xlsx\"",
            "聊.xlsx",
        ),
        (
            b"attachment; filename=\"x.xlsx\"; filename*=UTF-8'zh'%E8%81%8A.xlsx",
            "聊.xlsx",
        ),
        (b"attachment; filename*=\"utf-8''%E8%81%8A.xlsx\"", "聊.xlsx"),
        (b"attachment; filename*=iso-8859-1''caf%E9.jpg", "café.jpg"),
        (b"attachment; filename*=utf-8''%FF; filename=a.jpg", "a.jpg"),
        (b"attachment; filename*=klingon''a; filename=b.jpg", "b.jpg"),
        (b"attachment; filename*=a.jpg; filename=b.jpg", "b.jpg"),
        (b"attachment; filename*=utf-8''; filename=b.jpg", "b.jpg"),
        (b'attachment; filename="a\\"b.jpg"', "a_b.jpg"),
        (b'attachment; x="; filename=evil"; filename="a.jpg"', "a.jpg"),
        (b'attachment; filename="a.jpg"; filename="b.jpg"', "a.jpg"),
        (b'attachment; filename="a;b.jpg"', "a;b.jpg"),
        (b'attachment; filename="a.jpg', "a.jpg"),
        (b'attachment; filename="../../etc/passwd"', "passwd"),
        (b'attachment; filename="..\\x.jpg"', "x.jpg"),
        (b"attachment; filename*=utf-8''..%2F..%2Fx.jpg", "x.jpg"),
    ],
)
def test_a_disposition_gives_a_safe_name(value: bytes | None, name: str | None) -> None:
    """Fault 17: the header's name is read as WeChat writes it, and made safe."""
    assert from_disposition(value) == name


@given(value=st.binary(max_size=300))
def test_no_disposition_raises(value: bytes) -> None:
    """Fault 17: any header at all gives a safe name or None."""
    for header in (value, b"attachment; filename=" + value, b"filename*=" + value):
        name = from_disposition(header)

        assert name is None or safe_name(name) == name


@pytest.mark.parametrize("value", [b"a", b" ", b";", b'"', b';a="'], ids=repr)
def test_a_long_disposition_is_read_in_one_go(value: bytes) -> None:
    """Fault 8: a header of 100 000 characters costs no more than its length."""
    assert from_disposition(value * 100_000) is None


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        ("cat.jpg", "cat.jpg"),
        ("聊天 记录.xlsx", "聊天 记录.xlsx"),
        ("../../x", "x"),
        ("/abs", "abs"),
        ("..\\x", "x"),
        ("C:\\x.jpg", "x.jpg"),
        ("x/", None),
        ("a\0b", "ab"),
        ("a\r\n\x1b\x7f\x85b", "ab"),
        ("\u202egpj.exe", "gpj.exe"),
        ("a\u200b\u200d\ufeff\u2066\u2028b", "ab"),
        ("\udce8", None),
        ("", None),
        (".", None),
        ("..", None),
        (" . . ", None),
        (".bashrc", "bashrc"),
        ("a. . ", "a"),
        ('<a>:"b|c?*.txt', "_a___b_c__.txt"),
        ("CON", "_CON"),
        ("con.txt", "_con.txt"),
        ("NUL .tar.gz", "_NUL .tar.gz"),
        ("COM1", "_COM1"),
        ("LPT³.x", "_LPT³.x"),
        ("CONIN$", "_CONIN$"),
        ("CONSOLE", "CONSOLE"),
        ("COM10", "COM10"),
        ("cafe\u0301", "caf\u00e9"),
        ("e\u200b\u0301", "\u00e9"),
    ],
)
def test_a_hint_is_made_a_name(hint: str, name: str | None) -> None:
    """Fault 17: a name from outside becomes one harmless path component."""
    assert safe_name(hint) == name


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        ("x" * 5000, "x" * 200),
        ("x" * 5000 + ".jpg", "x" * 196 + ".jpg"),
        ("聊" * 100 + ".jpg", "聊" * 65 + ".jpg"),
        ("聊" * 100, "聊" * 66),
        ("x." + "y" * 300, "x." + "y" * 198),
        ("x" * 199 + " y", "x" * 199),
        ("CON" + " " * 300 + "x.jpg", "_CON" + " " * 192 + ".jpg"),
    ],
)
def test_a_long_name_is_cut_before_its_suffix(hint: str, name: str) -> None:
    """Fault 17: 5 000 characters become 200 bytes, whole characters and suffix."""
    assert safe_name(hint) == name


@given(hint=hints)
@example(hint="CON" + " " * 300 + "x.jpg")
@example(hint="a" + " " * 300 + "b")
def test_a_safe_name_is_safe_everywhere(hint: str) -> None:
    """Fault 17: whatever the hint, the name is one plain component, and stable."""
    name = safe_name(hint)

    if name is None:
        return
    assert safe_name(name) == name
    assert PurePosixPath(name).name == PureWindowsPath(name).name == name
    assert not DEVICE.fullmatch(name)
    assert len(name.encode()) <= LONGEST
    assert unicodedata.is_normalized("NFC", name)
    assert not re.search(r'[<>:"|?*/\\]|^[. ]|[. ]$', name)
    assert not {unicodedata.category(char) for char in name} & {"Cc", "Cf", "Cs"}


@pytest.mark.parametrize(
    ("filename", "content_type", "first", "suffix"),
    [
        pytest.param("a.png", "image/png", JPEG, ".jpg", id="bytes"),
        pytest.param("a.xlsx", "image/png", b"PK\3\4", ".xlsx", id="filename"),
        pytest.param("voice", "voice/speex", b"?", ".speex", id="content type"),
        pytest.param(None, "Audio/AMR; x=y", b"?", ".amr", id="parameters"),
        pytest.param(None, "image/jpeg", b"", ".jpg", id="no bytes"),
        pytest.param("a.b c", "text/plain", b"?", "", id="no plain suffix"),
        pytest.param("a." + "x" * 16, None, b"?", "", id="long suffix"),
        pytest.param(None, None, b"?", "", id="nothing known"),
    ],
)
def test_a_saved_name_is_the_id_and_a_suffix(
    filename: str | None, content_type: str | None, first: bytes, suffix: str
) -> None:
    """The bytes choose the suffix, then the server's name, then its type."""
    name = saved_name(
        "ID_-1", filename=filename, content_type=content_type, first=first
    )

    assert name == f"ID_-1{suffix}"


@pytest.mark.parametrize(
    ("media_id", "name"),
    [
        ("../../x", "x-9cdf6a50.jpg"),
        ("CON", "_CON-a3dbc4b6.jpg"),
        ("", "e3b0c44298fc1c14.jpg"),
        ("..", "5ec1f7e700f37c3d.jpg"),
        ("x" * 184, "x" * 184 + ".jpg"),
        ("x" * 185, "x" * 175 + "-3ecb4f04.jpg"),
    ],
)
def test_an_odd_id_is_saved_with_its_hash(media_id: str, name: str) -> None:
    """Fault 17: a media_id that is no plain name, or too long, shows its hash."""
    saved = saved_name(media_id, filename=None, content_type=None, first=JPEG)

    assert saved == name


@given(media_id=hints, filename=st.none() | hints)
def test_a_saved_name_is_safe(media_id: str, filename: str | None) -> None:
    """Fault 17: no id and no filename lead out of the folder."""
    name = saved_name(media_id, filename=filename, content_type=None, first=b"")

    assert safe_name(name) == name


@given(one=hints, other=hints)
@example(one="a/b", other="c/b")
@example(one="x" * 200, other="x" * 200 + "y")
@example(one="CON", other="_CON")
def test_two_ids_have_two_names(one: str, other: str) -> None:
    """Fault 17: making ids safe does not make two of them the same."""
    names = {
        saved_name(media_id, filename=None, content_type=None, first=JPEG)
        for media_id in (one, other)
    }

    assert len(names) == len({one, other})


@pytest.mark.parametrize(
    ("filename", "content_type", "suffix"),
    [
        ("a.mov", "video/mp4", ".mov"),
        ("a", "video/mp4", ".mp4"),
        (None, "image/heif; x=y", ".heif"),
        (None, None, ""),
    ],
)
def test_what_wechat_says_counts_where_bytes_are_unknown(
    filename: str | None, content_type: str | None, suffix: str
) -> None:
    """A box of an unknown brand is no film by itself: WeChat's own words decide."""
    unknown = b"\0\0\0\x14ftypzzzz\0\0\0\0zzzz" + bytes(60)

    name = saved_name("ID", filename=filename, content_type=content_type, first=unknown)

    assert name == f"ID{suffix}"


class Terms(TypedDict):
    type: str
    suffixes: tuple[str, ...]
    first: bytes


@pytest.mark.parametrize(
    ("name", "type", "suffixes", "first", "sent"),
    [
        pytest.param("cat.jpg", "image", IMAGES, b"", "cat.jpg", id="as it is"),
        pytest.param("cat.xyz", "image", IMAGES, b"", "cat.xyz", id="odd suffix"),
        pytest.param("/home/me/cat.jpg", "image", IMAGES, b"", "cat.jpg", id="path"),
        pytest.param("C:\\me\\cat.jpg", "image", IMAGES, b"", "cat.jpg", id="Windows"),
        pytest.param("聊天.jpg", "image", IMAGES, b"", "聊天.jpg", id="not ASCII"),
        pytest.param("cat", "image", IMAGES, JPEG, "cat.jpg", id="suffix by bytes"),
        pytest.param("cat", "image", IMAGES, WEBP, "cat.jpg", id="bytes not allowed"),
        pytest.param("cat.", "image", IMAGES, b"", "cat.jpg", id="bare dot"),
        pytest.param(".jpg", "image", IMAGES, b"", ".jpg.jpg", id="hidden"),
        pytest.param("cat", "image", (), b"", "cat.jpg", id="suffix by type"),
        pytest.param("cat", "image", (), WEBP, "cat.webp", id="bytes before type"),
        pytest.param("README", "file", (), b"", "README", id="file without suffix"),
        pytest.param(None, "image", IMAGES, JPEG, "media.jpg", id="none, bytes"),
        pytest.param(None, "image", (".png",), JPEG, "media.png", id="none, allowed"),
        pytest.param(None, "voice", (), b"", "media.amr", id="none, type"),
        pytest.param(None, "file", (), WEBP, "media.webp", id="none, file's bytes"),
        pytest.param(None, "file", (), b"", "media.bin", id="none, nothing known"),
        pytest.param("", "image", IMAGES, b"", "media.jpg", id="empty"),
        pytest.param("..", "image", IMAGES, b"", "media.jpg", id="parent"),
        pytest.param("a/.", "image", IMAGES, b"", "media.jpg", id="folder"),
        pytest.param("a/", "image", IMAGES, b"", "media.jpg", id="only a folder"),
    ],
)
def test_an_upload_has_a_base_name_and_a_suffix(
    name: str | None, type: str, suffixes: tuple[str, ...], first: bytes, sent: str
) -> None:
    """WeChat sees no local path, and a suffix that fits, whoever named it."""
    terms: Terms = {"type": type, "suffixes": suffixes, "first": first}

    assert upload_name(name, None, **terms) == sent
    assert upload_name(None, name, **terms) == sent


@pytest.mark.parametrize(
    "name",
    [
        *("Screenshot 2024.01.02", "v1.2 final", "1.0", "IMG.2024-01-02", "cat.jpg "),
        *("cat.", "Dr. Smith", "a.b-c", "cat.\N{CAT}", "file.001", "cat.jpg (1)"),
    ],
)
@pytest.mark.parametrize(
    ("type", "suffixes", "first", "suffix"),
    [
        ("image", IMAGES, JPEG, ".jpg"),
        ("image", IMAGES, PNG, ".png"),
        ("image", IMAGES, b"", ".jpg"),
        ("voice", (".amr", ".mp3"), MP3, ".mp3"),
        ("video", (".mp4",), MP4, ".mp4"),
        ("thumb", (".jpg", ".jpeg"), JPEG, ".jpg"),
        ("image", (), JPEG, ".jpg"),
    ],
)
def test_not_all_that_follows_a_dot_is_a_suffix(
    name: str, type: str, suffixes: tuple[str, ...], first: bytes, suffix: str
) -> None:
    """Dates, versions and sentences have dots; a suffix is added, nothing is lost."""
    terms: Terms = {"type": type, "suffixes": suffixes, "first": first}

    sent = upload_name(name, None, **terms)
    own = upload_name(None, name, **terms)

    assert sent.startswith(name)
    assert splitext(sent)[1] == suffix
    assert own.startswith(name.rstrip(". "))
    assert splitext(own)[1] in (suffix, ".jpg")


@pytest.mark.parametrize(
    ("own", "type", "suffixes", "first", "sent"),
    [
        ("cat.tmp", "image", IMAGES, JPEG, "cat.tmp.jpg"),
        ("cat.jfif", "image", IMAGES, JPEG, "cat.jfif.jpg"),
        ("cat.jpg.download", "image", IMAGES, PNG, "cat.jpg.download.png"),
        ("album/cat.jpg;1", "image", IMAGES, JPEG, "cat.jpg;1.jpg"),
        ("album\\cat.bak", "thumb", (".jpg",), JPEG, "cat.bak.jpg"),
        ("note.tmp", "voice", (".amr", ".mp3"), MP3, "note.tmp.mp3"),
        ("film.part", "video", (".mp4",), MP4, "film.part.mp4"),
        ("film.part", "video", (), MP4, "film.part.mp4"),
        ("CAT.JPG", "image", IMAGES, JPEG, "CAT.JPG"),
        ("cat.jpg", "image", IMAGES, PNG, "cat.jpg"),
        ("cat.jpg. ", "image", IMAGES, JPEG, "cat.jpg"),
        ("cat.webp", "image", IMAGES, WEBP, "cat.webp"),
        ("cat.txt", "image", IMAGES, b"what?", "cat.txt"),
        ("song.mp3", "voice", (".amr",), MP3, "song.mp3"),
        ("notes.tmp", "file", (), JPEG, "notes.tmp"),
        ("cat\r\n.jpg", "image", IMAGES, JPEG, "cat__.jpg"),
        ("cat\0.jpg", "image", IMAGES, JPEG, "cat_.jpg"),
    ],
)
def test_a_sources_own_name_gets_the_suffix_of_its_bytes(
    own: str, type: str, suffixes: tuple[str, ...], first: bytes, sent: str
) -> None:
    """Bytes that WeChat takes are not refused for what a source calls itself."""
    terms: Terms = {"type": type, "suffixes": suffixes, "first": first}

    assert upload_name(None, own, **terms) == sent


@pytest.mark.parametrize("asked", ["cat.tmp", "cat.jfif", "cat.webp", "cat.3gp"])
def test_a_suffix_that_the_caller_asks_for_is_sent(asked: str) -> None:
    """Only the caller knows better than the bytes, and than the source."""
    named = upload_name(asked, "dog.png", type="image", suffixes=IMAGES, first=JPEG)

    assert named == asked


@pytest.mark.parametrize("char", ["\r", "\n", "\0"])
def test_a_line_break_in_an_upload_name_is_refused(char: str) -> None:
    """Fault 18: CR, LF and NUL in a filename are a ValueError."""
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        upload_name(f"a{char}X: /b.jpg", None, type="image", suffixes=IMAGES, first=b"")
