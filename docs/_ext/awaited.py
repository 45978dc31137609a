"""
Programs of the pages are run as they are shown, ``await`` outside of functions too.

Each page has an event loop, a folder and a simulated service of its own. In it
`MediaClient` leads to that service, and there are `client`, `media_id`, `media_ids`
and the file ``cat.jpg``.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import tempfile
from contextlib import AsyncExitStack, ExitStack, chdir
from pathlib import Path
from types import CodeType
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.doctest import DocTestBuilder

CAT = b"\xff\xd8\xff" + bytes(2_000)

SETUP = """
from awaited import Page
__page__ = Page()
globals().update(__page__.names())
"""

_codes: list[CodeType] = []


class Page:
    """What the programs of one page run in."""

    def __init__(self) -> None:
        from wxmedia_async.simulator import Simulator

        self._outside, self._inside = ExitStack(), AsyncExitStack()
        self._runner = self._outside.enter_context(asyncio.Runner())
        folder = self._outside.enter_context(tempfile.TemporaryDirectory())
        self._outside.enter_context(chdir(folder))
        self._simulator = Simulator()
        self._outside.callback(self._simulator.close)
        Path(folder, "cat.jpg").write_bytes(CAT)

    def names(self) -> dict[str, Any]:
        """Return what a program finds without having made it."""
        import wxmedia_async

        wxmedia_async.MediaClient = _leading_to(self._simulator)
        token = wxmedia_async.AppToken("wx", "secret")
        client = self._inside.enter_async_context(wxmedia_async.MediaClient(token))
        return {
            "simulator": self._simulator,
            "client": self._runner.run(client),
            "media_id": self._simulator.put(CAT),
            "media_ids": [self._simulator.put(CAT) for _ in range(3)],
        }

    def run(self, number: int, names: dict[str, Any]) -> None:
        """Run a program that awaits."""

        async def program() -> None:
            await eval(_codes[number], names)

        self._runner.run(program())

    def close(self) -> None:
        """Close what the page has opened."""
        self._runner.run(self._inside.aclose())
        self._outside.close()


def _leading_to(simulator: Any) -> type:
    import httpx

    from wxmedia_async._client import MediaClient

    class Simulated(MediaClient):
        def __init__(self, token: Any, **options: Any) -> None:
            transport = simulator.transport()
            options.setdefault("http", httpx.AsyncClient(transport=transport))
            options.setdefault("base_url", "http://simulator")
            super().__init__(token, **options)

    return Simulated


class AwaitingBuilder(DocTestBuilder):
    """The doctest builder, for programs that await."""

    def compile(
        self, code: str, name: str, type: str, flags: Any, dont_inherit: bool
    ) -> Any:
        flags |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compiled = super().compile(code, name, type, flags, dont_inherit)
        if not compiled.co_flags & inspect.CO_COROUTINE:
            return compiled
        _codes.append(compiled)
        return compile(f"__page__.run({len(_codes) - 1}, globals())", name, "exec")


def setup(app: Sphinx) -> dict[str, object]:
    app.setup_extension("sphinx.ext.doctest")
    app.add_builder(AwaitingBuilder, override=True)
    app.config.doctest_global_setup = SETUP
    app.config.doctest_global_cleanup = "__page__.close()"
    return {"parallel_read_safe": True}
