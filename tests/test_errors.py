from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import pytest

from wxmedia_async import (
    APIError,
    ClientClosed,
    CredentialsError,
    DestinationUnusable,
    MediaError,
    MediaNotFound,
    MediaRejected,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    ServerBusy,
    SourceChanged,
    TokenRejected,
    TooLarge,
    TransferError,
    TransferTimeout,
    Truncated,
    UnexpectedReply,
    UnsafeURL,
    _errors,
)
from wxmedia_async._errors import Phase

PARENTS: dict[type[MediaError], type[Exception]] = {
    MediaError: Exception,
    APIError: MediaError,
    TokenRejected: APIError,
    CredentialsError: APIError,
    PermissionDenied: APIError,
    MediaNotFound: APIError,
    MediaRejected: APIError,
    RateLimited: APIError,
    QuotaExceeded: APIError,
    ServerBusy: APIError,
    TransferError: MediaError,
    Truncated: TransferError,
    TransferTimeout: TransferError,
    TooLarge: MediaError,
    SourceChanged: MediaError,
    UnsafeURL: MediaError,
    UnexpectedReply: MediaError,
    ClientClosed: MediaError,
}

RETRYABLE = {RateLimited, ServerBusy, TransferError, Truncated, TransferTimeout}


def api_error(cls: type[APIError]) -> APIError:
    return cls("no", code=40001, rid="6-7-8", hint="abc", status=200)


def refused_address() -> CredentialsError:
    error = CredentialsError("invalid ip 1.2.3.4", code=40164, status=200)
    error.ip = "1.2.3.4"
    return error


def slow_down() -> RateLimited:
    error = RateLimited("too fast", code=45011, status=200)
    error.retry_after = 12.5
    return error


EXAMPLES: list[tuple[MediaError, dict[str, Any]]] = [
    (MediaError("odd"), {}),
    *(
        (
            api_error(cls),
            {"code": 40001, "message": "no", "rid": "6-7-8", "hint": "abc"},
        )
        for cls in PARENTS
        if issubclass(cls, APIError)
    ),
    (refused_address(), {"ip": "1.2.3.4", "code": 40164}),
    (slow_down(), {"retry_after": 12.5, "code": 45011}),
    (TransferError("reset", phase=Phase.RECEIVE), {"phase": "receive"}),
    (Truncated(expected=10, received=3), {"expected": 10, "received": 3}),
    (Truncated(expected=None, received=3), {"expected": None, "received": 3}),
    (TransferTimeout("slow", phase=Phase.CONNECT), {"phase": "connect"}),
    (TooLarge(limit=10, size=11), {"limit": 10, "size": 11}),
    (SourceChanged("grew"), {}),
    (UnsafeURL("private", host="10.0.0.1"), {"host": "10.0.0.1"}),
    (UnexpectedReply("odd", status=200, excerpt="<html>"), {"excerpt": "<html>"}),
    (ClientClosed("closed"), {}),
]

each_example = pytest.mark.parametrize(
    ("error", "facts"),
    EXAMPLES,
    ids=[f"{type(error).__name__}-{n}" for n, (error, _) in enumerate(EXAMPLES)],
)


def test_tree() -> None:
    """The errors are those of the drawn tree, each below the one it says."""
    found = {
        cls: cls.__base__
        for _, cls in inspect.getmembers(_errors, inspect.isclass)
        if issubclass(cls, MediaError)
    }

    assert found == PARENTS


@pytest.mark.parametrize("cls", PARENTS, ids=lambda cls: cls.__name__)
def test_retryable(cls: type[MediaError]) -> None:
    """A class tells whether the same call may succeed later."""
    assert cls.retryable is (cls in RETRYABLE)


@each_example
def test_pickle(error: MediaError, facts: dict[str, Any]) -> None:
    """A pickled error comes back as it was, its facts and its remark too."""
    error.attempts, error.remark = 3, "not tried again"

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error)
    assert (str(again), again.args) == (str(error), error.args)
    assert vars(again) == vars(error)
    assert again.attempts == 3
    assert again.retryable is error.retryable
    assert facts.items() <= vars(again).items()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_protocols(protocol: int) -> None:
    """Errors go through every protocol of pickle."""
    again = pickle.loads(pickle.dumps(Truncated(expected=2, received=1), protocol))

    assert (again.expected, again.received) == (2, 1)


@each_example
def test_copies(error: MediaError, facts: dict[str, Any]) -> None:
    """A copied error is one of its own, with the same facts."""
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert again is not error
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_users_own_attributes_are_pickled() -> None:
    """Notes and attributes that others put on an error travel along."""
    error = SourceChanged("grew")
    error.add_note("row 17")

    again = pickle.loads(pickle.dumps(error))

    assert again.__notes__ == ["row 17"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (APIError("no", code=40066, status=200), "errcode 40066: no"),
        (APIError("", code=40066, status=200), "errcode 40066"),
        (ServerBusy("<html>", status=502), "HTTP 502: <html>"),
        (Truncated(expected=9, received=3), "ended after 3 bytes, 9 were announced"),
        (Truncated(expected=None, received=3), "3 bytes, more were announced"),
        (
            TooLarge(limit=10, size=11),
            "the media has 11 bytes or more; at most 10 are allowed",
        ),
        (UnexpectedReply("odd", status=200, excerpt="<p>"), "odd: <p>"),
        (UnexpectedReply("odd", status=200), "odd"),
        (ClientClosed("closed"), "closed"),
    ],
)
def test_messages(error: MediaError, text: str) -> None:
    """A message tells the facts in words."""
    assert str(error).endswith(text)


def test_remark() -> None:
    """What else is to be known stands behind the message, in pickles too."""
    error = TransferError("reset")

    error.remark = "not tried again"

    assert str(error) == "reset (not tried again)"
    assert str(pickle.loads(pickle.dumps(error))) == "reset (not tried again)"


def test_defaults() -> None:
    """An error that nothing was said about is not retryable, and cost no try."""
    error = MediaError()

    assert (error.retryable, error.attempts, str(error)) == (False, 0, "")
    assert APIError().code is None
    assert CredentialsError().ip is None
    assert RateLimited().retry_after == 60.0


def test_destination_that_says_why() -> None:
    """What makes a destination unusable is its cause, an error or a few words."""
    cause = OSError("no such bucket")

    assert DestinationUnusable(cause).__cause__ is cause
    assert DestinationUnusable("closed for today").__cause__ is None
    assert str(DestinationUnusable("closed for today")) == "closed for today"
