from __future__ import annotations

import importlib
import sys

import pytest

LIBRARIES = {
    "starlette": "starlette.responses",
    "aiohttp": "aiohttp",
    "obstore": "obstore",
}


@pytest.mark.parametrize("extra", LIBRARIES)
def test_what_to_install(extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its library, a neighbour says in one line what to install."""
    monkeypatch.setitem(sys.modules, LIBRARIES[extra], None)
    monkeypatch.delitem(sys.modules, f"wxmedia_async.contrib.{extra}", raising=False)

    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(f"wxmedia_async.contrib.{extra}")

    said = f'is missing: pip install "wxmedia_async[{extra}]"'
    assert str(caught.value).lower() == f"{extra} {said}"
    assert caught.value.__suppress_context__


def test_without_any_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serves every framework needs none."""
    for library in LIBRARIES.values():
        monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "wxmedia_async.contrib.web", raising=False)

    importlib.import_module("wxmedia_async.contrib.web")
