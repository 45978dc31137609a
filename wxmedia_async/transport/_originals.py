"""Whether classes of httpx's are as their authors wrote them."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import ValuesView
from types import FunctionType, GetSetDescriptorType

import attrs

# Below the folder of httpx, or of httpx2 where that goes by its name.
_HOMES = re.compile(
    r"(?:.*/)?(?:httpx2?/_client|httpx2?/_transports/default"
    r"|httpcore2?/_async/connection_pool)\.py"
)


@attrs.define(eq=False)
class Originals:
    """
    Looks whether somebody has put a method of their own into some classes.

    respx replaces one of httpcore's pool, pytest-httpx, vcrpy and OpenTelemetry
    one of httpx's transport, others one of its client; they come and go, and may
    have been there before us. To look at each method takes a while, so that is
    only done when any of them is not what it was before.

    httpcore's pool is one of those classes as soon as httpcore is loaded, which httpx
    does for a transport of its own only; nobody can have changed it before.
    """

    _classes: tuple[type, ...]
    _views: tuple[ValuesView[object], ...] = attrs.field(init=False)
    _has_pool: bool = attrs.field(default=False, init=False)
    _known: list[list[object]] = attrs.field(factory=list[list[object]], init=False)
    _untouched: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        self._views = tuple(vars(cls).values() for cls in self._classes)

    def untouched(self) -> bool:
        """Tell whether every method is the one that httpx or httpcore has written."""
        if not self._has_pool and "httpcore" in sys.modules:
            self._add_pool()
        # Lists are compared in less time than the dictionaries themselves.
        if [*map(list, self._views)] != self._known:
            self._known = [*map(list, self._views)]
            self._untouched = all(
                _is_theirs(value) for view in self._known for value in view
            )
        return self._untouched

    def _add_pool(self) -> None:
        # It may be just about to be loaded, by another thread.
        pool = getattr(sys.modules["httpcore"], "AsyncConnectionPool", None)
        if isinstance(pool, type):
            self._views += (vars(pool).values(),)
            self._has_pool = True


def _is_theirs(value: object) -> bool:
    if isinstance(value, property):
        return all(map(_is_theirs, (value.fget, value.fset, value.fdel)))
    # What tracers wrap around a method claims to have the method's code, but is
    # no function.
    if type(value) is FunctionType:
        return _at_home(_undecorated(value))
    return not callable(value) and (
        type(value) is GetSetDescriptorType or not hasattr(type(value), "__get__")
    )


def _undecorated(function: FunctionType) -> FunctionType:
    """Return what `contextlib` has made a context manager of, if it has."""
    is_manager = function.__code__.co_filename == contextlib.__file__
    inner = getattr(function, "__wrapped__", None)
    return inner if is_manager and type(inner) is FunctionType else function


def _at_home(function: FunctionType) -> bool:
    """By where its code stands: it may have been replaced before we were imported."""
    path = function.__code__.co_filename.replace("\\", "/")
    return _HOMES.fullmatch(path) is not None
