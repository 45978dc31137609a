"""The directive ``helped``: what a command says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class Helped(SphinxDirective):
    """Shows the help of a command as it is when the documentation is built."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        return [nodes.literal_block("", said(*self.arguments), language="text")]


@cache
def said(*arguments: str) -> str:
    """Run ``wxmedia … --help``."""
    command = [sys.executable, "-m", "wxmedia_async.cli", *arguments, "--help"]
    plain = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=plain
    ).stdout


def setup(app: Sphinx) -> dict[str, object]:
    app.add_directive("helped", Helped)
    return {"parallel_read_safe": True}
