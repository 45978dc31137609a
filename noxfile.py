"""The project's checks; versions and requirements are read from pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.version import Version

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "typing", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
NEWEST = PYTHONS[-1]
QUESTIONS = [
    "start",
    "rate",
    "concurrency",
    "closing",
    "queued",
    "cpu",
    "growth",
    "memory",
    "lazy_items",
    "loop",
    "transport",
    "workers",
    "adaptive",
    "shards",
    "shards_killed",
]


@nox.session
def lint(session: nox.Session) -> None:
    """Layout, and likely mistakes."""
    session.install("-e", ".[lint]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Types of the package, of its tests, and of what users import."""
    session.install("-e", ".[typing]")
    session.run("mypy", "wxmedia_async", "tests")
    session.run("pyright")
    session.run("pyright", "--ignoreexternal", "--verifytypes", "wxmedia_async")


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """All tests, on every Python there is."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """All tests with the lowest versions of everything that pyproject.toml admits."""
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(_lowest("dependencies", "test")))
    session.install("-e", ".[test]", "--constraint", str(constraints))
    session.run("python", "-m", "pytest", *session.posargs)
    # taskiq-redis wants a newer one, and is not needed for these.
    session.install(*_lowest("redis"))
    session.run("python", "-m", "pytest", "tests/stores")


def _lowest(*groups: str) -> list[str]:
    """Pin what these groups ask for, by name; of several bounds the highest counts."""
    pins: dict[str, Version] = {}
    for requirement in _requirements(*groups):
        for bound in requirement.specifier:
            if bound.operator == ">=":
                version = Version(bound.version)
                pins[requirement.name] = max(
                    version, pins.get(requirement.name, version)
                )
    return [f"{name}=={version}" for name, version in pins.items()]


def _requirements(*groups: str) -> Iterator[Requirement]:
    extras = PROJECT["project"]["optional-dependencies"]
    known = {"dependencies": PROJECT["project"]["dependencies"], **extras}
    for line in [line for group in groups for line in known[group]]:
        requirement = Requirement(line)
        if requirement.name == PROJECT["project"]["name"]:
            yield from _requirements(*requirement.extras)
        elif requirement.marker is None or requirement.marker.evaluate():
            yield requirement


# 3.11's tracer loses lines after `async with`, so coverage is judged on a newer one.
@nox.session(python=NEWEST)
def coverage(session: nox.Session) -> None:
    """All tests again, and which branches they leave out."""
    session.install("-e", ".[test]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def fuzz(session: nox.Session) -> None:
    """The client against a hostile server: nox -s fuzz -- --seconds 600."""
    session.install("-e", ".[test]")
    session.run("python", "-m", "tests.sockets.fuzz", *session.posargs)


@nox.session
@nox.parametrize("question", QUESTIONS, ids=QUESTIONS)
def benchmark(session: nox.Session, question: str) -> None:
    """One question about speed or memory: nox -s "benchmark(rate)" -- --quick."""
    session.install("-e", ".[benchmark]")
    session.run("python", f"benchmarks/{question}.py", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The site in English and Chinese, its programs, its links, its translation."""
    session.install("-e", ".[docs]")
    built = Path("docs/_build")
    for builder, folder, *options in (
        ("html", "html"),
        ("html", "html/zh_CN", "-D", "language=zh_CN"),
        ("doctest", "doctest"),
        ("gettext", "gettext"),
    ):
        # Each its own doctrees: a translation changes them.
        trees = built / "doctrees" / folder
        session.run(
            *("sphinx-build", "-q", "-W", "--keep-going", "-b", builder),
            *("-d", str(trees), *options, "docs", str(built / folder)),
        )
    session.run("python", "docs/check.py")


@nox.session
def demo(session: nox.Session) -> None:
    """The main job on the simulated service, with a user's installation."""
    session.install("-e", ".[cli]")
    session.run("wxmedia", "demo", *session.posargs)
