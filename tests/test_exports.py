from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import wxmedia_async
from wxmedia_async import simulator

PROMISED = """
    APIError AccessToken Adaptive AppToken ClientClosed CorpToken CredentialsError
    Destination Download FileTokenStore Limit MINI_PROGRAM MediaClient MediaContent
    MediaError MediaNotFound MediaRejected OFFICIAL_ACCOUNT Outcome PermissionDenied
    Platform QuotaExceeded Rate RateLimited RateLimiter RedisTokenStore RetryPolicy
    SavedMedia ServerBusy SourceChanged StaticToken TokenProvider TokenRejected
    TokenStore TooLarge TransferError TransferTimeout Truncated UnexpectedReply
    UnsafeURL Upload UploadedMedia WECOM
"""


PACKAGES = [wxmedia_async, simulator]


def imported_for_checkers(package: ModuleType) -> dict[str, str]:
    """Return what a type checker sees: each name, and the module that has it."""
    assert package.__file__ is not None
    tree = ast.parse(Path(package.__file__).read_text())
    [block] = [node for node in tree.body if isinstance(node, ast.If)][:1]
    return {
        alias.name: f"{package.__name__}.{statement.module}"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_names_are_those_that_checkers_see(package: ModuleType) -> None:
    """Each public name is, when it is asked for, what a type checker takes it for."""
    homes = imported_for_checkers(package)

    assert sorted(homes) == sorted(package.__all__)
    for name, home in homes.items():
        assert getattr(package, name) is getattr(import_module(home), name)


@pytest.mark.parametrize("package", PACKAGES)
def test_dir_lists_every_public_name(package: ModuleType) -> None:
    """What dir() shows of a package are the names that we promise, used or not."""
    listed = dir(package)

    assert listed == sorted(set(listed))
    assert set(package.__all__) <= set(listed)


@pytest.mark.parametrize("package", PACKAGES)
def test_star_import(package: ModuleType) -> None:
    """An import of all names gives all of them, and no others."""
    program = f"from {package.__name__} import *; print(*dir())"

    names = {name for name in printed(program).split() if not name.startswith("_")}

    assert names == set(package.__all__)


@pytest.mark.parametrize("package", PACKAGES)
def test_unknown_name(package: ModuleType) -> None:
    """A name that there is not is an error like that of any module."""
    with pytest.raises(AttributeError, match=f"{package.__name__}.*Nothing") as caught:
        _ = package.Nothing

    assert (caught.value.name, caught.value.obj) == ("Nothing", package)


@pytest.mark.parametrize("folder", ["stores", "transport"])
def test_public_folders(folder: str) -> None:
    """The public folders are there without an import of their own."""
    program = f"import wxmedia_async; print(wxmedia_async.{folder}.__name__)"

    assert printed(program) == f"wxmedia_async.{folder}"


def test_patches_are_undone() -> None:
    """A mock may replace a name that nobody has used so far, and take itself back."""
    program = """if True:
        import wxmedia_async
        from unittest import mock
        with mock.patch("wxmedia_async.MediaClient") as patched:
            assert wxmedia_async.MediaClient is patched
        print(wxmedia_async.MediaClient.__name__)
    """

    assert printed(program) == "MediaClient"


def test_promised_names() -> None:
    """Every name that the interface fixes can be imported from the package."""
    assert set(PROMISED.split()) <= set(wxmedia_async.__all__)


def printed(program: str) -> str:
    """Run a program in a process of its own and return what it printed."""
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    return done.stdout.rstrip("\n")


def loaded_by(imports: str, of: str) -> list[str]:
    """Return which of some modules are loaded by an import."""
    program = f"import sys; before = set(sys.modules); import {imports};"
    program += f"print(*sorted((sys.modules.keys() - before) & set({of.split()})))"
    return printed(program).split()


def test_client_is_light() -> None:
    """The client brings along neither the extras nor the simulator, nor a loop."""
    heavy = (
        "redis cyclopts uvicorn uvloop aiohttp starlette obstore opentelemetry taskiq"
        " wxmedia_async.simulator wxmedia_async.contrib"
    )

    assert loaded_by("wxmedia_async; wxmedia_async.MediaClient", heavy) == []


@pytest.mark.parametrize(
    "imports",
    ["wxmedia_async", "wxmedia_async.simulator", "pytest, wxmedia_async._platforms"],
)
def test_packages_are_light(imports: str) -> None:
    """Importing a package costs nothing of what is in it."""
    heavy = "httpx anyio ssl asyncio sqlite3 wxmedia_async._client"

    assert loaded_by(imports, heavy) == []
