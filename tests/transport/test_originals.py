"""Whether somebody has replaced a method of httpx's."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import httpcore
import httpx
import pytest

from wxmedia_async.transport._originals import Originals

CLASSES: tuple[type, ...] = (
    *httpx.AsyncClient.__mro__[:-1],
    httpx.AsyncHTTPTransport,
    httpcore.AsyncConnectionPool,
)

METHODS = [
    (cls, name)
    for cls in CLASSES
    for name, value in vars(cls).items()
    if callable(value) or isinstance(value, property)
]


def function(original: Any) -> object:
    return lambda *_, **__: None


def wrapper(original: Any) -> object:
    if isinstance(original, property):
        return property(lambda self: original.__get__(self))

    @functools.wraps(original)
    def wrapped(*args: object, **kwargs: object) -> object:
        return original(*args, **kwargs)

    return wrapped


def mock(original: Any) -> object:
    return Mock(spec=original)


def partial(original: Any) -> object:
    return functools.partial(lambda *_: None)


def static(original: Any) -> object:
    return staticmethod(lambda *_: None)


def manager(original: Any) -> object:
    @contextmanager
    def other(*_: object) -> Any:
        yield

    return other


REPLACEMENTS = [function, wrapper, mock, partial, static, manager]


@pytest.mark.parametrize(
    ("cls", "name"), METHODS, ids=[f"{cls.__name__}.{name}" for cls, name in METHODS]
)
def test_any_method_that_is_replaced(
    cls: type, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen while it is in place, whatever it is, before and after."""
    originals = Originals(CLASSES)
    seen = [originals.untouched()]
    for replace in REPLACEMENTS:
        with monkeypatch.context() as patch:
            patch.setattr(cls, name, replace(vars(cls)[name]))
            seen.append(originals.untouched())
        seen.append(originals.untouched())

    assert seen == [True, *[False, True] * len(REPLACEMENTS)]


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_method_that_was_replaced_before(
    replace: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mock that is in place when we come is seen, and so is its end."""
    with monkeypatch.context() as patch:
        patch.setattr(httpx.AsyncClient, "send", replace(httpx.AsyncClient.send))
        originals = Originals(CLASSES)
        before = originals.untouched()

    assert not before
    assert originals.untouched()


def test_method_that_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that the class did not have is one of somebody else's."""
    originals = Originals(CLASSES)
    before = originals.untouched()

    monkeypatch.setattr(
        httpx.AsyncHTTPTransport, "__getattribute__", function(None), raising=False
    )

    assert before
    assert not originals.untouched()


def test_pool_that_is_just_being_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """httpcore's pool is looked at as soon as there is one, not before."""
    pool = type("AsyncConnectionPool", (), {"request": function(None)})
    loading = types.ModuleType("httpcore")
    monkeypatch.setitem(sys.modules, "httpcore", loading)
    originals = Originals((httpx.AsyncHTTPTransport,))

    before = originals.untouched()
    monkeypatch.setattr(loading, "AsyncConnectionPool", pool, raising=False)

    assert before
    assert not originals.untouched()


def test_data_is_nobodys_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """A note that somebody leaves on a class changes nothing."""
    originals = Originals(CLASSES)

    monkeypatch.setattr(httpx.AsyncClient, "_seen_by_a_tool", True, raising=False)

    assert originals.untouched()


def test_class_that_takes_the_place_of_httpxs() -> None:
    """A class of a tracer's, made of httpx's, is not as httpx's authors wrote it."""

    class Traced(httpx.AsyncClient):
        async def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
            return await super().send(*args, **kwargs)

    assert not Originals(Traced.__mro__[:-1]).untouched()
