from __future__ import annotations

import ssl
import traceback

import httpx
import idna
import pytest

from wxmedia_async import (
    MediaError,
    ServerBusy,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
)
from wxmedia_async._errors import Phase
from wxmedia_async._session.failures import translated
from wxmedia_async._session.family import HTTPX_ERRORS

TOKEN = "TOKEN-that-must-never-be-seen"
REQUEST = httpx.Request("GET", f"https://wechat.test/get?access_token={TOKEN}")


def caused(error: httpx.HTTPError, cause: Exception) -> httpx.HTTPError:
    error.__cause__ = cause
    return error


UNVERIFIED = ssl.SSLCertVerificationError(1, "certificate verify failed")

CASES = [
    pytest.param(httpx.ConnectError("x"), TransferError, "connect", True, id="connect"),
    pytest.param(
        httpx.ConnectTimeout("x"), TransferTimeout, "connect", True, id="connect-slow"
    ),
    pytest.param(httpx.ProxyError("x"), TransferError, "connect", True, id="proxy"),
    pytest.param(httpx.PoolTimeout("x"), TransferTimeout, "leave", True, id="pool"),
    pytest.param(httpx.ReadError("x"), TransferError, "receive", True, id="read"),
    pytest.param(httpx.WriteError("x"), TransferError, "receive", True, id="write"),
    pytest.param(httpx.CloseError("x"), TransferError, "receive", True, id="close"),
    pytest.param(
        httpx.ReadTimeout("x"), TransferTimeout, "receive", True, id="read-slow"
    ),
    pytest.param(
        httpx.WriteTimeout("x"), TransferTimeout, "receive", True, id="write-slow"
    ),
    pytest.param(
        httpx.RemoteProtocolError("peer closed connection without a body"),
        Truncated,
        "receive",
        True,
        id="went-away",
    ),
    pytest.param(
        caused(httpx.ConnectError("x"), UNVERIFIED),
        TransferError,
        "connect",
        False,
        id="certificate",
    ),
    pytest.param(
        httpx.UnsupportedProtocol("x"), TransferError, "receive", False, id="scheme"
    ),
    pytest.param(
        httpx.LocalProtocolError("x"), TransferError, "receive", False, id="our-mistake"
    ),
    pytest.param(httpx.InvalidURL("x"), TransferError, "receive", False, id="url"),
    pytest.param(
        httpx.StreamConsumed(), TransferError, "receive", False, id="read-twice"
    ),
]


@pytest.mark.parametrize(("error", "expected", "phase", "retryable"), CASES)
def test_translation(
    error: httpx.HTTPError,
    expected: type[TransferError],
    phase: str,
    retryable: bool,
) -> None:
    """Each failure of httpx becomes one of ours, which tells if it may be retried."""
    ours = translated(error, host="wechat.test", phase=Phase.RECEIVE, received=7)

    assert type(ours) is expected
    assert isinstance(ours, TransferError)
    assert ours.phase == phase
    assert ours.retryable is retryable


def test_all_are_caught() -> None:
    """Whatever httpx raises on purpose has one of the roots that are caught."""
    exceptions = [
        value
        for value in vars(httpx).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]

    # Both are raised where a jar or a client is misused, not while it sends.
    assert {cls for cls in exceptions if not issubclass(cls, HTTPX_ERRORS)} == {
        httpx.CookieConflict
    }


@pytest.mark.parametrize(
    ("error", "phase", "expected"),
    [
        (httpx.ConnectError("no route"), "send", "while connecting to wechat.test"),
        (httpx.ReadError("reset"), "send", "before the reply of wechat.test"),
        (httpx.ReadError("reset"), "receive", "after 7 bytes from wechat.test"),
        (httpx.ReadTimeout(""), "receive", "after 7 bytes from wechat.test: ReadTime"),
    ],
)
def test_text(error: httpx.HTTPError, phase: str, expected: str) -> None:
    """Fault 3: the text names the phase, the bytes done and the host."""
    ours = translated(error, host="wechat.test", phase=Phase(phase), received=7)

    assert expected in str(ours)


@pytest.mark.parametrize(
    "text",
    [
        "Server disconnected without sending a response.",
        "peer closed connection without sending complete message body (5 of 9)",
        "peer closed connection without sending complete message body: chunked",
        "<ConnectionTerminated error_code:0>",
    ],
)
def test_peer_went_away(text: str) -> None:
    """Faults 2 and 4: where the peer went away another try may help."""
    error = httpx.RemoteProtocolError(text)

    before = translated(error, host="h", phase=Phase.SEND)
    within = translated(error, host="h", phase=Phase.RECEIVE, received=5, expected=9)

    assert type(before) is TransferError
    assert isinstance(within, Truncated)
    assert (within.received, within.expected) == (5, 9)


@pytest.mark.parametrize(
    "text",
    [
        "illegal status line: bytearray(b'SSH-2.0')",
        "illegal status line: bytearray(b'connection closed')",
        "illegal header line: bytearray(b'incomplete')",
        "conflicting Content-Length headers",
    ],
)
def test_reply_that_is_none(text: str) -> None:
    """Fault 12: what is no HTTP stays that, whatever the peer wrote into it."""
    ours = translated(httpx.RemoteProtocolError(text), host="h", phase=Phase.SEND)

    assert isinstance(ours, UnexpectedReply)
    assert not ours.retryable


def test_quotation_is_short() -> None:
    """Fault 12: of what the peer sent no more than 200 characters are shown."""
    error = httpx.RemoteProtocolError("illegal status line: " + "x" * 5000)

    ours = translated(error, host="h", phase=Phase.SEND)

    assert len(str(ours)) < 300
    assert len(str(ours.__cause__)) <= 200


@pytest.mark.parametrize(
    "failed",
    [
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.ReadError,
        httpx.ReadTimeout,
        httpx.RemoteProtocolError,
        httpx.UnsupportedProtocol,
        httpx.InvalidURL,
        httpx.StreamError,
    ],
)
def test_nothing_is_given_away(
    failed: type[httpx.TransportError | httpx.InvalidURL | httpx.StreamError],
) -> None:
    """Fault 34: neither the error nor its cause holds the request or the token."""
    error = failed(f"GET https://wechat.test/get?access_token={TOKEN} and {TOKEN}")
    if isinstance(error, httpx.RequestError):
        error.request = REQUEST

    ours = translated(error, host="wechat.test", phase=Phase.SEND, secrets=(TOKEN,))

    cause = ours.__cause__
    assert TOKEN not in "".join(traceback.format_exception(ours))
    assert cause is not None
    assert getattr(cause, "_request", None) is None
    assert cause.__traceback__ is None
    assert cause.__cause__ is cause.__context__ is None


def test_cause_keeps_its_class() -> None:
    """Who looks at the cause finds what httpx raised, without its secrets."""
    ours = translated(httpx.ReadError("reset"), host="h", phase=Phase.SEND)

    assert type(ours.__cause__) is httpx.ReadError
    assert str(ours.__cause__) == "reset"


def test_error_of_another_transport() -> None:
    """An error class derived from httpx's has the class of httpx as its cause."""

    class Aiohttp(httpx.ReadError):
        def __init__(self, message: str, *, needed: int) -> None:
            super().__init__(message)

    ours = translated(Aiohttp("reset", needed=1), host="h", phase=Phase.SEND)

    assert type(ours) is TransferError
    assert type(ours.__cause__) is httpx.ReadError


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, ServerBusy),
        (500, ServerBusy),
        (503, ServerBusy),
        (404, UnexpectedReply),
        (302, UnexpectedReply),
    ],
)
def test_status_that_a_hook_raised(status: int, expected: type[MediaError]) -> None:
    """A hook that calls raise_for_status() finds the error that we would raise."""
    response = httpx.Response(status, request=REQUEST)
    error = httpx.HTTPStatusError(
        f"{status} for {REQUEST.url}", request=REQUEST, response=response
    )

    ours = translated(error, host="wechat.test", phase=Phase.SEND, secrets=(TOKEN,))

    assert type(ours) is expected
    assert isinstance(ours, (ServerBusy, UnexpectedReply))
    assert ours.status == status
    assert TOKEN not in f"{ours!r} {ours.__cause__!r}"


def test_text_that_is_no_text() -> None:
    """A message with what cannot be encoded is shown without it."""
    ours = translated(httpx.ReadError("a\udcffb"), host="h", phase=Phase.SEND)

    assert str(ours).endswith("a?b")


def test_redirect_to_no_host() -> None:
    """Fault 15: what httpx lets through about a redirect's host is ours as well."""
    ours = translated(idna.IDNAError("codepoint"), host="h", phase=Phase.SEND)

    assert isinstance(ours, UnexpectedReply)
    assert type(ours.__cause__) is idna.IDNAError


def test_unverified_certificate_by_context() -> None:
    """Fault 1: the certificate's error is found where it was not named as cause."""
    error = httpx.ConnectError("x")
    error.__context__ = OSError("y")
    error.__context__.__cause__ = UNVERIFIED

    ours: MediaError = translated(error, host="h", phase=Phase.SEND)

    assert not ours.retryable
