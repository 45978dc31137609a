from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from wxmedia_async.simulator import Simulator

TEST = """
    import pytest

    from wxmedia_async import MediaNotFound

    @pytest.fixture
    def anyio_backend():
        return "asyncio"

    @pytest.mark.anyio
    async def test_round_trip(wxmedia_simulator):
        async with wxmedia_simulator.client() as client:
            uploaded = await client.upload(b"\\xff\\xd8\\xff\\xe0 picture")
            content = await client.read(uploaded.media_id)
        assert content.content == b"\\xff\\xd8\\xff\\xe0 picture"

    @pytest.mark.anyio
    async def test_of_its_own(wxmedia_simulator):
        assert not wxmedia_simulator.media
        wxmedia_simulator.fail(1, 40007)
        async with wxmedia_simulator.client() as client:
            with pytest.raises(MediaNotFound):
                await client.read("any")
"""


def test_the_fixture_comes_with_the_package(tmp_path: Path) -> None:
    """Users' tests have the fixture without doing anything, a fresh one for each."""
    (tmp_path / "test_it.py").write_text(textwrap.dedent(TEST))

    # A process of its own: plugins are loaded once in each.
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr


@pytest.fixture
def used() -> Iterator[list[Simulator]]:
    """What is put here must have been closed before this ends."""
    used: list[Simulator] = []
    yield used
    assert [dict(simulator.media) for simulator in used] == [{}]


def test_the_fixture_ends(used: list[Simulator], wxmedia_simulator: Simulator) -> None:
    """The fixture is an empty simulator, which is closed after the test."""
    used.append(wxmedia_simulator)

    wxmedia_simulator.put(b"x")

    assert len(wxmedia_simulator.media) == 1


def test_the_entry_point() -> None:
    """pytest finds the plugin by an entry point of the package."""
    (found,) = importlib.metadata.entry_points(group="pytest11", name="wxmedia")

    assert found.value == "wxmedia_async.simulator.pytest_plugin"
