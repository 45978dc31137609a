"""The command line: ``wxmedia upload | download | simulate | demo``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_EXTRA = frozenset({"cyclopts", "rich"})
_MISSING = 'wxmedia: not all is installed: pip install "wxmedia_async[cli]"\n'


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit code.

    Args:
        arguments: What follows ``wxmedia``; None: the process's own.

    Returns:
        0 all done, 1 some failed, 2 usage, 130 interrupted.
    """
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(_MISSING)
        return 2
    return run(arguments)
